"""What is asked of wandb to send runs: who is logged in, a sweep, the rows of a run, and wandb's own sync of a log.

All of it goes through a wandb core, which knows about credentials, proxies and certificates, and retries.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.ledger.records import WandbSweep
from orchestrator.trial.wandb_core import Core

REQUEST_S = 10
"""How long a request may take, its retries included; WANDB_HTTP_TIMEOUT changes it, as for wandb's own."""

CORE_S = 60.0
"""How long the core, which is on this machine, may take to answer."""

REFUSALS = frozenset({401, 403})
"""Answers that trying again does not change: the key is wrong, or may not do this."""

NO_DIRECTORY = "/dev/null"
"""Where wandb would write a log of its own per sync: nowhere."""

_UPSERT_SWEEP = """
mutation UpsertSweep($id: ID, $config: String, $description: String, $entityName: String, $projectName: String,
                     $state: String, $displayName: String) {
  upsertSweep(input: {id: $id, config: $config, description: $description, entityName: $entityName,
                      projectName: $projectName, state: $state, displayName: $displayName}) {
    sweep { id name project { name entity { name } } }
  }
}
"""

_ROWS = """
query RunResumeStatus($project: String, $entity: String, $name: String!) {
  model(name: $project, entityName: $entity) {
    bucket(name: $name, missingOk: true) { id name historyLineCount }
  }
}
"""

_SWEEP = """
query Sweep($entity: String, $project: String, $sweep: String!) {
  project(name: $project, entityName: $entity) { sweep(sweepName: $sweep) { id name state } }
}
"""


class Unreachable(Exception):  # noqa: N818 - says what it is
    """The server does not answer, or only that it cannot."""


class Refused(Exception):  # noqa: N818 - as above
    """The server does not want us to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncState:
    """How a sync goes on: what it is trying again, and since when it waits for the server to take the run."""

    trouble: str | None
    waits_s: float


def log_in() -> "Client | None":
    """Return a client of the server whose credentials this user has, or None without any. Asks neither user nor network."""
    from wandb.sdk import wandb_setup
    from wandb.sdk.lib import wbauth

    host = wandb_setup.singleton().settings.base_url
    if wbauth.authenticate_session(host=host, source="sweep", prompt=False) is None:
        return None
    core = Core.start()
    os.environ["WANDB_SERVICE"] = core.token
    return Client(core)


class Client:
    """Requests to the server. The `async` ones run in wandb's own loop (`run`), the others in any other thread."""

    def __init__(self, core: Core) -> None:
        from wandb.apis.public.service_api import ServiceApi
        from wandb.env import get_http_timeout
        from wandb.sdk import wandb_setup

        self.core = core
        self._singleton = wandb_setup.singleton()
        self._settings = self._singleton.settings
        self._service = self._singleton.ensure_service()
        self._api = ServiceApi(self._settings)
        self._request_s = get_http_timeout(REQUEST_S)

    @property
    def host(self) -> str:
        """The server's address."""
        return str(self._settings.base_url)

    def url(self, sweep: WandbSweep) -> str:
        """Where people look at a sweep."""
        return f"{self._settings.app_url.rstrip('/')}/{sweep.entity}/{sweep.project}/sweeps/{sweep.sweep_id}"

    def run(self, main: Any) -> None:
        """Run a function that returns a coroutine in wandb's loop, to its end."""
        self._singleton.asyncer.run(main)

    def create_sweep(
        self, *, config: str, name: str, description: str | None, project: str, entity: str | None
    ) -> WandbSweep:
        """Create a sweep whose runs somebody else chooses.

        Raises:
            Unreachable: No answer.
            Refused: The server answers that it will not.
        """
        variables = {"config": config, "displayName": name, "description": description}
        sweep = self._ask(_UPSERT_SWEEP, {**variables, "projectName": project, "entityName": entity})["upsertSweep"][
            "sweep"
        ]
        home = sweep["project"]
        return WandbSweep(entity=home["entity"]["name"], project=home["name"], sweep_id=sweep["name"])

    def finish_sweep(self, sweep: WandbSweep) -> None:
        """Say that a sweep gets no more runs. Raises as `create_sweep`."""
        where = {"entity": sweep.entity, "project": sweep.project, "sweep": sweep.sweep_id}
        found = self._ask(_SWEEP, where)["project"]["sweep"]
        home = {"entityName": sweep.entity, "projectName": sweep.project}
        if found is not None and found["state"] != "FINISHED":
            self._ask(_UPSERT_SWEEP, {"id": found["id"], "state": "FINISHED", **home})

    def n_rows(self, sweep: WandbSweep, run_id: str) -> int:
        """Return how many rows of a run the server has. Raises as `create_sweep`."""
        variables = {"project": sweep.project, "entity": sweep.entity, "name": run_id}
        model = self._ask(_ROWS, variables)["model"]
        bucket = (model or {}).get("bucket")
        return int(bucket["historyLineCount"] or 0) if bucket else 0

    def is_refused(self) -> str | None:
        """Return why the server does not take our credentials; None when it does, or does not answer."""
        try:
            self._ask("query Viewer { viewer { id } }", {})
        except Refused as error:
            return str(error)
        except Unreachable:
            return None
        return None

    def _ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        from wandb.sdk.lib.service.service_connection import WandbApiFailedError

        try:
            answer: dict[str, Any] = self._api.execute_graphql(query, variables, timeout=self._request_s)
        except WandbApiFailedError as error:
            status = error.response.http_status if error.response is not None else 0
            if status in REFUSALS:
                raise Refused(f"HTTP {status}: {_line(error)}") from error
            if error.response is not None and status and status < 500:
                raise Refused(_line(error)) from error
            raise Unreachable("no answer" if error.response is None else _line(error)) from error
        return answer

    async def begin_sync(self, log: Path) -> "Sync":
        """Begin to send a log, which may still grow."""
        handle = await self._service.init_sync(
            {log},
            _WithoutDirectory(self._settings),
            cwd=None,
            live=True,
            entity="",
            project="",
            run_id="",
            job_type="",
            tag_replacements={},
        )
        begun = await handle.wait_async(timeout=CORE_S)
        return Sync(self._service, begun.id, await self._service.sync(begun.id, parallelism=1))


class Sync:
    """A log on its way."""

    def __init__(self, service: Any, sync_id: str, handle: Any) -> None:
        self._service = service
        self._id = sync_id
        self._handle = handle

    async def errors(self) -> list[str]:
        """Wait for the log's end and return what went wrong. Canceling this ends the sync."""
        from wandb.proto.wandb_sync_pb2 import ServerSyncMessage

        answer = await self._handle.wait_async(timeout=None)
        return [m.content for m in answer.messages if m.severity >= ServerSyncMessage.SEVERITY_ERROR]

    async def state(self) -> SyncState:
        """Return how it goes on."""
        handle = await self._service.sync_status(self._id)
        status = await handle.wait_async(timeout=CORE_S)
        operations = [operation for stats in status.stats for operation in stats.operations]
        trouble = next((o.error_status for o in operations if o.error_status), None)
        waiting = [o.runtime_seconds for o in operations if o.desc.startswith(("setting up run", "finishing"))]
        return SyncState(trouble=trouble, waits_s=max(waiting, default=0.0))


@dataclass(frozen=True, slots=True)
class _WithoutDirectory:
    """Settings as a sync needs them, without a directory for logs of its own."""

    settings: Any

    def to_proto(self) -> Any:
        """Return what wandb sends to its core."""
        proto = self.settings.to_proto()
        proto.wandb_dir.value = NO_DIRECTORY
        return proto


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
