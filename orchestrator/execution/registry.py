"""Which workers there are and what each runs: the pool's books, without Ray, clock or threads.

An attempt waits, then belongs to one worker until it ends or its worker is lost; whatever else arrives about it is not
passed on.
"""

import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeAlias

from orchestrator.execution.placement import Node
from orchestrator.trial.contract.events import Cause, Ended, Started, TrialEvent
from orchestrator.trial.contract.launch import Launch

Key: TypeAlias = tuple[int, int]
"""(trial, attempt)."""

ASK_S = 0.2
"""How long after a request for room that failed a cluster is asked again; twice as long each further time."""

MAX_ASK_S = 5.0
"""The most of that."""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """An attempt that has not ended.

    Attributes:
        kill: What `stop` was last asked with; None when it was not.
        grace_s: How long it may take to end for a node that leaves; None when nothing, or somebody else, ends it.
        avoid: Ids of nodes that it should not run on.
    """

    launch: Launch
    avoid: frozenset[str] = frozenset()
    given_s: float = 0.0
    started: bool = False
    kill: bool | None = None
    grace_s: float | None = None

    @property
    def key(self) -> Key:
        """What fences its messages."""
        return (self.launch.trial, self.launch.attempt)


class WorkerState(StrEnum):
    """Where a worker stands."""

    REQUESTED = "requested"  # asked for where Ray finds room; no node is known
    STARTING = "starting"  # placed on a node; it has not answered yet
    READY = "ready"  # takes attempts
    DRAINING = "draining"  # its node is about to leave, or its slots are: it ends what it runs and takes nothing new
    SILENT = "silent"  # a call to it got lost; its lease runs
    LOST = "lost"  # no longer in the registry


TRANSITIONS: Mapping[WorkerState, frozenset[WorkerState]] = {
    WorkerState.REQUESTED: frozenset({WorkerState.STARTING, WorkerState.READY, WorkerState.LOST}),
    WorkerState.STARTING: frozenset({WorkerState.READY, WorkerState.DRAINING, WorkerState.LOST}),
    WorkerState.READY: frozenset({WorkerState.DRAINING, WorkerState.SILENT, WorkerState.LOST}),
    WorkerState.DRAINING: frozenset({WorkerState.STARTING, WorkerState.READY, WorkerState.LOST}),
    WorkerState.SILENT: frozenset({WorkerState.READY, WorkerState.DRAINING, WorkerState.LOST}),
    WorkerState.LOST: frozenset(),
}
"""The only ways from one state to another."""


@dataclass(slots=True, kw_only=True, eq=False)
class WorkerHandle:
    """A worker as the pool knows it.

    Attributes:
        actor: Ray's handle.
        slots: Attempts it may run at once.
        node: Where it was placed; None when Ray decides.
        since_s: When it was asked for; where Ray decides, when it was seen to have a node.
        call: The call whose answer is awaited: first `hello`, then one `poll` after the other; None between two tries.
        called_s: When that was sent: from then on the worker's lease counts.
        heard_s: When it last answered.
        ready_s: When it first answered; infinite until then.
        acknowledged: Number of the last batch that arrived.
        code: Number of the state of the project that its node was last compared with.
        other_code: How its node's project is another than that; None when it is not.
        yields: Whether it takes no more attempts, since another sweep's turn has come.
    """

    actor: Any
    slots: int
    node: Node | None
    since_s: float
    call: Any = None
    called_s: float = 0.0
    heard_s: float = math.inf
    ready_s: float = math.inf
    acknowledged: int = 0
    code: int = 0
    other_code: str | None = None
    yields: bool = False
    running: dict[Key, Attempt] = field(default_factory=dict)
    state: WorkerState = WorkerState.STARTING

    def __post_init__(self) -> None:
        if self.node is None:
            self.state = WorkerState.REQUESTED

    def move(self, state: WorkerState) -> None:
        """Go to another state; staying is no move."""
        assert state is self.state or state in TRANSITIONS[self.state], f"{self.state} -> {state}"
        self.state = state

    def place(self, node: Node, now_s: float) -> None:
        """Note where Ray has found room for it: from then on it takes as long to start as any other."""
        self.node, self.since_s = node, now_s
        self.move(WorkerState.STARTING)

    def answered(self, now_s: float) -> None:
        """Note its first answer, or that it is heard again."""
        self.ready_s = min(self.ready_s, now_s)
        if not self.is_draining:
            self.move(WorkerState.READY)

    def missed(self) -> None:
        """Note that a call to it got lost."""
        self.call = None
        if self.state is WorkerState.READY:
            self.move(WorkerState.SILENT)

    def drain(self, draining: bool) -> None:  # noqa: FBT001 - the node's own word
        """Note whether its node, or it alone, is about to leave."""
        if draining:
            self.move(WorkerState.DRAINING)
        elif self.is_draining:
            self.move(WorkerState.READY if self.ready else WorkerState.STARTING)

    @property
    def ready(self) -> bool:
        """Whether it has ever answered."""
        return self.ready_s < math.inf

    @property
    def is_draining(self) -> bool:
        """Whether it ends what it runs and then goes."""
        return self.state is WorkerState.DRAINING

    @property
    def is_open(self) -> bool:
        """Whether it takes new attempts."""
        return self.state in {WorkerState.READY, WorkerState.SILENT}

    @property
    def host(self) -> str:
        """Name of its node's machine."""
        return self.node.host if self.node else "unknown"

    @property
    def node_id(self) -> str:
        """Id of its node; empty while that is not known."""
        return self.node.node_id if self.node else ""

    @property
    def free(self) -> int:
        """Attempts it would take now."""
        return self.slots - len(self.running) if self.is_open else 0


