"""A W&B server on the loopback interface for tests: what the real client sends is kept, faults can be switched on.

    with WandbServer() as server:
        env = os.environ | server.environ
        ...
        server.run("abc").history

It speaks what wandb 0.31 needs to create sweeps and to send runs: the GraphQL operations in `_OPERATIONS`, the file stream and
file uploads. Anything else is answered as a server does that lacks a feature, and noted in `unknown`.
"""

import base64
import gzip
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import yaml

API_KEY = "local-" + "5ec2e7" * 7
"""Looks as a key must, and can be searched for where no key may be."""

ENTITY = "loopers"


@dataclass(slots=True)
class Run:
    """A run as the server has it: `history` and `output` by line, `states` as they followed each other."""

    entity: str
    project: str
    name: str
    config: dict[str, Any] = field(default_factory=dict)
    display_name: str | None = None
    group: str | None = None
    sweep: str | None = None
    tags: list[str] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    states: list[str] = field(default_factory=lambda: ["running"])
    exitcode: int | None = None
    overwritten: int = 0

    @property
    def state(self) -> str:
        """running, finished or failed."""
        return self.states[-1]

    def values(self, metric: str) -> list[Any]:
        """The values of a metric in the order of its rows."""
        return [row[metric] for row in self.history if metric in row]

    def settings(self) -> dict[str, Any]:
        """The config as its author wrote it."""
        return {name: item["value"] for name, item in self.config.items() if name != "_wandb"}


@dataclass(slots=True)
class Sweep:
    """A sweep as the server has it."""

    name: str
    entity: str
    project: str
    config: dict[str, Any]
    display_name: str | None
    state: str = "PENDING"


