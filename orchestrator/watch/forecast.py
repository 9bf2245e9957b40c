"""When a sweep will have ended: what its trials took so far, drawn again and again for those that are left."""

import bisect
import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass

DRAWS = 80
"""How often the rest of the sweep is drawn."""

MOST_DRAWN = 200
"""Trials to come that are drawn one by one; the mean of these stands for further ones."""

LOW, HIGH = 0.03, 0.97
"""Shares of the draws between which the end is said to lie; wider than 8 times in 10, for the past is not all there is."""

DOUBT = 1.0
"""How far, by its logarithm, the typical duration of trials to come may be from that of one trial so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLeft:
    """Seconds until the end: most likely, at least and at most, as far as the past tells."""

    typical_s: float
    low_s: float
    high_s: float

    def after(self, passed_s: float) -> "TimeLeft":
        """Return it some seconds later."""
        typical, low, high = (max(0.0, left - passed_s) for left in (self.typical_s, self.low_s, self.high_s))
        return TimeLeft(typical_s=typical, low_s=low, high_s=high)


def time_left(
    took_s: Sequence[float],
    running_s: Sequence[float],
    n_waiting: int,
    at_once: int,
    *,
    n_seen: int | None = None,
    seed: int = 0,
) -> TimeLeft | None:
    """Return when the last trial will have ended; None while no trial has, or none can run.

    Trials that a rule ended early are among those that took their time, so their share is that of the trials to come.

    Args:
        took_s: Seconds that ended trials took, whatever became of them, the oldest first; or such as are expected.
        running_s: For how many seconds each running trial has run.
        n_waiting: Trials that have not begun.
        at_once: Trials that run at the same time.
        n_seen: How many trials that is known from; None for as many as `took_s` has.
        seed: Of the draws.
    """
    if not took_s or (at_once < 1 and not running_s):
        return None
    rng = random.Random(seed)
    doubt = DOUBT / (n_seen or len(took_s)) ** 0.5
    ends = sorted(_drawn_end(took_s, running_s, n_waiting, max(1, at_once), doubt=doubt, rng=rng) for _ in range(DRAWS))
    typical, low, high = (ends[int(share * (DRAWS - 1))] for share in (0.5, LOW, HIGH))
    return TimeLeft(typical_s=typical, low_s=low, high_s=high)


def _drawn_end(
    took_s: Sequence[float],
    running_s: Sequence[float],
    n_waiting: int,
    at_once: int,
    *,
    doubt: float,
    rng: random.Random,
) -> float:
    """The end of one made-up rest of the sweep, in seconds from now."""
    whole = _completed(took_s, running_s, rng)
    slots = sorted(took - ran for took, ran in zip(whole, sorted(running_s, reverse=True), strict=True))[-at_once:]
    slots += [0.0] * (at_once - len(slots))
    heapq.heapify(slots)
    known = [*took_s, *whole]
    likely = rng.choices(known, k=len(known))  # what might have been seen instead
    pace = rng.lognormvariate(0.0, doubt)
    n_drawn = min(n_waiting, MOST_DRAWN)
    for took in rng.choices(likely, k=n_drawn):
        heapq.heapreplace(slots, slots[0] + pace * took)
    beyond = (n_waiting - n_drawn) * pace * sum(likely) / len(likely) / at_once
    return max(slots) + beyond


def _completed(took_s: Sequence[float], running_s: Sequence[float], rng: random.Random) -> list[float]:
    """What running trials will have taken, the longest running first: as others that took longer, or longer than any.

    The trials that have ended are the short ones: those that run belong to the trials that one learns from.
    """
    known = sorted(took_s)
    whole: list[float] = []
    for ran in sorted(running_s, reverse=True):
        longer = bisect.bisect_right(known, ran)
        if longer < len(known):
            took = known[rng.randrange(longer, len(known))]
        else:
            took = ran + rng.expovariate(1.0) * max(ran, known[-1] - ran, 1e-3)
        bisect.insort(known, took)
        whole.append(took)
    return whole
