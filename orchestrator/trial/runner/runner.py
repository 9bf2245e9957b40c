"""Runs attempts on this node: owns the warm servers, tails reports, ends what must end. Knows nothing of Ray.

All work happens in `poll`, but for the sampler's; `launch` and `stop` may be called from any thread meanwhile.
"""

import importlib.util
import math
import os
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from orchestrator.trial.contract.end_record import left_behind
from orchestrator.trial.contract.events import Cause, Ended, Reported, Started, TrialEvent
from orchestrator.trial.contract.launch import Launch, ProgramKind
from orchestrator.trial.contract.lines import Lines
from orchestrator.trial.contract.messages import (
    Begun,
    Finish,
    Importing,
    News,
    Order,
    Over,
    Ready,
    Start,
    Stopping,
    Warm,
    news_of,
)
from orchestrator.trial.contract.reports import ReportTail
from orchestrator.trial.processes import SERVER_MARK, end_family, end_marked, signal_session
from orchestrator.trial.runner.endings import Ending, ended_event, signal_name
from orchestrator.trial.runner.foreign_tail import ForeignTail
from orchestrator.trial.runner.recorded_run import record_run
from orchestrator.trial.runner.use_sampler import UseSampler
from orchestrator.trial.side import TOOL, boot

TICK_S = 0.01
"""How often reports are looked for while a trial runs."""

FOREIGN_TICK_S = 0.1
"""The same for programs whose metrics are read from their W&B and TensorBoard files."""

READY_S = 600.0
"""How long a warm server may take to import a program's libraries; then trials start cold."""

WARM_AGAIN_S = 30.0
"""How long trials start cold after somebody killed a server that was warming; twice as long each further time."""

WARM_TRIES = 3
"""How often a killed server is warmed again: what kills it may be the memory that its imports take."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Set to a trial's share of CPUs, as its neighbours use theirs, unless the user has set one of them."""

Key = tuple[int, int]
"""(trial, attempt)"""


@dataclass(slots=True, kw_only=True)
class _Attempt:
    launch: Launch
    tail: ReportTail
    foreign: ForeignTail | None = None
    pid: int | None = None
    began_s: float = 0.0
    ending: Ending = field(default_factory=Ending)
    kill_asked: bool = False
    grace_s: float | None = None
    begun_s: float | None = None
    deadline_s: float | None = None
    kill_at_s: float | None = None
    foreign_at_s: float = 0.0
    cold_reason: str | None = None
    warned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unfit:
    """Why trials of a kind start cold, until when (monotonic), and how often their server died while it was warming."""

    reason: str
    until_s: float
    deaths: int


