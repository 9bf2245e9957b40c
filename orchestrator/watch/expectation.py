"""What trials will take before one has ended: by the rows of those that run, what was tried, and what a rule would end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.reporting.pace import Pace
from orchestrator.spec.model import EarlyTerminate, SweepSpec
from orchestrator.stopping.rungs import bands

QUANTILES = 24
"""Trials that stand for all, where a rule ends some early."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What may be expected of a trial.

    Attributes:
        took_s: Seconds that tried ones took; empty where none were tried.
        n_rows: Rows that a whole trial makes; None where that is not known.
        n_values: Of these, those that have the objective.
        early: The rule that may end trials early.
    """

    took_s: Sequence[float] = ()
    n_rows: int | None = None
    n_values: int | None = None
    early: EarlyTerminate | None = None

    @classmethod
    def of(cls, spec: SweepSpec, pace: Pace | None) -> "Expectation":
        """Return what a spec and tried trials let expect."""
        most = spec.limits.get("training_iteration")
        limit = None if most is None else max(1, int(most))
        if pace is None:
            return cls(n_rows=limit, n_values=limit, early=spec.early_terminate)
        return cls(
            took_s=pace.took_s, n_rows=pace.n_rows or limit, n_values=pace.n_values or limit, early=spec.early_terminate
        )

    def seconds(self, running: Iterable[tuple[float, int]]) -> tuple[list[float], int]:
        """Return what trials may take, and from how many that is known; nothing while it cannot be said.

        Args:
            running: Of each trial that runs the seconds it has run and the rows it has made.
        """
        whole = [ran * max(1.0, self.n_rows / n) for ran, n in running if n > 0] if self.n_rows else []
        known = whole or list(self.took_s)
        return ended_early(known, self.n_values, self.early), len(known)


def ended_early(took_s: Sequence[float], n_values: int | None, early: EarlyTerminate | None) -> list[float]:
    """Return what trials take where a rule ends the share of them that it is there to end; all of them without one.

    Args:
        took_s: What whole trials take, in seconds.
        n_values: Values of the objective of a whole trial; None for unknown, then the rule is left out.
        early: The rule.
    """
    shares = _shares(n_values, early)
    if shares == [1.0]:
        return list(took_s)
    return [seconds * share for seconds in took_s for share in shares]


def _shares(n_values: int | None, early: EarlyTerminate | None) -> list[float]:
    """How much of itself each of `QUANTILES` trials runs."""
    if early is None or not n_values:
        return [1.0]
    rungs, eta = (bands(early), early.eta) if early.type != "median" else ([early.min_iter or 1], 2.0)
    rungs = sorted({rung for rung in rungs if 0 < rung < n_values})
    if not rungs or eta <= 1:
        return [1.0]
    return [_rung_of((i + 0.5) / QUANTILES, rungs, eta, n_values) / n_values for i in range(QUANTILES)]


def _rung_of(place: float, rungs: Sequence[int], eta: float, n_values: int) -> int:
    """Up to which row a trial runs that is at a place among all, 0 the best."""
    left = 1.0
    for rung in rungs:
        left /= eta
        if place > left:
            return rung
    return n_values
