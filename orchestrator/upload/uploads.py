"""A sweep's uploads as its controller sees them: a process beside it that is told what begins and ends, and asked how it goes.

Nothing here waits for a server, except `sweep_path` and `settle`, for as long as they are told.
"""

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, assert_never

import yaml

from orchestrator.layout import SweepDir
from orchestrator.ledger.records import SweepRecord
from orchestrator.spec import SweepSpec
from orchestrator.spec.dump import to_dict
from orchestrator.trial.contract.lines import Lines
from orchestrator.upload.messages import (
    Begin,
    Declined,
    LeftOut,
    LoggedOut,
    News,
    OnServer,
    Order,
    Settle,
    Settled,
    Status,
    Watch,
    news_of,
)

CREATE_S = 10.0
"""How long the start of a sweep waits for its counterpart on the server, the start of Ray included."""

SETTLE_S = 60.0
"""How long the end of a sweep waits for runs that are on their way."""

TROUBLED_S = 5.0
"""The same while the server does not take them."""

RESTARTS = 5
"""How often an upload process that died is started again."""

NOT_WANTED, LOGGED_OUT = "not wanted", "you are not logged in"
"""Reasons to send nothing that a running sweep does not speak of: its user knows."""

NOT_ONLINE = frozenset({"offline", "disabled", "dryrun"})
"""Values of WANDB_MODE by which a user says that nothing shall be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where uploads stand.

    Attributes:
        path: The sweep on the server, ``entity/project/id``; None while there is none.
        url: Where people look at it.
        open: Trials that have ended and whose runs are not completely up.
        sent: Runs that went up.
        failed: Trials some of whose runs were given up until the next time.
        trouble: What is in the way now; None when nothing is.
        off: Why nothing will be sent any more; None while something may.
        settled: Whether everything was tried.
        left_out: Files that are not sent, each as a line that says why.
    """

    path: str | None = None
    url: str | None = None
    open: int = 0
    sent: int = 0
    failed: int = 0
    trouble: str | None = None
    off: str | None = None
    settled: bool = False
    left_out: tuple[str, ...] = ()


def may_be_logged_in(environ: Mapping[str, str]) -> bool:
    """Whether it is worth asking wandb for credentials; costs nothing where there are none."""
    return environ.get("WANDB_MODE") not in NOT_ONLINE and has_credentials(environ)


def has_credentials(environ: Mapping[str, str]) -> bool:
    """Whether there are credentials, of whatever server; wandb knows better."""
    if environ.get("WANDB_API_KEY") or environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    netrc = [environ["NETRC"]] if environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    return any(Path(name).expanduser().is_file() for name in netrc)


def sweep_config(spec: SweepSpec) -> dict[str, Any]:
    """Return the spec as the server shall show it: what W&B knows of it, with the configs chosen by us."""
    config = to_dict(spec)
    config.pop("orchestrator", None)
    if spec.early_terminate is not None and spec.early_terminate.type != "hyperband":
        del config["early_terminate"]
    return config | {"controller": {"type": "local"}}