class WorkerRegistry:
    """Workers, their attempts, and the launches that wait for a slot.

    Args:
        limit: The most attempts at once.

    Attributes:
        wanted: How many attempts could run at once if there were room: for more no cluster need grow.
        may_start: How many slots may be started now, where other sweeps wait for some.
    """

    def __init__(self, limit: float = math.inf) -> None:
        self.limit = limit
        self.wanted: float = 1
        self.may_start: float = math.inf
        self.workers: list[WorkerHandle] = []
        self._waiting: deque[Attempt] = deque()

    @property
    def slots(self) -> int:
        """Attempts that fit at once."""
        open_slots = sum(w.slots for w in self.workers if w.is_open)
        return int(min(self.limit, open_slots))

    @property
    def free(self) -> int:
        """Attempts that could be launched now."""
        running = sum(len(w.running) for w in self.workers)
        room = min(sum(w.free for w in self.workers), self.limit - running)
        return max(0, int(room) - len(self._waiting))

    @property
    def nodes(self) -> dict[str, str]:
        """The hosts of the nodes that take attempts, by the node's id."""
        return {w.node.node_id: w.node.host for w in self.workers if w.node and w.is_open}

    def add(self, launch: Launch, avoid: Collection[str] = ()) -> None:
        """Let a launch wait for a slot."""
        self._waiting.append(Attempt(launch=launch, avoid=frozenset(avoid)))

    def assign(self, now_s: float) -> list[tuple[WorkerHandle, Attempt]]:
        """Give waiting attempts to the emptiest workers; the caller tells them."""
        given = []
        for attempt in list(self._waiting):
            worker = max(self._suitable(attempt), key=lambda w: w.free / w.slots, default=None)
            if worker is None or worker.free <= 0:
                if attempt.avoid:
                    continue
                break
            self._waiting.remove(attempt)
            attempt.given_s = now_s
            worker.running[attempt.key] = attempt
            given.append((worker, attempt))
        return given

    def _suitable(self, attempt: Attempt) -> Sequence[WorkerHandle]:
        """The workers that an attempt may go to: those on nodes that it does not avoid, where there are any."""
        if not attempt.avoid:
            return self.workers
        elsewhere = [w for w in self.workers if w.node_id not in attempt.avoid and not w.is_draining]
        return elsewhere or self.workers

    def find(self, key: Key) -> tuple[WorkerHandle, Attempt] | None:
        """Return the running attempt and its worker."""
        for worker in self.workers:
            if key in worker.running:
                return worker, worker.running[key]
        return None

    def allow(self, key: Key, timeout_s: float | None) -> WorkerHandle | None:
        """Let an attempt take so many seconds; return the worker that has it, if one has."""
        worker, attempt = self.find(key) or (None, next((a for a in self._waiting if a.key == key), None))
        if attempt is not None:
            attempt.launch = replace(attempt.launch, timeout_s=timeout_s)
        return worker

    def withdraw(self, key: Key) -> Attempt | None:
        """Take back an attempt that still waits."""
        found = next((a for a in self._waiting if a.key == key), None)
        if found is not None:
            self._waiting.remove(found)
        return found

    def take(self, worker: WorkerHandle, number: int, events: Iterable[TrialEvent]) -> list[TrialEvent]:
        """Book a worker's batch of events, and return those of attempts that belong to it; others are late.

        Args:
            worker: Who sent them.
            number: The batch's: one that was booked before comes again where the answer to it got lost.
            events: What it has.
        """
        if number <= worker.acknowledged:
            return []
        worker.acknowledged = number
        news: list[TrialEvent] = []
        for event in events:
            attempt = worker.running.get((event.trial, event.attempt))
            if attempt is None:
                continue
            if isinstance(event, Started):
                attempt.started = True
            if isinstance(event, Ended):
                del worker.running[attempt.key]
                news.append(_by_whom(event, attempt, worker.host))
                continue
            news.append(event)
        return news

    def remove(self, worker: WorkerHandle) -> Sequence[Attempt]:
        """Remove a lost worker and return the attempts that it had."""
        self.workers.remove(worker)
        worker.move(WorkerState.LOST)
        attempts = list(worker.running.values())
        worker.running.clear()
        return attempts

    def unheeded(self, now_s: float, after_s: float) -> list[tuple[WorkerHandle, Attempt]]:
        """Return attempts whose launch or stop may have got lost on its way: telling them again does no harm."""
        old = now_s - after_s
        return [
            (worker, attempt)
            for worker in self.workers
            for attempt in worker.running.values()
            if attempt.given_s < old and (not attempt.started or attempt.kill is not None)
        ]


