"""Runs attempts on this node: owns the warm servers, tails reports, ends what must end. Knows nothing of Ray.

All work happens in `poll`, so a runner has no threads; `launch` and `stop` may be called from any thread meanwhile.
"""

import dataclasses
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.trial.endings import Ending, ended_event
from orchestrator.trial.events import Cause, Ended, Reported, Started, TrialEvent
from orchestrator.trial.launch import Launch, ProgramKind
from orchestrator.trial.preload import modules_for
from orchestrator.trial.processes import end_session, signal_session
from orchestrator.trial.reports import FILE as REPORTS_FILE
from orchestrator.trial.reports import ReportTail
from orchestrator.trial.tail import ForeignTail

TICK_S = 0.01
"""How often reports are looked for while a trial runs."""

FOREIGN_TICK_S = 0.1
"""The same for programs whose metrics are read from their W&B and TensorBoard files."""

READY_S = 600.0
"""How long a warm server may take to import a program's libraries."""

Key = tuple[int, int]
"""(trial, attempt)"""


@dataclass(slots=True, kw_only=True)
class _Attempt:
    launch: Launch
    tail: ReportTail
    foreign: ForeignTail | None = None
    pid: int | None = None
    ending: Ending = field(default_factory=Ending)
    deadline_s: float | None = None
    kill_at_s: float | None = None
    foreign_at_s: float = 0.0
    cold_reason: str | None = None