class WandbServer:
    """The server; use it as a context manager.

    Attributes:
        fault: None, a status code such as 500 or 401, "hang", or seconds that every answer takes; may change at any time.
        fault_at: Pattern of the paths and operations that the fault concerns; all by default.
    """

    def __init__(self, *, port: int = 0) -> None:
        self.runs: dict[str, Run] = {}
        self.sweeps: dict[str, Sweep] = {}
        self.operations: list[str] = []
        self.unknown: set[str] = set()
        self.fault: int | float | str | None = None
        self.fault_at = ".*"
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.released = threading.Event()
        self._port = port
        self._http: _Http | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Its address; the same after `stop` and `start`."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def environ(self) -> dict[str, str]:
        """What makes wandb clients use it, logged in."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": API_KEY}

    def start(self) -> None:
        """Listen."""
        self.released.clear()
        self._http = _Http(("127.0.0.1", self._port), _Handler)
        self._http.wandb = self
        self._port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, name="wandb-server").start()

    def stop(self) -> None:
        """Refuse connections from now on; what was received stays."""
        if self._http is None:
            return
        self.released.set()
        self._http.shutdown()
        self._http.server_close()
        self._http = None

    def run(self, name: str) -> Run:
        """The only run of a name, whatever its project."""
        (found,) = [run for run in self.runs.values() if run.name == name]
        return found

    def wait(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Wait until something that was received makes a condition true."""
        with self.changed:
            if not self.changed.wait_for(condition, timeout_s):
                raise TimeoutError(f"after {timeout_s} s: {self.runs}")

    def graphql(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one operation."""
        query, variables = body["query"], body.get("variables") or {}
        found = re.search(r"\b(?:query|mutation)\s+(\w+)", query)
        name = found[1] if found else query.split("{")[1].strip().split("(")[0]
        with self.changed:
            self.operations.append(name)
            handler = _OPERATIONS.get(name)
            if handler is None:
                self.unknown.add(name)
                return {"data": None, "errors": [{"message": f"no operation {name}"}]}
            answer = handler(self, variables)
            self.changed.notify_all()
            return {"data": answer}

    def file_stream(self, key: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take lines of a run's files, each batch at the line that it names."""
        with self.changed:
            run = self.runs[key]
            for name, chunk in (body.get("files") or {}).items():
                lines, offset = chunk["content"], chunk["offset"]
                if name == "wandb-history.jsonl":
                    run.overwritten += max(0, len(run.history) - offset)
                    run.history[offset : offset + len(lines)] = [json.loads(line) for line in lines]
                elif name == "wandb-summary.json":
                    run.summary = json.loads(lines[-1])
            if body.get("complete"):
                run.exitcode = body.get("exitcode")
                run.states.append("failed" if run.exitcode else "finished")
            self.changed.notify_all()
            return {"exitcode": None, "limits": {}, "stopped": False}

    def upload(self, key: str, name: str, content: bytes) -> None:
        """Take a file."""
        with self.changed:
            self.runs[key].files[name] = content
            self.changed.notify_all()

    def project(self, variables: Mapping[str, Any]) -> tuple[str, str]:
        """The entity and project that an operation means."""
        entity = variables.get("entity") or variables.get("entityName") or ENTITY
        project = variables.get("project") or variables.get("projectName") or "uncategorized"
        return entity, project


def _viewer(_server: WandbServer, _variables: Mapping[str, Any]) -> dict[str, Any]:
    teams = {"edges": [{"node": {"name": ENTITY}}]}
    viewer = {"id": _id("User", ENTITY), "username": ENTITY, "name": ENTITY, "email": "loop@example.invalid"}
    return {"viewer": {**viewer, "entity": ENTITY, "admin": False, "flags": "{}", "teams": teams}}


def _upsert_bucket(server: WandbServer, variables: Mapping[str, Any]) -> dict[str, Any]:
    entity, project = server.project(variables)
    name = variables.get("name") or _name(variables["id"])
    key = f"{entity}/{project}/{name}"
    inserted = key not in server.runs
    run = server.runs.setdefault(key, Run(entity, project, name))
    if not inserted and run.state != "running" and variables.get("id") is None:
        run.states.append("running")
    if variables.get("config"):
        run.config = json.loads(variables["config"])
    for attribute, variable in (("display_name", "displayName"), ("group", "groupName"), ("tags", "tags")):
        if variables.get(variable):
            setattr(run, attribute, variables[variable])
    if variables.get("sweep"):
        run.sweep = variables["sweep"]
    bucket = {
        "id": _id("Run", f"{name}:{project}:{entity}"),
        "name": name,
        "displayName": run.display_name or name,
        "description": None,
        "config": json.dumps(run.config),
        "sweepName": run.sweep,
        "historyLineCount": len(run.history),
        "project": _project(entity, project),
    }
    return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}


def _create_run_files(server: WandbServer, variables: Mapping[str, Any]) -> dict[str, Any]:
    entity, project = server.project(variables)
    base = f"{server.url}/upload/{entity}/{project}/{variables['run']}"
    files = [{"name": name, "uploadUrl": f"{base}/{name}"} for name in variables["files"]]
    run_id = _id("Run", f"{variables['run']}:{project}:{entity}")
    return {"createRunFiles": {"runID": run_id, "uploadHeaders": [], "files": files}}


def _upsert_sweep(server: WandbServer, variables: Mapping[str, Any]) -> dict[str, Any]:
    entity, project = server.project(variables)
    name = _name(variables["id"]) if variables.get("id") else f"swp{len(server.sweeps):05d}"
    config = yaml.safe_load(variables["config"]) if variables.get("config") else {}
    sweep = server.sweeps.setdefault(name, Sweep(name, entity, project, config, variables.get("displayName")))
    if variables.get("state"):
        sweep.state = variables["state"]
    node = {"id": _id("Sweep", name), "name": name, "project": _project(sweep.entity, sweep.project)}
    return {"upsertSweep": {"sweep": node, "configValidationWarnings": []}}


def _sweep(server: WandbServer, variables: Mapping[str, Any]) -> dict[str, Any]:
    found = server.sweeps.get(variables["sweep"])
    sweep = {"id": _id("Sweep", found.name), "name": found.name, "state": found.state} if found else None
    return {"project": {"sweep": sweep}}


