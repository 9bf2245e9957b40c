"""The next config, asked for ahead of need and in the background, so that a slot does not wait for the search."""

import math
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from orchestrator.search.protocol import Config, Observation, Pending, Search, suggest_batch

STALE_SHARE = 0.02
"""A proposal made before the latest results is asked anew if that costs less than this share of a trial's time."""

BATCH_FROM = 0.25
"""Trials that end while the search thinks, above which it is asked for several configs at a time."""

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
    """

    number: int
    config: Config | None
    n_observed: int


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
