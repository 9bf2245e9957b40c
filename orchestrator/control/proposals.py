"""The next config, asked for ahead of need and in the background, so that a slot does not wait for the search."""

import math
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from orchestrator.search.protocol import (
    Config,
    Keeper,
    Memory,
    NotYet,
    Observation,
    Pending,
    Remembered,
    Row,
    Search,
    suggest_batch,
)

STALE_SHARE = 0.02
"""A proposal that misses the latest results is made anew if that costs less than this share of a trial's time."""

BATCH_FROM = 0.25
"""Trials that end during one proposal, above which several configs are proposed at a time."""

THINKS_S = 0.05
"""A search that learns is taken to think at least so long: its first answers, which know no results, are quick."""

MAX_BATCH = 128
"""At most this many configs are asked for at a time."""

N_TIMED = 3
"""Answers whose median time says how long the search thinks: one that took long says little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the search may know when it is asked: every trial so far, ended or not.

    Attributes:
        left: How many trials are to come at most; None for no end.
    """

    number: int
    observations: Sequence[Observation]
    pending: Sequence[Pending]
    left: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A config for trial `number`; None when the space is exhausted.

    Attributes:
        n_observed: How many ended trials the search knew.
        memory: What the search wants kept together with the trial.
    """

    number: int
    config: Config | None
    n_observed: int
    memory: Memory = field(default_factory=Memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a search has said unasked.

    Attributes:
        stops: Why trials should end now, by number.
        memory: What it wants kept.
        remarks: What the user should know.
    """

    stops: Mapping[int, str] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    remarks: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast trials are used up.

    Attributes:
        trial_s: Typical duration of a trial in seconds.
        slots: How many run at once.
    """

    trial_s: float
    slots: int

    def ended_in(self, seconds: float) -> float:
        """Return how many trials end in that time."""
        return seconds * self.slots / max(self.trial_s, 1e-3)


class Proposals:
    """One search, asked from one background thread.

    An adaptive search learns from results, so a proposal made before the latest result is stale. It is asked anew when
    waiting for that costs little of what a trial costs, and used as it is otherwise. Where trials are so short that
    they end faster than the search thinks, it is asked for several at a time. A search that does not learn (grid,
    random) costs microseconds and is asked on the spot.
    """

    def __init__(self, search: Search, *, adaptive: bool, known: Callable[[], Known]) -> None:
        self._search = search
        self._adaptive = adaptive
        self._known = known
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="search")
        self._asked: Future[list[Proposal]] | None = None
        self._queue: deque[Proposal] = deque()
        self._times_s: deque[float] = deque([THINKS_S], maxlen=N_TIMED)
        self._batch = 1

    def ready(self, pace: Pace | None) -> Proposal | None:
        """Return the next trial's proposal if it is ready, else None; never blocks.

        Args:
            pace: How fast trials are used up, None while none has ended.

        Raises:
            Exception: Whatever the search raised.
        """
        if not self._adaptive:
            return self._ask(self._known(), 1)[0]
        known = self._known()
        self._collect(known)
        self._batch = self._batch_for(pace)
        while len(self._queue) > self._batch:
            self._queue.pop()  # later trials may learn from more
        if self._queue and (self._queue[0].number != known.number or self._worth_asking_again(known, pace)):
            self._queue.clear()
        if not self._queue:
            self.ask_ahead()
            return None
        return self._queue.popleft()

    def ask_ahead(self) -> None:
        """Ask an adaptive search for what comes after the proposals at hand, unless enough are or that is under way."""
        if self._adaptive and self._asked is None and len(self._queue) <= self._batch // 2:
            known = self._known()
            waiting = [Pending(number=p.number, config=p.config) for p in self._queue if p.config is not None]
            number = known.number + len(self._queue)
            n = self._batch if known.left is None else min(self._batch, known.left - len(self._queue))
            known = Known(number=number, observations=known.observations, pending=[*known.pending, *waiting])
            if n > 0:
                self._asked = self._thread.submit(self._ask, known, n)

    @property
    def over(self) -> str | None:
        """Why the search proposes nothing more, where it says so."""
        return None

    def restore(self, memory: str | None, trials: Sequence[Remembered]) -> None:
        """Let a search take up what it wanted kept; this one keeps nothing."""

    def report(self, number: int, rows: Sequence[Row]) -> None:
        """Let a search see what a trial reports; this one learns from ends alone."""

    def tell(self, observation: Observation) -> None:
        """Let a search know of an end at once; this one is told when it is asked."""

    def again(self, number: int) -> None:
        """Let a search know that a trial which is over runs once more; this one forgets it with the controller."""

    def heard(self) -> Heard:
        """Return what the search has said unasked."""
        return Heard()

    def close(self) -> None:
        """Let the thread go; a suggestion under way is thrown away."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _collect(self, known: Known) -> None:
        """Take what the search has answered, unless it follows on proposals that are gone."""
        if self._asked is None or not self._asked.done():
            return
        asked, self._asked = self._asked, None
        answer = asked.result()
        if answer[0].number == known.number + len(self._queue):
            self._queue.extend(answer)

    def _ask(self, known: Known, n: int) -> list[Proposal]:
        start = time.monotonic()
        configs = suggest_batch(self._search, known.number, known.observations, known.pending, n)
        self._times_s.append(max(THINKS_S, time.monotonic() - start))
        n_observed = len(known.observations)
        return [Proposal(number=known.number + i, config=c, n_observed=n_observed) for i, c in enumerate(configs)]

    def _batch_for(self, pace: Pace | None) -> int:
        """How many to ask for: half of them, when the next are asked for, last longer than the search thinks."""
        n_used = pace.ended_in(self._thinks_s) if pace is not None else 0.0
        return min(MAX_BATCH, math.ceil(3 * n_used) + 1) if n_used > BATCH_FROM else 1

    def _worth_asking_again(self, known: Known, pace: Pace | None) -> bool:
        if self._batch > 1 or pace is None:
            return False  # the next result would be there before the answer
        stale = len(known.observations) > self._queue[0].n_observed
        return stale and self._thinks_s < STALE_SHARE * pace.trial_s

    @property
    def _thinks_s(self) -> float:
        return statistics.median(self._times_s)