class _Server:
    """The runner's side of one warm fork server; of one that imports nothing if there is a reason to start cold."""

    def __init__(self, launch: Launch, *, unfit: str | None) -> None:
        ours, theirs = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the server
        self._mark = f"{SERVER_MARK}={secrets.token_hex(8)}"
        command = [
            launch.python or sys.executable,
            *launch.program.interpreter_args,
            "-c",
            boot("orchestrator.trial.fork_server.server", "main"),
            str(theirs.fileno()),
        ]
        try:
            self.process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                cwd=launch.cwd,
                env=_server_environment(launch, self._mark),
                start_new_session=True,
            )
        except OSError:
            for opened in (ours, theirs, self._stderr):
                opened.close()
            raise
        theirs.close()
        self.connection = ours
        self.modules: tuple[str, ...] = ()
        self.ready = False
        self.ready_by_s = time.monotonic() + READY_S
        self.unfit = unfit
        self.unsafe = unfit
        self.failed: Mapping[str, str] = {}
        self.attempts: set[Key] = set()
        self.lines = Lines(ours)
        self.send(Warm(launch=launch, bare=unfit is not None))

    def send(self, order: Order) -> None:
        try:
            self.connection.sendall(order.encode())
        except OSError:
            pass  # its end is noticed by the next read

    def heard_ready(self, news: Ready) -> None:
        self.ready = True
        self.unsafe = self.unsafe or news.unsafe
        self.failed = news.failed

    def last_words(self) -> str:
        """Return the last line it wrote to standard error."""
        self._stderr.seek(0)
        lines = self._stderr.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def close(self) -> int:
        """Close the connection: the server kills its children and exits; wait for that, then insist. Return its exit code."""
        self.connection.close()
        self._stderr.close()
        try:
            return self.process.wait(timeout=10 if self.ready else 0.5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def clean_up(self) -> int:
        """End what a server that died left behind, its W&B core included. Return its exit code."""
        code = self.close()
        end_marked(self._mark)
        return code


class Runner:
    """Runs attempts on this node. Close it to end everything it started."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._servers: dict[tuple[Any, ...], _Server] = {}
        self._unfit: dict[tuple[Any, ...], _Unfit] = {}
        self._attempts: dict[Key, _Attempt] = {}
        self._events: list[TrialEvent] = []
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._sampler = UseSampler()
        self._host = socket.gethostname()
        self._closed = False
        found = importlib.util.find_spec("wandb")
        self._has_wandb = found is not None and found.origin is not None  # a folder of runs has the same name

    @property
    def n_running(self) -> int:
        """Attempts that have not ended."""
        return len(self._attempts)

    def launch(self, launch: Launch) -> None:
        """Start an attempt. Whatever goes wrong comes back as an `Ended` event."""
        with self._lock:
            key = (launch.trial, launch.attempt)
            tail = ReportTail(launch.dir.reports_path, launch.attempt, always=_wanted(launch))
            attempt = self._attempts[key] = _Attempt(launch=launch, tail=tail)
            try:
                _fence(launch)
                self._start(attempt)
            except OSError as error:
                self._end(attempt, Ending(problem=f"{error.filename or launch.trial_dir}: {error.strerror}"))
            self._wake()

    def stop(self, trial: int, attempt: int, *, kill: bool = False, grace_s: float | None = None) -> None:
        """Ask an attempt to end (SIGTERM, then SIGKILL after this or its own grace period), or kill it now."""
        with self._lock:
            found = self._attempts.get((trial, attempt))
            if found is None:
                return
            found.ending.ask()
            found.kill_asked = found.kill_asked or kill
            found.grace_s = grace_s
            self._terminate(found)
            self._wake()

    def allow(self, trial: int, attempt: int, timeout_s: float | None) -> None:
        """Let an attempt take so many seconds from its beginning on, None for no limit; unknown ones are ignored."""
        with self._lock:
            found = self._attempts.get((trial, attempt))
            if found is not None and not found.ending.timed_out:
                found.launch = replace(found.launch, timeout_s=timeout_s)
                found.deadline_s = None if found.begun_s is None or timeout_s is None else found.begun_s + timeout_s
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
            self._sampler.close()
            for attempt in self._attempts.values():
                if attempt.pid is not None:
                    end_family(attempt.pid)
            for server in self._servers.values():
                server.close()
            self._servers.clear()
            self._attempts.clear()
            self._wake()

    def _start(self, attempt: _Attempt) -> None:
        launch = attempt.launch
        server = self._server(launch)
        server.attempts.add((launch.trial, launch.attempt))
        if server.ready:
            self._ask(server, attempt)

    def _server(self, launch: Launch) -> _Server:
        """The server to start a launch from: a warm one, and beside it a cold one while warming is left alone."""
        key = _surroundings(launch)
        unfit = self._unfit.get(key)
        if unfit is None or time.monotonic() >= unfit.until_s:
            return self._servers.get(key) or self._open_server(key, launch)
        key = (*key, "cold")
        return self._servers.get(key) or self._open_server(key, launch, unfit.reason)

    def _open_server(self, key: tuple[Any, ...], launch: Launch, unfit: str | None = None) -> _Server:
        server = self._servers[key] = _Server(launch, unfit=unfit)
        self._selector.register(server.connection, selectors.EVENT_READ, key)
        return server

    def _ask(self, server: _Server, attempt: _Attempt) -> None:
        launch = attempt.launch
        if launch.program.kind is ProgramKind.COMMAND:
            attempt.cold_reason = launch.program.reason or "not a Python program"
            run_id = launch.wandb.run_id if launch.wandb is not None else None
            attempt.foreign = ForeignTail(launch.dir, launch.attempt, run_id=run_id, always=_wanted(launch))
        else:
            attempt.cold_reason = server.unsafe
        _tell_failed(launch, server.failed)
        server.send(Start(launch=launch, cold=attempt.cold_reason is not None))

    def _read(self, server_key: tuple[Any, ...] | None) -> None:
        with self._lock:
            if server_key is None:
                os.read(self._wake_read, 4096)
                return
            server = self._servers.get(server_key)
            if server is None:
                return
            lines = server.lines.read()
            if lines is None:
                self._lost(server_key, server)
                return
            for line in lines:
                self._heard(server, news_of(line))

    def _heard(self, server: _Server, news: News) -> None:
        match news:
            case Importing():
                server.modules = news.modules
            case Ready():
                server.heard_ready(news)
                for waiting in self._of(server):
                    self._ask(server, waiting)
            case Begun():
                attempt = self._attempts.get((news.trial, news.attempt))
                if attempt is not None:
                    self._begun(attempt, news)
            case Over():
                attempt = self._attempts.get((news.trial, news.attempt))
                if attempt is not None:
                    server.attempts.discard((news.trial, news.attempt))
                    attempt.ending.code = news.code
                    attempt.ending.core_lost = news.core_lost
                    self._end(attempt, attempt.ending, server)
            case _:
                assert_never(news)

    def _of(self, server: _Server) -> list[_Attempt]:
        return [attempt for key in sorted(server.attempts) if (attempt := self._attempts.get(key)) is not None]

    def _begun(self, attempt: _Attempt, news: Begun) -> None:
        attempt.pid, attempt.began_s = news.pid, news.time
        attempt.cold_reason = attempt.cold_reason or news.unsafe
        launch, attempt.begun_s = attempt.launch, time.monotonic()
        if launch.timeout_s is not None:  # the imports of its server do not count
            attempt.deadline_s = attempt.begun_s + launch.timeout_s
        self._events.append(
            Started(
                trial=launch.trial,
                attempt=launch.attempt,
                time=news.time,
                pid=news.pid,
                host=self._host,
                gpu_ids=launch.gpu_ids or (),
                cold_reason=attempt.cold_reason,
            )
        )
        self._sampler.begin(launch, news.pid)
        if attempt.ending.asked:  # while it was being started
            self._terminate(attempt)

    def _lost(self, server_key: tuple[Any, ...], server: _Server) -> None:
        """A server died: its children are dying with it, and the next launch starts another."""
        self._selector.unregister(server.connection)
        del self._servers[server_key]
        words = server.last_words()
        code = server.clean_up()
        killed_cold = code == -signal.SIGKILL and server.unfit is not None  # it imported nothing: that was from outside
        if not server.ready and not killed_cold:
            self._without_preload(server_key, server, code, words)
            return
        for attempt in self._of(server):
            self._end(attempt, attempt.ending)

    def _without_preload(self, server_key: tuple[Any, ...], server: _Server, code: int, words: str) -> None:
        """A server that died of what it imported: its trials start cold, and say so themselves if that is their end too.

        One that was killed was not at fault: it is warmed again after a while, a few times.
        """
        what = ", ".join(server.modules) or "nothing"
        how = f"was killed by {signal_name(-code)}" if code < 0 else f"exited with code {code}"
        reason = f"the warm server {how} while it imported {what}{words}"
        if server.unfit is not None:
            for attempt in self._of(server):
                attempt.ending.problem = f"Python does not start: {reason}"
                self._end(attempt, attempt.ending)
            return
        deaths = self._unfit[server_key].deaths + 1 if server_key in self._unfit else 1
        is_curable = code == -signal.SIGKILL and deaths <= WARM_TRIES
        pause_s = WARM_AGAIN_S * 2 ** (deaths - 1) if is_curable else math.inf
        self._unfit[server_key] = _Unfit(reason=reason, until_s=time.monotonic() + pause_s, deaths=deaths)
        for attempt in self._of(server):
            self._start(attempt)

    def _look_at_reports(self) -> None:
        for attempt in self._attempts.values():
            if attempt.pid is not None:
                self._collect(attempt)

    def _collect(self, attempt: _Attempt, *, last: bool = False) -> None:
        foreign = attempt.foreign if last or time.monotonic() >= attempt.foreign_at_s else None
        lines = foreign.read() if foreign is not None else []
        reports = attempt.tail.read()  # after the other files: what is captured is in here before it is there
        if foreign is not None:
            attempt.foreign_at_s = time.monotonic() + FOREIGN_TICK_S
            if foreign.copy(lines, attempt.tail.names, attempt.tail.captured):
                reports += attempt.tail.read()
        if last:
            reports += attempt.tail.rest()
        summary = attempt.tail.summary() if last else {}
        attempt.ending.apart = attempt.tail.apart
        attempt.ending.hear(attempt.tail.run_end, [*summary, *(name for report in reports for name in report.metrics)])
        _warn_once(attempt)
        alerts = attempt.tail.alerts()
        if reports or summary or alerts:
            launch = attempt.launch
            found = Reported(
                trial=launch.trial, attempt=launch.attempt, reports=tuple(reports), summary=summary, alerts=alerts
            )
            self._events.append(found)

    def _look_at_clock(self) -> None:
        now_s = time.monotonic()
        for server in self._servers.values():
            if not server.ready and now_s >= server.ready_by_s:
                server.process.terminate()  # its end is noticed by the next read
        for attempt in list(self._attempts.values()):
            if attempt.deadline_s is not None and now_s >= attempt.deadline_s and not attempt.ending.timed_out:
                attempt.ending.timed_out = True
                attempt.ending.ask()
                self._terminate(attempt)
            if attempt.kill_at_s is not None and now_s >= attempt.kill_at_s and attempt.pid is not None:
                attempt.kill_at_s = None
                end_family(attempt.pid)

    def _terminate(self, attempt: _Attempt) -> None:
        if attempt.pid is None:
            self._end_unstarted(attempt)
            return
        if attempt.kill_asked:
            _kill(attempt.pid)
            end_family(attempt.pid)
            return
        if attempt.kill_at_s is None:
            grace_s = attempt.launch.grace_s if attempt.grace_s is None else attempt.grace_s
            attempt.kill_at_s = time.monotonic() + grace_s
            if attempt.foreign is None:
                _kill(attempt.pid, signal.SIGTERM)
            else:
                self._announce(attempt)
                signal_session(attempt.pid, signal.SIGTERM)

    def _announce(self, attempt: _Attempt) -> None:
        """Let the server know that a command is asked to end: what its shell started may need longer than the shell."""
        server = self._server_with(attempt)
        if server is not None and attempt.pid is not None:
            server.send(Stopping(pid=attempt.pid))

    def _end_unstarted(self, attempt: _Attempt) -> None:
        """End an attempt whose server is not ready; one that is being started now ends as soon as it has."""
        server = self._server_with(attempt)
        if server is not None and not server.ready:
            server.attempts.discard((attempt.launch.trial, attempt.launch.attempt))
            self._end(attempt, attempt.ending)

    def _server_with(self, attempt: _Attempt) -> _Server | None:
        key = (attempt.launch.trial, attempt.launch.attempt)
        return next((server for server in self._servers.values() if key in server.attempts), None)

    def _end(self, attempt: _Attempt, ending: Ending, server: _Server | None = None) -> None:
        launch = attempt.launch
        self._sampler.end(launch.trial, launch.attempt)
        if attempt.pid is not None:
            if server is None:  # else its server has ended what it started and left behind
                end_family(attempt.pid)
            self._collect(attempt, last=True)
        attempt.tail.close()
        if attempt.foreign is not None:
            attempt.foreign.close()
        del self._attempts[launch.trial, launch.attempt]
        event: Ended = ended_event(launch, ending)
        self._events.append(event)
        if server is not None and attempt.pid is not None:
            server.send(_finish(launch, event, is_open=attempt.tail.run_end.is_open))
        if attempt.pid is not None and (launch.python is not None or not self._has_wandb):
            record_run(launch, event, attempt.began_s)

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"x")
        except BlockingIOError:
            pass  # it is awake


def _surroundings(launch: Launch) -> tuple[Any, ...]:
    """What two launches must have in common to be forked from one server: a program, and what it runs in."""
    program = launch.program
    environment = tuple(sorted(launch.env.items()))
    has_wandb = launch.wandb is not None
    of_program = (program.kind, program.target, launch.preload, has_wandb, program.interpreter_args)
    return *of_program, launch.python, launch.cwd, launch.cpus, environment


def _finish(launch: Launch, event: Ended, *, is_open: bool) -> Finish:
    """What is left to do for an attempt that ended: its TensorBoard session, and its W&B run if it could not finish that.

    It could not if it was killed, or if the run is open in a process that it had started. A run that has no directory yet
    was not begun: a core that is asked for it does not answer, and a further attempt would wait for that.
    """
    run_id = launch.wandb.run_id if launch.wandb is not None else None
    is_left = run_id is not None and (is_open or left_behind(launch.dir, launch.attempt) is None)
    is_begun = is_left and any(f"-{run_id}" in path.name for path in launch.dir.wandb_run_paths())
    return Finish(
        dir=launch.trial_dir,
        succeeded=event.cause in {Cause.FINISHED, Cause.STOPPED},
        run_id=run_id if is_begun else None,
        exit_code=event.run_code,
    )


def _server_environment(launch: Launch, mark: str) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSTARTUP"}
    environment.update(launch.env)
    environment["SWEEP_ID"] = launch.sweep_id  # whoever looks for what a sweep left behind finds it in /proc
    name, _, value = mark.partition("=")
    environment[name] = value
    if launch.python is not None:
        environment[TOOL] = sys.executable
    if launch.cpus is not None and not any(name in environment for name in THREADS):
        environment |= dict.fromkeys(THREADS, str(max(1, int(launch.cpus))))
    return environment


def _tell_failed(launch: Launch, failed: Mapping[str, str]) -> None:
    """Say in the trial's log what of `preload` could not be imported; of the modules that were found, the program will."""
    for name in [name for name in launch.preload or () if name in failed]:
        _warn(launch, f"preload: {name} cannot be imported: {failed[name]}")


def _wanted(launch: Launch) -> tuple[str, ...]:
    """The metrics that the sweep is for, as far as a launch names them."""
    return () if launch.metric is None else (launch.metric,)


def _warn_once(attempt: _Attempt) -> None:
    """Say in the trial's log what of its reports could not be read: the first of it, as the rest is like that."""
    problems = [*attempt.tail.problems, *(attempt.foreign.problems if attempt.foreign is not None else ())]
    if problems and not attempt.warned:
        attempt.warned = True
        _warn(attempt.launch, problems[0])


def _warn(launch: Launch, text: str) -> None:
    """Add a line to a trial's log; without it where the disk is full."""
    try:
        with launch.dir.log_path.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"sweep: warning: {text}\n")
    except OSError:
        pass


def _fence(launch: Launch) -> None:
    """Mark an attempt as started. A second runner that tries to start it gets a FileExistsError."""
    launch.dir.path.mkdir(parents=True, exist_ok=True)
    os.close(os.open(launch.dir.attempt_path(launch.attempt), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))


def _kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
