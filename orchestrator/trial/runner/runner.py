"""Runs attempts on this node: starts them from warm servers, tails reports, ends what must end. Knows nothing of Ray.

All work happens in `poll`, but for the sampler's; the other methods may be called from any thread meanwhile.
"""

import importlib.util
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from orchestrator.trial.contract.end_record import STOPPED_EXIT, left_behind
from orchestrator.trial.contract.events import Cause, Ended, Reported, Started, TrialEvent
from orchestrator.trial.contract.launch import Launch, ProgramKind
from orchestrator.trial.contract.messages import (
    Begun,
    Finish,
    Importing,
    News,
    Over,
    Ready,
    Start,
    Stopping,
    news_of,
)
from orchestrator.trial.contract.reports import ReportTail
from orchestrator.trial.processes import end_family, signal_session
from orchestrator.trial.runner.endings import Ending, ended_event
from orchestrator.trial.runner.foreign_tail import ForeignTail
from orchestrator.trial.runner.recorded_run import record_run
from orchestrator.trial.runner.use_sampler import UseSampler
from orchestrator.trial.runner.warm_servers import Key, Server, WarmServers

TICK_S = 0.01
"""How often reports are looked for while a trial runs."""

FOREIGN_TICK_S = 0.1
"""The same for programs whose metrics are read from their W&B and TensorBoard files."""

BY_SIGTERM = frozenset({STOPPED_EXIT, -signal.SIGTERM})
"""How a program ends that was asked to by SIGTERM."""

SHUTDOWN_S = 3.0
"""How long such an end waits to be told where nobody asked for it here: a scheduler that takes a machine back, or ends a
session, asks all of its processes at once, and the trial may be the first that ends. By then this process is gone as well,
or has been told to stop the trial."""


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
    over_at_s: float | None = None
    over_in: Server | None = None


class Runner:
    """Runs attempts on this node. Close it to end everything it started."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._attempts: dict[Key, _Attempt] = {}
        self._events: list[TrialEvent] = []
        self._selector = selectors.DefaultSelector()
        self._servers = WarmServers(self._selector)
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
            if found.over_at_s is not None:
                self._end(found, found.ending, found.over_in)
            else:
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

    def tell(self, event: TrialEvent) -> None:
        """Have `poll` return, at once, what somebody else knows of an attempt."""
        with self._lock:
            self._events.append(event)
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
            self._servers.close()
            self._attempts.clear()
            self._wake()

    def _start(self, attempt: _Attempt) -> None:
        launch = attempt.launch
        server = self._servers.of_launch(launch)
        server.attempts.add((launch.trial, launch.attempt))
        if server.ready:
            self._ask(server, attempt)

    def _ask(self, server: Server, attempt: _Attempt) -> None:
        launch = attempt.launch
        if launch.program.kind is ProgramKind.COMMAND:
            attempt.cold_reason = launch.program.reason or "not a Python program"
            run_id = launch.wandb.run_id if launch.wandb is not None else None
            attempt.foreign = ForeignTail(launch.dir, launch.attempt, run_id=run_id, always=_wanted(launch))
        else:
            attempt.cold_reason = server.unsafe
        _tell_failed(launch, server.failed)
        server.send(Start(launch=launch, cold=attempt.cold_reason is not None))

    def _read(self, server: Server | None) -> None:
        with self._lock:
            if server is None:
                os.read(self._wake_read, 4096)
                return
            if not self._servers.has(server):
                return
            lines = server.lines.read()
            if lines is None:
                self._lost(server)
                return
            for line in lines:
                self._heard(server, news_of(line))

    def _heard(self, server: Server, news: News) -> None:
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
                    if news.code in BY_SIGTERM:
                        self._end_unless_told(attempt, server)
                    else:
                        self._end(attempt, attempt.ending, server)
            case _:
                assert_never(news)

    def _of(self, server: Server) -> list[_Attempt]:
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

    def _lost(self, server: Server) -> None:
        """A server died: its attempts are over, or start from another."""
        after = self._servers.lost(server)
        for attempt in self._of(server):
            if after.is_again:
                self._start(attempt)
                continue
            attempt.ending.problem = after.problem or attempt.ending.problem
            if after.by_sigterm:
                self._end_unless_told(attempt)
            else:
                self._end(attempt, attempt.ending)

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
        self._servers.end_late(now_s)
        for attempt in list(self._attempts.values()):
            if attempt.over_at_s is not None:
                if now_s >= attempt.over_at_s + SHUTDOWN_S:
                    self._end(attempt, attempt.ending, attempt.over_in)
                continue
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
        server = self._servers.of_attempt((attempt.launch.trial, attempt.launch.attempt))
        if server is not None and attempt.pid is not None:
            server.send(Stopping(pid=attempt.pid))

    def _end_unstarted(self, attempt: _Attempt) -> None:
        """End an attempt whose server is not ready; one that is being started now ends as soon as it has."""
        server = self._servers.of_attempt((attempt.launch.trial, attempt.launch.attempt))
        if server is not None and not server.ready:
            server.attempts.discard((attempt.launch.trial, attempt.launch.attempt))
            self._end(attempt, attempt.ending)

    def _end_unless_told(self, attempt: _Attempt, server: Server | None = None) -> None:
        """End an attempt that SIGTERM has ended, soon if nobody has asked for that here."""
        if attempt.ending.asked:
            self._end(attempt, attempt.ending, server)
        else:
            attempt.over_at_s, attempt.over_in = time.monotonic(), server

    def _end(self, attempt: _Attempt, ending: Ending, server: Server | None = None) -> None:
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
