"""The seam of early termination: what a stopping rule is told, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The objective of one trial so far.

    Attributes:
        scores: The n-th finite value of the metric, lower is better, in the order reported.
        running: Whether the trial could still be stopped.
        diverged_at: Position (from 0) of the first report of the metric that was NaN or infinite; None: there is none.
    """

    scores: Sequence[float]
    running: bool
    diverged_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A decision to end a running trial. `reason` is one sentence for the user, with the numbers that decided."""

    trial: int
    reason: str


class StoppingRule(Protocol):
    """A rule: a pure function of the curves of every trial of the sweep, so that resuming keeps every rung."""

    def decide(self, curves: Mapping[int, Curve], changed: Sequence[int]) -> list[Stop]:
        """Return the running trials to end now.

        Args:
            curves: By trial number, every trial of the sweep in any state.
            changed: Trials whose curves grew since the last call; a rule may look at others too.
        """
        ...
