"""What follows from the end of an attempt: one table, and the breaker for sweeps whose trials all fail alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from orchestrator.ledger.records import Asker, TrialState
from orchestrator.trial.contract.events import Cause, Ended, TrialEvent, likeness


class Policy(Enum):
    """What a cause means for its trial."""

    DONE = auto()  # the trial has finished
    RETRY = auto()  # its own failure: again while `orchestrator.retries` last, then failed
    AGAIN = auto()  # not its fault: again, not counted
    FAIL = auto()  # trying the same thing again cannot help
    ASKED = auto()  # we asked it to end: whoever asked decides


POLICIES: Mapping[Cause, Policy] = {
    Cause.FINISHED: Policy.DONE,
    Cause.FAILED: Policy.RETRY,
    Cause.KILLED: Policy.RETRY,
    Cause.TIMED_OUT: Policy.RETRY,
    Cause.OUT_OF_MEMORY: Policy.FAIL,
    Cause.NO_METRIC: Policy.FAIL,
    Cause.NOT_STARTED: Policy.FAIL,
    Cause.WORKER_LOST: Policy.AGAIN,
    Cause.NODE_LOST: Policy.AGAIN,
    Cause.PREEMPTED: Policy.AGAIN,
    Cause.CONTROLLER_LOST: Policy.AGAIN,
    Cause.STOPPED: Policy.ASKED,
    Cause.STOPPED_BY_USER: Policy.ASKED,
}

NOBODYS_FAULT = frozenset({Cause.PREEMPTED, Cause.CONTROLLER_LOST})
"""Losses that say nothing about a trial."""

MAX_LOSSES = 5
"""A trial that lost its worker this often is what kills workers (host memory, most of the time): it fails."""

SAME_ERRORS = 5
"""A sweep whose first trials all fail with one error stops after this many."""


LEAVES: Mapping[Asker, TrialState] = {
    Asker.RULE: TrialState.STOPPED,  # what it showed counts
    Asker.LIMIT: TrialState.FINISHED,  # it has done what it was asked to do
    Asker.USER: TrialState.STOPPED,
    Asker.CANCEL: TrialState.CANCELED,
    Asker.INTERRUPT: TrialState.PENDING,  # it runs again on `sweep resume`
}
"""In which state the end of an attempt leaves its trial, by who had asked for it."""

OVERRULES: Mapping[Asker, frozenset[Asker]] = {
    Asker.USER: frozenset({Asker.INTERRUPT}),
    Asker.CANCEL: frozenset({Asker.INTERRUPT, Asker.USER}),
}
"""Whose request gives way to which: else who asked first decides what becomes of a trial."""

CAUSES: Mapping[Asker, Cause] = {Asker.USER: Cause.STOPPED_BY_USER}
"""What an attempt is said to have ended of that was stopped on request; a worker knows only that it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An attempt was asked to end."""

    asker: Asker
    reason: str


BY_USER = Request(asker=Asker.USER, reason="stopped by its user")
"""What `sweep stop SWEEP TRIAL` asks of a trial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Where a trial goes after an attempt; `reason` says why when that is not obvious from the cause."""

    state: TrialState
    reason: str | None = None


@dataclass(slots=True, kw_only=True)
class History:
    """How often a trial ended badly so far, this end included."""

    failures: int = 0
    losses: int = 0

    def count(self, cause: Cause) -> None:
        """Take one more end into account."""
        self.failures += POLICIES[cause] is Policy.RETRY
        self.losses += POLICIES[cause] is Policy.AGAIN and cause not in NOBODYS_FAULT


def verdict(cause: Cause, history: History, *, retries: int, request: Request | None = None) -> Verdict:
    """Return what an attempt's end means for its trial.

    Args:
        cause: Why the attempt ended.
        history: The trial's ends so far, this one included.
        retries: How many own failures the spec forgives per trial.
        request: Who had asked the attempt to end, if anybody had.
    """
    policy = POLICIES[cause]
    if policy is Policy.DONE:
        return Verdict(state=TrialState.FINISHED)
    if request is not None:
        return Verdict(state=LEAVES[request.asker], reason=request.reason)
    if policy is Policy.ASKED:
        return Verdict(state=TrialState.PENDING, reason="stopped by its worker")
    if policy is Policy.AGAIN and history.losses >= MAX_LOSSES:
        return Verdict(state=TrialState.FAILED, reason=f"lost its worker {history.losses} times")
    if policy is Policy.AGAIN:
        return Verdict(state=TrialState.PENDING, reason=cause.words)
    if policy is Policy.RETRY and history.failures <= retries:
        return Verdict(state=TrialState.PENDING, reason=f"retry {history.failures} of {retries}")
    return Verdict(state=TrialState.FAILED)


def attributed(event: TrialEvent, request: Request | None) -> TrialEvent:
    """Return an event, an end on request with the cause that who asked for it gives it."""
    if request is None or not isinstance(event, Ended) or event.cause is not Cause.STOPPED:
        return event
    return replace(event, cause=CAUSES.get(request.asker, event.cause))


@dataclass(slots=True, kw_only=True)
class Breaker:
    """Trips when the first trials of a sweep all fail with the same error, not to fail a thousand times."""

    limit: int = SAME_ERRORS
    _error: str | None = field(default=None, init=False)
    _count: int = field(default=0, init=False)
    _off: bool = field(default=False, init=False)

    def succeeded(self) -> None:
        """A trial worked: from now on failures are news about configs, not about the program."""
        self._off = True

    def failed(self, ended: Ended) -> str | None:
        """Take a failed trial into account; return the error when it is the one that all of the first trials had."""
        if self._off:
            return None
        signature = likeness(ended.cause, ended.error)
        self._count = self._count + 1 if signature == self._error else 1
        self._error = signature
        return (ended.error or ended.cause.value) if self._count >= self.limit else None