class _Server:
    """The runner's side of one warm fork server."""

    def __init__(self, launch: Launch) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "orchestrator.trial.server", str(theirs.fileno())]
        self.process = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd="/",
            env=_server_environment(launch),
            start_new_session=True,
        )
        theirs.close()
        self.connection = ours
        self.ready = False
        self.unsafe: str | None = None
        self.core: int | None = None
        self.waiting: deque[tuple[Launch, str | None]] = deque()
        self.attempts: set[Key] = set()
        self._rest = b""

    def send(self, message: dict[str, Any]) -> None:
        try:
            self.connection.sendall((json.dumps(message, default=str) + "\n").encode())
        except OSError:
            pass  # its end is noticed by the next read

    def receive(self) -> list[dict[str, Any]] | None:
        """Return what the server said; None when it is gone."""
        try:
            chunk = self.connection.recv(1 << 20)
        except OSError:
            return None
        if not chunk:
            return None
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """Close the connection: the server kills its children and exits; wait for that, then insist."""
        self.connection.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Runner:
    """Runs attempts on this node. Close it to end everything it started."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._servers: dict[tuple[Any, ...], _Server] = {}
        self._attempts: dict[Key, _Attempt] = {}
        self._events: list[TrialEvent] = []
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._host = socket.gethostname()
        self._closed = False

    @property
    def n_running(self) -> int:
        """Attempts that have not ended."""
        return len(self._attempts)

    def launch(self, launch: Launch) -> None:
        """Start an attempt. Whatever goes wrong comes back as an `Ended` event."""
        with self._lock:
            key = (launch.trial, launch.attempt)
            tail = ReportTail(Path(launch.trial_dir) / REPORTS_FILE, launch.attempt)
            attempt = self._attempts[key] = _Attempt(launch=launch, tail=tail)
            try:
                _fence(launch)
                self._start(attempt)
            except OSError as error:
                self._end(attempt, Ending(problem=f"{error.filename or launch.trial_dir}: {error.strerror}"))
            self._wake()

    def stop(self, trial: int, attempt: int, *, kill: bool = False) -> None:
        """Ask an attempt to end (SIGTERM, then SIGKILL after its grace period), or kill it now."""
        with self._lock:
            found = self._attempts.get((trial, attempt))
            if found is None:
                return
            found.ending.asked = True
            self._terminate(found, kill=kill)
            self._wake()

    def poll(self, timeout_s: float) -> list[TrialEvent]:
        """Return events as soon as there is one; an empty list after `timeout_s` seconds without any."""
        until_s = time.monotonic() + timeout_s
        while True:
            with self._lock:
                self._look_at_clock()
                self._look_at_reports()
                if self._events or self._closed:
                    events, self._events = self._events, []
                    return events
                tick_s = TICK_S if any(a.pid is not None for a in self._attempts.values()) else timeout_s
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return []
            for key, _ in self._selector.select(min(left_s, tick_s)):
                self._read(key.data)

    def close(self) -> None:
        """Kill what runs and end every server. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for attempt in self._attempts.values():
                if attempt.pid is not None:
                    end_session(attempt.pid)
            for server in self._servers.values():
                server.close()
            self._servers.clear()
            self._attempts.clear()
            self._wake()

    # ---- starting ----------------------------------------------------------------------------------------------------

    def _start(self, attempt: _Attempt) -> None:
        launch = attempt.launch
        is_command = launch.program.kind is ProgramKind.COMMAND
        attempt.cold_reason = launch.program.reason if is_command else None
        server = self._server(launch)
        server.attempts.add((launch.trial, launch.attempt))
        if server.ready:
            self._ask(server, attempt)
        else:
            server.waiting.append((launch, None))

    def _server(self, launch: Launch) -> _Server:
        is_command = launch.program.kind is ProgramKind.COMMAND
        modules = () if is_command else modules_for(launch)
        with_wandb = launch.wandb is not None and not is_command
        target = None if is_command else launch.program.target
        key = (is_command, target, modules, with_wandb, launch.cpus, tuple(sorted(launch.env.items())))
        server = self._servers.get(key)
        if server is None:
            server = self._servers[key] = _Server(launch)
            self._selector.register(server.connection, selectors.EVENT_READ, key)
            server.send({"op": "warm", "modules": modules, "wandb": with_wandb})
        return server

    def _ask(self, server: _Server, attempt: _Attempt) -> None:
        launch = attempt.launch
        cold = launch.program.kind is ProgramKind.COMMAND or server.unsafe is not None
        attempt.cold_reason = attempt.cold_reason or server.unsafe
        if cold:
            attempt.foreign = ForeignTail(Path(launch.trial_dir))
        server.send({"op": "run", "launch": dataclasses.asdict(launch), "cold": cold})

    # ---- what servers say --------------------------------------------------------------------------------------------

    def _read(self, server_key: tuple[Any, ...] | None) -> None:
        with self._lock:
            if server_key is None:
                os.read(self._wake_read, 4096)
                return
            server = self._servers.get(server_key)
            if server is None:
                return
            messages = server.receive()
            if messages is None:
                self._lost(server_key, server)
                return
            for message in messages:
                self._heard(server, message)

    def _heard(self, server: _Server, message: dict[str, Any]) -> None:
        if message["op"] == "ready":
            server.ready, server.unsafe, server.core = True, message["unsafe"], message.get("core")
            while server.waiting:
                launch, _ = server.waiting.popleft()
                waiting = self._attempts.get((launch.trial, launch.attempt))
                if waiting is not None:
                    self._ask(server, waiting)
            return
        attempt = self._attempts.get((message["trial"], message["attempt"]))
        if attempt is None:
            return
        if message["op"] == "started":
            self._started(attempt, message)
        else:
            server.attempts.discard((message["trial"], message["attempt"]))
            attempt.ending.code = message["code"]
            self._end(attempt, attempt.ending, server)

    def _started(self, attempt: _Attempt, message: dict[str, Any]) -> None:
        attempt.pid = message["pid"]
        launch = attempt.launch
        if launch.timeout_s is not None:  # the imports of its server do not count
            attempt.deadline_s = time.monotonic() + launch.timeout_s
        self._events.append(
            Started(
                trial=launch.trial,
                attempt=launch.attempt,
                time=message["time"],
                pid=message["pid"],
                host=self._host,
                gpu_ids=launch.gpu_ids or (),
                cold_reason=attempt.cold_reason,
            )
        )
        if attempt.ending.asked:  # it was asked to end before it had begun
            self._terminate(attempt, kill=False)

    def _lost(self, server_key: tuple[Any, ...], server: _Server) -> None:
        """A server died: its children are dying with it, and the next launch starts another."""
        self._selector.unregister(server.connection)
        del self._servers[server_key]
        server.close()
        if server.core is not None:
            _kill(server.core)
        for key in sorted(server.attempts):
            attempt = self._attempts.get(key)
            if attempt is not None:
                attempt.ending.server_lost = True
                self._end(attempt, attempt.ending)

    # ---- reports and ends --------------------------------------------------------------------------------------------

    def _look_at_reports(self) -> None:
        for attempt in self._attempts.values():
            if attempt.pid is not None:
                self._collect(attempt)

    def _collect(self, attempt: _Attempt, *, last: bool = False) -> None:
        reports = attempt.tail.read()
        if attempt.foreign is not None and (last or time.monotonic() >= attempt.foreign_at_s):
            attempt.foreign_at_s = time.monotonic() + FOREIGN_TICK_S
            reports += attempt.foreign.read(captured=attempt.ending.names | {n for r in reports for n in r.metrics})
        if not reports:
            return
        attempt.ending.names.update(name for report in reports for name in report.metrics)
        launch = attempt.launch
        self._events.append(Reported(trial=launch.trial, attempt=launch.attempt, reports=tuple(reports)))

    def _look_at_clock(self) -> None:
        now_s = time.monotonic()
        for attempt in self._attempts.values():
            if attempt.deadline_s is not None and now_s >= attempt.deadline_s and not attempt.ending.timed_out:
                attempt.ending.timed_out = True
                self._terminate(attempt, kill=False)
            if attempt.kill_at_s is not None and now_s >= attempt.kill_at_s and attempt.pid is not None:
                attempt.kill_at_s = None
                end_session(attempt.pid)

    def _terminate(self, attempt: _Attempt, *, kill: bool) -> None:
        if attempt.pid is None:
            return  # not started: it ends as soon as it has
        if kill:
            end_session(attempt.pid)
            return
        if attempt.kill_at_s is None:
            attempt.kill_at_s = time.monotonic() + attempt.launch.grace_s
            if attempt.foreign is None:
                _kill(attempt.pid, signal.SIGTERM)
            else:
                signal_session(attempt.pid, signal.SIGTERM)

    def _end(self, attempt: _Attempt, ending: Ending, server: _Server | None = None) -> None:
        launch = attempt.launch
        if attempt.pid is not None:
            end_session(attempt.pid)  # whatever it started and left behind
            self._collect(attempt, last=True)
        attempt.tail.close()
        del self._attempts[launch.trial, launch.attempt]
        event: Ended = ended_event(launch, ending)
        self._events.append(event)
        unfinished = event.cause in {Cause.KILLED, Cause.STOPPED, Cause.TIMED_OUT} and (ending.code or 0) < 0
        if server is not None and launch.wandb is not None and unfinished:
            code = 128 - (ending.code or 0)
            server.send({"op": "finish", "run_id": launch.wandb.run_id, "exit_code": code})

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"x")
        except BlockingIOError:
            pass  # it is awake


def _server_environment(launch: Launch) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSTARTUP"}
    environment.update(launch.env)
    environment["SWEEP_ID"] = launch.sweep_id  # whoever looks for what a sweep left behind finds it in /proc
    if launch.cpus is not None:
        n_threads = str(max(1, int(launch.cpus)))
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), n_threads)
    return environment


def _fence(launch: Launch) -> None:
    """Let each attempt start once, whoever asks: a second runner that is told to is refused."""
    Path(launch.trial_dir).mkdir(parents=True, exist_ok=True)
    marker = Path(launch.trial_dir) / f".attempt-{launch.attempt}"
    os.close(os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))


def _kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
