"""When has a learning curve diverged? Far above where it began, for long enough that it is no spike."""

from collections.abc import Sequence

BLOWN_UP = 3.0
"""How many times its whole way down a curve must lie above its first value; at least twice its first value, too."""

LEAST_WAY = 0.1
"""A curve that hardly came down is taken to have come down by this share of its first value."""

MIN_STAY = 3
"""Values in a row that must be as high..."""

STAY_SHARE = 5
"""...and one in so many of all values: where a trial reports every step, a spike lasts for many reports."""


def diverged_since(scores: Sequence[float]) -> int | None:
    """Return the position (from 0) from which on a curve has diverged, None when it has not.

    The latest values all lie above ``first + BLOWN_UP * max(first - best, LEAST_WAY * |first|)`` and above ``2 |first|``.
    A bounded metric such as an accuracy never gets there, nor does a loss that overfits slowly: only what has lost all
    that it ever gained, several times over, and stays there.

    Args:
        scores: Lower is better, finite, in the order reported.
    """
    if len(scores) <= MIN_STAY or scores[0] == min(scores) == 0:
        return None
    first = scores[0]
    level = max(first + BLOWN_UP * max(first - min(scores), LEAST_WAY * abs(first)), 2 * abs(first))
    since = len(scores)
    while since and scores[since - 1] > level:
        since -= 1
    return since if len(scores) - since >= max(MIN_STAY, len(scores) // STAY_SHARE) else None