def _by_whom(ended: Ended, attempt: Attempt, host: str) -> Ended:
    """Return the end of an attempt that was asked to end as what it is: by its node that leaves, or by the controller."""
    if attempt.grace_s is None or ended.cause is not Cause.STOPPED:
        return ended
    return replace(ended, cause=Cause.PREEMPTED, error=f"node {host} is being taken away")


def lost(attempt: Attempt, cause: Cause, time: float, error: str) -> Ended:
    """Return the end of an attempt whose worker is gone."""
    trial, number = attempt.key
    return Ended(trial=trial, attempt=number, time=time, cause=cause, error=error)


class LateEnds:
    """Ends of lost attempts, announced no sooner than nothing can be left of the attempt on its node."""

    def __init__(self) -> None:
        self._ends: list[tuple[float, Ended]] = []

    def add(self, ended: Ended, due_s: float) -> None:
        """Keep an end until a moment, in monotonic seconds."""
        self._ends.append((due_s, ended))

    def due(self, now_s: float, time: float) -> Sequence[Ended]:
        """Return the ends whose moment has come, as ends at `time`, in Unix seconds; each once."""
        due = [replace(ended, time=time) for due_s, ended in self._ends if due_s <= now_s]
        self._ends = [each for each in self._ends if each[0] > now_s]
        return due


@dataclass(slots=True)
class Growth:
    """The times of requests for more nodes: ever further apart, and at once when the nodes have changed."""

    _nodes: frozenset[str] = frozenset()
    _wait_s: float = 0.0
    _due_s: float = -math.inf

    def see(self, nodes: Iterable[str]) -> None:
        """Take in which nodes there are."""
        before, self._nodes = self._nodes, frozenset(nodes)
        if before != self._nodes:
            self.begin_anew()

    def begin_anew(self) -> None:
        """Let the next request be made at once: it may succeed now."""
        self._wait_s, self._due_s = 0.0, -math.inf

    def may_ask(self, now_s: float) -> bool:
        """Return whether to ask now. If so, that is taken for a request that fails, until `begin_anew`."""
        if now_s < self._due_s:
            return False
        self._wait_s = min(MAX_ASK_S, max(ASK_S, 2 * self._wait_s))
        self._due_s = now_s + self._wait_s
        return True
