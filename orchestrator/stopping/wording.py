"""Numbers and shares as a user reads them in the reason of a stop."""

from collections.abc import Callable
from fractions import Fraction

from orchestrator.spec.model import Goal

Show = Callable[[float, float], tuple[str, str]]
"""Turns two scores into the user's units, with as many digits as it takes to tell them apart."""

_SHARES = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 6: "sixth", 8: "eighth", 10: "tenth"}


def show_as(goal: Goal) -> Show:
    """Return the function that words scores of a metric with this goal (scores of a maximised metric are negated)."""
    sign = goal.sign

    def show(one: float, other: float) -> tuple[str, str]:
        # Adding 0.0 turns -0.0 into 0.0.
        return tell_apart(sign * one + 0.0, sign * other + 0.0)

    return show


def tell_apart(one: float, other: float) -> tuple[str, str]:
    """Write two numbers with 3 to 17 digits, the fewest that make different numbers look different."""
    for digits in range(3, 17):
        texts = f"{one:.{digits}g}", f"{other:.{digits}g}"
        if texts[0] != texts[1] or one == other:
            return texts
    return repr(one), repr(other)


def share(eta: float) -> str:
    """Name the share that survives, e.g. ``top third`` for eta 3."""
    if eta in _SHARES:
        return f"top {_SHARES[int(eta)]}"
    kept = Fraction(1 / eta).limit_denominator(20)
    return f"top {kept.numerator}/{kept.denominator}" if kept else f"top 1/{eta:g}"