def _resume_status(server: WandbServer, variables: Mapping[str, Any]) -> dict[str, Any]:
    entity, project = server.project(variables)
    run = server.runs.get(f"{entity}/{project}/{variables['name']}")
    return {"model": {"bucket": _bucket_to_resume(run) if run else None}}


def _bucket_to_resume(run: Run) -> dict[str, Any]:
    tail = [json.dumps(row) for row in run.history[-1:]]
    return {
        "id": _id("Run", f"{run.name}:{run.project}:{run.entity}"),
        "name": run.name,
        "summaryMetrics": json.dumps(run.summary),
        "displayName": run.display_name,
        "logLineCount": 0,
        "historyLineCount": len(run.history),
        "eventsLineCount": 0,
        "historyTail": json.dumps(tail),
        "eventsTail": "[]",
        "config": json.dumps(run.config),
        "tags": run.tags,
        "wandbConfig": json.dumps({"t": 1}),
    }


def _organization(_server: WandbServer, _variables: Mapping[str, Any]) -> dict[str, Any]:
    return {"entity": {"organization": {"coreWeaveOrganizationId": None}}}


def _features(_server: WandbServer, _variables: Mapping[str, Any]) -> dict[str, Any]:
    return {"serverInfo": {"features": []}}


_OPERATIONS: Mapping[str, Callable[[WandbServer, Mapping[str, Any]], dict[str, Any]]] = {
    "Viewer": _viewer,
    "UpsertBucket": _upsert_bucket,
    "CreateRunFiles": _create_run_files,
    "UpsertSweep": _upsert_sweep,
    "Sweep": _sweep,
    "RunResumeStatus": _resume_status,
    "OrganizationCoreWeaveOrganizationID": _organization,
    "ServerFeaturesQuery": _features,
}


def _id(kind: str, name: str) -> str:
    return base64.b64encode(f"{kind}:v1:{name}".encode()).decode()


def _name(identifier: str) -> str:
    return base64.b64decode(identifier).decode().split(":")[2]


def _project(entity: str, project: str) -> dict[str, Any]:
    owner = {"id": _id("Entity", entity), "name": entity}
    return {"id": _id("Project", f"{project}:{entity}"), "name": project, "entity": owner}


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    wandb: WandbServer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # header and body leave in one segment
    server: _Http

    def do_POST(self) -> None:
        wandb, body = self.server.wandb, self._body()
        data = json.loads(body) if body[:1] == b"{" else {}
        found = re.search(r"\b(?:query|mutation)\s+(\w+)", data.get("query", ""))
        if self._is_faulty(found[1] if found else self.path):
            return
        stream = re.fullmatch(r"/files/(.+)/file_stream", self.path)
        if self.path == "/graphql":
            self._answer(200, wandb.graphql(data))
        elif stream:
            self._answer(200, wandb.file_stream(stream[1], data))
        else:
            self._answer(404, {})

    def do_PUT(self) -> None:
        content = self._body()
        if self._is_faulty(self.path):
            return
        entity, project, run, name = self.path.removeprefix("/upload/").split("/", 3)
        self.server.wandb.upload(f"{entity}/{project}/{run}", name, content)
        self._answer(200, {})

    def do_GET(self) -> None:
        if not self._is_faulty(self.path):
            self._answer(404, {})

    def log_message(self, *_: Any) -> None:
        """Tests read what was received instead."""

    def _is_faulty(self, what: str) -> bool:
        wandb = self.server.wandb
        fault = wandb.fault
        if fault is None or re.fullmatch(wandb.fault_at, what) is None:
            return False
        if isinstance(fault, float):
            wandb.released.wait(fault)
            return False
        if isinstance(fault, int):
            self._answer(fault, {"errors": [{"message": "a fault was switched on"}]})
            return True
        wandb.released.wait()
        self.close_connection = True
        return True

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, status: int, data: Mapping[str, Any]) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
