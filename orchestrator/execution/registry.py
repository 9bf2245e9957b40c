"""Who runs what: the pool's books, without Ray, clock or threads.

A member is a worker as the pool knows it. An attempt waits, then belongs to one member until it ends or its member is
lost; whatever else arrives about it is not passed on.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
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
    """An attempt that has not ended. `kill` is what `stop` was last asked with, None when it was not."""

    launch: Launch
    given_s: float = 0.0
    started: bool = False
    kill: bool | None = None

    @property
    def key(self) -> Key:
        """What fences its messages."""
        return (self.launch.trial, self.launch.attempt)


@dataclass(slots=True, kw_only=True, eq=False)
class Member:
    """A worker.

    Attributes:
        actor: Ray's handle.
        slots: Attempts it may run at once.
        node: Where it was placed; None when Ray decides.
        since_s: When it was asked for.
        call: The call whose answer is awaited: first `hello`, then one `poll` after the other; None between two tries.
        called_s: When that was sent: from then on the worker's lease counts.
        heard_s: When it last answered.
        ready_s: When it greeted; infinite until then.
        acknowledged: Number of the last batch that arrived.
        closed: Whether it takes no new attempts, because its node is about to leave.
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
    closed: bool = False
    running: dict[Key, Attempt] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether it has greeted."""
        return self.ready_s < math.inf

    @property
    def host(self) -> str:
        """Name of its node's machine."""
        return self.node.host if self.node else "unknown"

    @property
    def free(self) -> int:
        """Attempts it would take now."""
        return self.slots - len(self.running) if self.ready and not self.closed else 0


class Fleet:
    """Members, their attempts, and the launches that wait for a slot.

    Args:
        limit: The most attempts at once.
    """

    def __init__(self, limit: float = math.inf) -> None:
        self.limit = limit
        self.members: list[Member] = []
        self._waiting: deque[Attempt] = deque()

    @property
    def slots(self) -> int:
        """Attempts that fit at once."""
        open_slots = sum(m.slots for m in self.members if m.ready and not m.closed)
        return int(min(self.limit, open_slots))

    @property
    def free(self) -> int:
        """Attempts that could be launched now."""
        running = sum(len(m.running) for m in self.members)
        room = min(sum(m.free for m in self.members), self.limit - running)
        return max(0, int(room) - len(self._waiting))

    @property
    def missing(self) -> float:
        """Slots to look for: those wanted and neither there nor on their way."""
        return self.limit - sum(m.slots for m in self.members if not m.closed)

    def add(self, launch: Launch) -> None:
        """Let a launch wait for a slot."""
        self._waiting.append(Attempt(launch=launch))

    def assign(self, now_s: float) -> list[tuple[Member, Attempt]]:
        """Give waiting attempts to the emptiest members; the caller tells them."""
        given = []
        while self._waiting:
            member = max(self.members, key=lambda m: m.free / m.slots, default=None)
            if member is None or member.free <= 0:
                break
            attempt = self._waiting.popleft()
            attempt.given_s = now_s
            member.running[attempt.key] = attempt
            given.append((member, attempt))
        return given

    def find(self, key: Key) -> tuple[Member, Attempt] | None:
        """Return the running attempt and its member."""
        for member in self.members:
            if key in member.running:
                return member, member.running[key]
        return None

    def withdraw(self, key: Key) -> Attempt | None:
        """Take back an attempt that still waits."""
        found = next((a for a in self._waiting if a.key == key), None)
        if found is not None:
            self._waiting.remove(found)
        return found

    def take(self, member: Member, events: Iterable[TrialEvent]) -> list[TrialEvent]:
        """Return the events that are news, of attempts that belong to this member, and book them."""
        news: list[TrialEvent] = []
        for event in events:
            attempt = member.running.get((event.trial, event.attempt))
            if attempt is None:
                continue
            if isinstance(event, Started):
                attempt.started = True
            if isinstance(event, Ended):
                del member.running[attempt.key]
            news.append(event)
        return news

    def lose(self, member: Member) -> Sequence[Attempt]:
        """Strike a member off and return the attempts that it had."""
        self.members.remove(member)
        attempts = list(member.running.values())
        member.running.clear()
        return attempts

    def unheeded(self, now_s: float, after_s: float) -> list[tuple[Member, Attempt]]:
        """Return attempts whose launch or stop may have got lost on its way: telling them again does no harm."""
        old = now_s - after_s
        return [
            (member, attempt)
            for member in self.members
            for attempt in member.running.values()
            if attempt.given_s < old and (not attempt.started or attempt.kill is not None)
        ]


def lost(attempt: Attempt, cause: Cause, time: float, error: str) -> Ended:
    """Return the end of an attempt whose worker is gone."""
    trial, number = attempt.key
    return Ended(trial=trial, attempt=number, time=time, cause=cause, error=error)


@dataclass(slots=True)
class Growth:
    """When a cluster is asked for room that it does not have: ever less often, and at once when something has changed."""

    _nodes: frozenset[str] = frozenset()
    _wait_s: float = 0.0
    _due_s: float = -math.inf

    def see(self, nodes: Iterable[str]) -> None:
        """Take in which nodes there are."""
        before, self._nodes = self._nodes, frozenset(nodes)
        if before != self._nodes:
            self.begin_anew()

    def begin_anew(self) -> None:
        """Something has changed: the next request may fare better."""
        self._wait_s, self._due_s = 0.0, -math.inf

    def may_ask(self, now_s: float) -> bool:
        """Return whether to ask now. If so, that is taken for a request that fails, until `begin_anew`."""
        if now_s < self._due_s:
            return False
        self._wait_s = min(MAX_ASK_S, max(ASK_S, 2 * self._wait_s))
        self._due_s = now_s + self._wait_s
        return True
