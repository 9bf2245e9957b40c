"""A `Pool` in memory: a script says what each trial reports and how it ends, a virtual clock says when.

Nothing sleeps and nothing is random: `poll` moves the clock to the next thing that happens. It passes the same contract
suite as `RayPool` (test_pool_contract.py).

    def script(launch):
        yield Log({"loss": 1.0})
        yield Log({"loss": 0.5}, after_s=60)
        yield End(Cause.FAILED, exit_code=1, error="ValueError: bad lr")     # without it: finished, exit code 0

    pool = FakePool(2, script)
    pool.at(30, lambda: pool.lose_worker(0))
    Controller(..., pool=pool, clock=pool.clock)
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from orchestrator.execution.protocol import Capacity, CapacityChanged, Placed, PoolEvent
from orchestrator.trial.contract.events import Cause, Ended, Report, Reported, Started
from orchestrator.trial.contract.launch import Launch

EPOCH_S = 1_800_000_000.0
"""Unix time at which every fake begins."""


@dataclass(frozen=True, slots=True)
class Log:
    """The trial reports one row, `after_s` seconds after its previous step."""

    metrics: Mapping[str, float]
    after_s: float = 0.0
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """The trial is busy for `seconds`; `float("inf")` hangs."""

    seconds: float


@dataclass(frozen=True, slots=True)
class End:
    """The trial ends like this, `after_s` seconds after its previous step."""

    cause: Cause = Cause.FINISHED
    exit_code: int | None = 0
    signal: int | None = None
    error: str | None = None
    log_tail: tuple[str, ...] = ()
    after_s: float = 0.0


Step: TypeAlias = Log | Wait | End
Script: TypeAlias = Callable[[Launch], Iterable[Step]]
"""SIGTERM is SystemExit raised inside a generator script: one that catches it may log on, until its grace is over."""


def finishes(launch: Launch) -> Iterator[Step]:
    """The default script: one report of 1.0, then done."""
    yield Log({launch.metric or "loss": 1.0})


@dataclass(slots=True, kw_only=True)
class _Running:
    launch: Launch
    node: int
    steps: Iterator[Step]
    began_s: float | None = None
    n_reports: int = 0
    turn: int = 0
    asked: bool = False
    timed_out: bool = False


@dataclass(slots=True, kw_only=True)
class _Node:
    slots: int
    alive: bool = True
    running: set[tuple[int, int]] = field(default_factory=set)


class FakePool:
    """A pool whose time passes only in `poll`.

    Args:
        slots: Slots of the one node, or of each node.
        script: What each launch does.
        start_s: Seconds between a launch and its `Started`.
        gpu_ids: The GPUs that every trial says it has.

    Attributes:
        launched: Every launch in order.
        stops: Every ``(trial, attempt, kill)`` that `stop` was asked for.
        problem: What `capacity` says when nothing can be placed.
        hopeless: Whether no node that is there can ever run a trial.
        final: Whether no other can join.
        wanted: What `want` was told last.
        left_out: Why nodes get no more trials, by id.
        warnings: What keeps some nodes out.
        closed: Whether `close` was called.
        now_on: Name of the node whose launch the script was called for last.
    """

    def __init__(
        self,
        slots: int | Sequence[int],
        script: Script = finishes,
        *,
        start_s: float = 0.0,
        gpu_ids: tuple[str, ...] = (),
    ) -> None:
        self.launched: list[Launch] = []
        self.stops: list[tuple[int, int, bool]] = []
        self.problem: str | None = None
        self.hopeless = False
        self.final = False
        self.wanted: float = 0
        self.left_out: dict[str, str] = {}
        self.warnings: tuple[str, ...] = ()
        self.closed = False
        self._limit: int | None = None
        self.now_on = ""
        self._script = script
        self._start_s = start_s
        self._gpu_ids = gpu_ids
        self._now_s = 0.0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._nodes = [_Node(slots=n) for n in ([slots] if isinstance(slots, int) else slots)]
        self._running: dict[tuple[int, int], _Running] = {}
        self._queue: deque[Launch] = deque()
        self._avoid: dict[int, frozenset[str]] = {}
        self._events: list[PoolEvent] = []

    def capacity(self) -> Capacity:
        taking = {name: node for name, node in self._named() if node.alive and node.slots and name not in self.left_out}
        slots = sum(node.slots for node in taking.values())
        room = sum(node.slots - len(node.running) for node in taking.values())
        if self._limit is not None:
            slots, room = min(slots, self._limit), min(room, self._limit - len(self._running))
        return Capacity(
            slots=slots,
            free=max(0, room - len(self._queue)),
            problem=None if slots else self.problem,
            hopeless=self.hopeless and not slots,
            final=self.final,
            warnings=(*self.warnings, *self.left_out.values()),
            nodes={name: name for name in taking},
        )

    def limit(self, most: int | None) -> None:
        self._limit = most

    def want(self, n_trials: float) -> None:
        self.wanted = n_trials

    def leave_out(self, node: str, reason: str) -> None:
        self.left_out[node] = reason

    def launch(self, launch: Launch, *, avoid: Collection[str] = ()) -> None:
        assert not self.closed, "launched on a closed pool"
        assert all((a.trial, a.attempt) != (launch.trial, launch.attempt) for a in self.launched), "launched twice"
        self.launched.append(launch)
        self._avoid[launch.trial] = frozenset(avoid)
        self._queue.append(launch)
        self._place()

    def stop(self, trial: int, attempt: int, *, kill: bool = False) -> None:
        self.stops.append((trial, attempt, kill))
        for launch in [a for a in self._queue if (a.trial, a.attempt) == (trial, attempt)]:
            self._queue.remove(launch)
            self._ended(launch, End(Cause.STOPPED, exit_code=None))
        running = self._running.get((trial, attempt))
        if running is not None:
            self._kill(running) if kill else self._terminate(running)

    def allow(self, trial: int, attempt: int, timeout_s: float | None) -> None:
        running = self._running.get((trial, attempt))
        if running is not None:
            running.launch = replace(running.launch, timeout_s=timeout_s)
            self._watch_clock(running)

    def poll(self, timeout_s: float) -> list[PoolEvent]:
        until_s = self._now_s + timeout_s
        while self._agenda and self._agenda[0][0] <= (self._now_s if self._events else until_s):
            self._now_s, _, action = heapq.heappop(self._agenda)
            action()
        if not self._events:
            self._now_s = until_s
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        self.closed = True
        self._queue.clear()
        self._running.clear()
        self._agenda.clear()
        self._nodes.clear()

    def clock(self) -> float:
        """Return the virtual time in seconds; 0 at the start."""
        return self._now_s

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        """Do something at a virtual time, e.g. lose a node."""
        heapq.heappush(self._agenda, (max(time_s, self._now_s), next(self._order), action))

    def advance(self, seconds: float) -> None:
        """Let time pass as if the controller were busy; what happens meanwhile waits for `poll`."""
        until_s = self._now_s + seconds
        while self._agenda and self._agenda[0][0] <= until_s:
            self._now_s, _, action = heapq.heappop(self._agenda)
            action()
        self._now_s = until_s

    def lose_worker(self, trial: int, *, replaced_after_s: float = 0.0) -> None:
        """The worker of a trial dies; its slot is back after a while. Nothing when the trial is not running."""
        running = next((r for (number, _), r in self._running.items() if number == trial), None)
        if running is None:
            return
        node = self._nodes[running.node]
        node.slots -= 1
        self._ended(running.launch, End(Cause.WORKER_LOST, exit_code=None, error="its worker died"))
        self._changed()
        self.at(self._now_s + replaced_after_s, lambda: self._grow(node))

    def lose_node(self, index: int = 0, *, cause: Cause = Cause.NODE_LOST) -> None:
        """A node dies, or is taken away (`Cause.PREEMPTED`), with everything on it."""
        node = self._nodes[index]
        node.alive = False
        for key in sorted(node.running):
            self._ended(self._running[key].launch, End(cause, exit_code=None, error=f"node {index} is gone"))
        self._changed()

    def join(self, slots: int) -> None:
        """A node joins."""
        self._nodes.append(_Node(slots=slots))
        self._changed()
        self._place()

    def _grow(self, node: _Node) -> None:
        node.slots += 1
        if node.alive:
            self._changed()
            self._place()

    def _changed(self) -> None:
        self._events.append(CapacityChanged(capacity=self.capacity()))

    def _place(self) -> None:
        for launch in list(self._queue):
            index = self._place_for(launch)
            if index is None:
                continue
            self._queue.remove(launch)
            self.now_on = name = f"node{index}"
            running = _Running(launch=launch, node=index, steps=iter(self._script(launch)))
            key = (launch.trial, launch.attempt)
            self._running[key] = running
            self._nodes[index].running.add(key)
            self._events.append(Placed(trial=launch.trial, attempt=launch.attempt, node=name, host=name))
            self._later(running, self._start_s, lambda r=running: self._start(r))

    def _place_for(self, launch: Launch) -> int | None:
        open_ = [i for i, (name, node) in enumerate(self._named()) if node.alive and name not in self.left_out]
        avoided = self._avoid[launch.trial]
        elsewhere = [i for i in open_ if f"node{i}" not in avoided and self._nodes[i].slots]
        free = (i for i in elsewhere or open_ if len(self._nodes[i].running) < self._nodes[i].slots)
        return next(free, None)

    def _named(self) -> list[tuple[str, _Node]]:
        return [(f"node{index}", node) for index, node in enumerate(self._nodes)]

    def _start(self, running: _Running) -> None:
        launch = running.launch
        pid = 1000 + len(self.launched)
        host = f"node{running.node}"
        now = EPOCH_S + self._now_s
        ids = {"trial": launch.trial, "attempt": launch.attempt}
        self._events.append(Started(**ids, time=now, pid=pid, host=host, gpu_ids=self._gpu_ids))
        running.began_s = self._now_s
        self._watch_clock(running)
        self._go_on(running)

    def _watch_clock(self, running: _Running) -> None:
        timeout_s = running.launch.timeout_s
        if timeout_s is not None and running.began_s is not None:
            self.at(max(self._now_s, running.began_s + timeout_s), lambda: self._time_out(running, timeout_s))

    def _go_on(self, running: _Running) -> None:
        step = next(running.steps, End())
        if running.asked and isinstance(step, End) and step.cause is Cause.FINISHED:
            step = self._stopped(running)
        self._schedule(running, step)

    def _schedule(self, running: _Running, step: Step) -> None:
        delay_s = step.seconds if isinstance(step, Wait) else step.after_s
        self._later(running, delay_s, lambda: self._do(running, step))

    def _do(self, running: _Running, step: Step) -> None:
        match step:
            case Log():
                self._report(running, step)
                self._go_on(running)
            case Wait():
                self._go_on(running)
            case End():
                self._ended(running.launch, step)

    def _report(self, running: _Running, step: Log) -> None:
        now = EPOCH_S + self._now_s
        report = Report(index=running.n_reports, time=now, step=step.step, metrics=dict(step.metrics))
        running.n_reports += 1
        launch = running.launch
        self._events.append(Reported(trial=launch.trial, attempt=launch.attempt, reports=(report,)))

    def _terminate(self, running: _Running) -> None:
        if running.asked:
            return
        running.asked = True
        self.at(self._now_s + running.launch.grace_s, lambda: self._kill(running))
        if not isinstance(running.steps, Generator):
            self._schedule(running, self._stopped(running))
            return
        try:
            step: Step = running.steps.throw(SystemExit(143))
        except (SystemExit, StopIteration):
            step = self._stopped(running)
        self._schedule(running, step)

    def _kill(self, running: _Running) -> None:
        running.asked = True
        if self._is_running(running):
            self._ended(running.launch, self._stopped(running, signal=9))

    def _time_out(self, running: _Running, timeout_s: float) -> None:
        if running.launch.timeout_s == timeout_s:  # else it was given another meanwhile
            running.timed_out = not running.asked
            self._terminate(running)

    def _stopped(self, running: _Running, signal: int = 15) -> End:
        cause = Cause.TIMED_OUT if running.timed_out else Cause.STOPPED
        return End(cause, exit_code=None, signal=signal)

    def _ended(self, launch: Launch, end: End) -> None:
        key = (launch.trial, launch.attempt)
        running = self._running.pop(key, None)
        if running is not None:
            self._nodes[running.node].running.discard(key)
        self._events.append(
            Ended(
                trial=launch.trial,
                attempt=launch.attempt,
                time=EPOCH_S + self._now_s,
                cause=end.cause,
                exit_code=end.exit_code,
                signal=end.signal,
                error=end.error,
                log_tail=end.log_tail,
            )
        )
        self._place()

    def _is_running(self, running: _Running) -> bool:
        return self._running.get((running.launch.trial, running.launch.attempt)) is running

    def _later(self, running: _Running, delay_s: float, action: Callable[[], None]) -> None:
        """Schedule a trial's next step; a newer one, or its end, cancels it."""
        running.turn += 1
        turn = running.turn
        if delay_s == float("inf"):
            return

        def act() -> None:
            if self._is_running(running) and running.turn == turn:
                action()

        self.at(self._now_s + delay_s, act)