class Dialogue(Proposals):
    """A search that keeps a study of its own: asked for one trial at a time, and told everything in the order it happened.

    It is never asked ahead: a study counts what it was asked for, so that is launched, or failed when the sweep ends first.
    All of this is one thread's work, so that a slow storage or sampler holds up nobody.
    """

    def __init__(self, search: Keeper, *, known: Callable[[], Known]) -> None:
        super().__init__(search, adaptive=True, known=known)
        self._keeper = search
        self._proposed: Future[Proposal] | None = None
        self._asked_at = 0
        self._declined_at: int | None = None
        self._stops: dict[int, str] = {}
        self._lock = threading.Lock()
        self._memory = Memory()
        self._remarks: list[str] = []
        self._failure: Exception | None = None

    @property
    def over(self) -> str | None:
        """Why the study proposes nothing more."""
        return self._keeper.over

    def restore(self, memory: str | None, trials: Sequence[Remembered]) -> None:
        """Let the study take up what the ledger has of it, before anything else."""
        self._thread.submit(self._restore, memory, trials).result()

    def ready(self, pace: Pace | None) -> Proposal | None:  # noqa: ARG002 - however fast trials are used up
        """Return the next trial's proposal if it is there, else None; never blocks."""
        if self._failure is not None:
            raise self._failure
        if self._proposed is None:
            known = self._known()
            if self._declined_at != len(known.observations):
                self._asked_at = len(known.observations)
                self._proposed = self._thread.submit(self._propose, known)
            return None
        if not self._proposed.done():
            return None
        proposed, self._proposed = self._proposed, None
        try:
            return proposed.result()
        except NotYet:
            self._declined_at = self._asked_at
            return None

    def ask_ahead(self) -> None:
        """Ask nothing before there is a place for it."""

    def report(self, number: int, rows: Sequence[Row]) -> None:
        """Give rows to the study; whether the trial goes on is heard later."""
        self._do(self._report, number, rows)

    def tell(self, observation: Observation) -> None:
        """Tell the study of an end."""
        self._do(self._tell, observation)

    def again(self, number: int) -> None:
        """Let the study have a trial run once more."""
        self._do(self._again, number)

    def heard(self) -> Heard:
        """Return what the study has said since the last call."""
        with self._lock:
            heard = Heard(stops=self._stops, memory=self._memory, remarks=self._remarks)
            self._stops, self._memory, self._remarks = {}, Memory(), []
        return heard

    def close(self) -> None:
        """Wait until the study knows all that it was told; give up what it was asked for and nobody will run."""
        self._thread.submit(self._give_up)
        self._thread.shutdown(wait=True)

    def _propose(self, known: Known) -> Proposal:
        config = self._keeper.suggest(known.number, known.observations, known.pending)
        memory = self._merged(self._keeper.remember())
        return Proposal(number=known.number, config=config, n_observed=len(known.observations), memory=memory)

    def _merged(self, memory: Memory) -> Memory:
        """Take along what is still to be written, so that the ledger never has a trial that is ahead of the study."""
        with self._lock:
            self._remarks += self._keeper.remarks()
            merged = Memory(
                trials={**self._memory.trials, **memory.trials}, search=memory.search or self._memory.search
            )
            self._memory = Memory()
        return merged

    def _report(self, number: int, rows: Sequence[Row]) -> None:
        reason = self._keeper.report(number, rows)
        with self._lock:
            self._remarks += self._keeper.remarks()
            if reason is not None:
                self._stops.setdefault(number, reason)

    def _tell(self, observation: Observation) -> None:
        self._keeper.tell(observation)
        self._keep()

    def _again(self, number: int) -> None:
        self._keeper.again(number)
        self._keep()

    def _restore(self, memory: str | None, trials: Sequence[Remembered]) -> None:
        self._keeper.restore(memory, trials)
        self._keep()

    def _keep(self) -> None:
        """Let what has changed be written when the controller next listens."""
        memory = self._merged(self._keeper.remember())
        with self._lock:
            self._memory = memory

    def _give_up(self) -> None:
        if self._proposed is None or self._proposed.exception() is not None:
            return
        proposed = self._proposed.result()
        self._keeper.forget(proposed.number)
        kept = {number: record for number, record in proposed.memory.trials.items() if number != proposed.number}
        with self._lock:
            self._memory = Memory(trials={**kept, **self._memory.trials}, search=self._memory.search)

    def _do(self, work: Callable[..., None], *given: Any) -> None:
        self._thread.submit(self._guarded, work, *given)

    def _guarded(self, work: Callable[..., None], *given: Any) -> None:
        try:
            work(*given)
        except Exception as error:  # noqa: BLE001 - the study's storage may be out of reach: said when it is asked
            self._failure = error


def proposals_of(search: Search, *, adaptive: bool, known: Callable[[], Known]) -> Proposals:
    """Return how a search is asked."""
    if isinstance(search, Keeper):
        return Dialogue(search, known=known)
    return Proposals(search, adaptive=adaptive, known=known)