class Uploads:
    """Sends the runs of one sweep. Close it.

    Args:
        sweep_dir: Where the sweep lies.
        spec: What it runs.
        record: Its row in the ledger; with the path on the server if it has one.
        project: W&B project for a sweep that is not on the server yet; None for the spec's, else WANDB_PROJECT.
        entity: The same for its entity.
        wanted: Whether anything shall be sent at all.
    """

    def __init__(
        self,
        sweep_dir: SweepDir,
        spec: SweepSpec,
        record: SweepRecord,
        *,
        project: str | None = None,
        entity: str | None = None,
        wanted: bool = True,
    ) -> None:
        own_project, own_entity = spec.wandb_project(os.environ), spec.wandb_entity(os.environ)
        self._sweep_dir = sweep_dir
        self._standing = Standing(path=record.wandb_sweep_id)
        self._begin = Begin(
            config=yaml.safe_dump(sweep_config(spec), sort_keys=False, allow_unicode=True),
            name=record.name,
            description=spec.description,
            project=project or own_project,
            entity=entity or own_entity,
            path=record.wandb_sweep_id,
        )
        self._told: dict[int, Watch] = {}
        self._process: _Process | None = None
        self._starts = 0
        self._settle: Settle | None = None
        if wanted:
            self._start()
        else:
            self._standing = replace(self._standing, off=NOT_WANTED, settled=True)

    @property
    def standing(self) -> Standing:
        """Where it stands, as far as was heard."""
        return self._standing

    def watch(self, trial: int, *, ended: bool, settled: bool = False) -> None:
        """Send what a trial records: from now on, or to its end if it has ended (`settled`: its processes are gone)."""
        path = str(self._sweep_dir.trial(trial).path)
        self._told[trial] = Watch(trial=trial, dir=path, ended=ended, settled=settled)
        self._say(self._told[trial])

    def poll(self, wait_s: float = 0.0) -> Standing:
        """Hear what there is to hear, waiting for something at most `wait_s` seconds."""
        if self._process is None:
            return self._standing
        news = self._process.receive(wait_s)
        if news is None:
            self._lost()
            return self._standing
        for each in news:
            self._standing = _after(self._standing, each)
        return self._standing

    def sweep_path(self, until_s: float) -> str | None:
        """Return the sweep's path on the server; wait for it until then (monotonic seconds)."""
        self.poll()
        while self._process is not None and self._standing.path is None and not self._standing.off:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                break
            self.poll(left_s)
        return self._standing.path

    def settle(self, *, finished: bool, is_over: Callable[[Standing], bool]) -> Standing:
        """Wait until everything went up or was given up, or the caller says that it is over.

        Args:
            finished: Whether the sweep gets no more runs, so that the server may show it as finished.
            is_over: Asked again and again.
        """
        self._settle = Settle(finished=finished)
        self._say(self._settle)
        while self._process is not None and not self._standing.settled and not is_over(self._standing):
            self.poll(0.1)
        return self._standing

    def close(self) -> None:
        """End the process. What it had not sent will be sent the next time."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _start(self) -> None:
        self._starts += 1
        self._process = _Process()
        self._say(replace(self._begin, path=self._standing.path))
        for watch in self._told.values():
            self._say(watch)
        if self._settle is not None:
            self._say(self._settle)

    def _lost(self) -> None:
        """The process ended: because it has nothing to do, or because somebody killed it."""
        self.close()
        if self._standing.off is not None:
            return
        if self._starts > RESTARTS:
            self._standing = replace(self._standing, off="its upload process keeps dying", trouble=None)
            return
        self._start()

    def _say(self, order: Order) -> None:
        if self._process is not None:
            self._process.send(order)


def _after(standing: Standing, news: News) -> Standing:
    """Return where uploads stand after news."""
    match news:
        case OnServer():
            return replace(standing, path=news.path, url=news.url)
        case Status():
            return replace(standing, open=news.open, trouble=news.trouble, sent=news.sent, failed=news.failed)
        case Settled():
            return replace(standing, open=0, sent=news.sent, failed=news.failed, settled=True)
        case LeftOut():
            is_known = news.line in standing.left_out
            return standing if is_known else replace(standing, left_out=(*standing.left_out, news.line))
        case Declined():
            return replace(standing, off=f"the server refuses: {news.why}")
        case LoggedOut():
            return replace(standing, off=LOGGED_OUT)
        case _:
            assert_never(news)


@dataclass(slots=True)
class _Process:
    """The process and the socket to it."""

    popen: "subprocess.Popen[bytes]" = field(init=False)
    connection: socket.socket = field(init=False)
    lines: Lines = field(init=False)
    unsent: bytes = b""

    def __post_init__(self) -> None:
        self.connection, theirs = socket.socketpair()
        self.lines = Lines(self.connection)
        self.popen = subprocess.Popen(
            [sys.executable, "-P", "-m", "orchestrator.upload.process", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        theirs.close()
        self.connection.setblocking(False)

    def send(self, order: Order) -> None:
        """Send without waiting; what does not fit now goes with the next."""
        self.unsent += order.encode()
        self._flush()

    def receive(self, wait_s: float) -> list[News] | None:
        """Return what it said; None when it is gone."""
        self._flush()
        ready, _, _ = select.select([self.connection], [], [], wait_s)
        lines = self.lines.read() if ready else []
        return None if lines is None else [news_of(line) for line in lines]

    def close(self) -> None:
        """Hang up: it ends itself and its core; wait for that, then insist."""
        self.connection.close()
        try:
            self.popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()

    def _flush(self) -> None:
        with contextlib.suppress(OSError):
            while self.unsent:
                self.unsent = self.unsent[self.connection.send(self.unsent) :]


def unsent_trials(sweep_dir: SweepDir, numbers: Iterable[int]) -> list[int]:
    """Return those of the trials that recorded a run which is not completely on a server."""
    from orchestrator.upload.runs import recorded_runs

    return [n for n in numbers if any(not run.is_complete for run in recorded_runs(sweep_dir.trial(n)))]
