"""The median rule at any percentile: a trial ends when its best is worse than what others had on average."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np

from orchestrator.stopping.protocol import Curve, Stop
from orchestrator.stopping.wording import Show


@dataclass(slots=True, kw_only=True)
class RunningMeans:
    """The running mean of each trial's scores: a cache by trial, always equal to recomputing from the curves."""

    _scores: dict[int, list[float]] = field(default_factory=dict)
    _means: dict[int, list[float]] = field(default_factory=dict)

    def update(self, curves: Mapping[int, Curve]) -> None:
        """Take in the curves that are not the ones known: grown, or started over by a new attempt."""
        for trial, curve in curves.items():
            scores = list(curve.scores)
            if self._scores.get(trial) != scores:
                self._scores[trial] = scores
                self._means[trial] = [total / n for n, total in enumerate(accumulate(scores), start=1)]

    def at(self, n_reports: int, curves: Mapping[int, Curve], *, without: int) -> list[float]:
        """Return the mean of the first `n_reports` scores of every other trial that has so many."""
        return [
            self._means[trial][n_reports - 1]
            for trial, curve in curves.items()
            if trial != without and len(curve.scores) >= n_reports
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentileRule:
    """Vizier's median stopping rule (Golovin et al. 2017, section 3.2.2) at any percentile.

    After its n-th report a trial ends when its best score so far is worse than the given percentile of the mean scores
    that the other trials had over their first n reports. 50 is the median; 25 ends all but the best quarter.

    Attributes:
        min_iter: Reports a trial has to itself before it is judged.
        min_trials: Other trials that must have reported as often.
    """

    percentile: float
    min_iter: int
    min_trials: int
    show: Show
    means: RunningMeans = field(default_factory=RunningMeans)

    def decide(self, curves: Mapping[int, Curve], changed: Sequence[int]) -> list[Stop]:
        """Judge each running trial when it reports."""
        self.means.update(curves)
        reasons = ((trial, self._reason(trial, curves)) for trial in changed)
        return [Stop(trial=trial, reason=reason) for trial, reason in reasons if reason]

    def _reason(self, trial: int, curves: Mapping[int, Curve]) -> str | None:
        curve = curves[trial]
        n_reports = len(curve.scores)
        if not curve.running or n_reports < max(self.min_iter, 1):
            return None
        rivals = self.means.at(n_reports, curves, without=trial)
        if len(rivals) < max(self.min_trials, 1):
            return None
        best = min(curve.scores)
        cut = float(np.percentile(rivals, self.percentile))
        if best <= cut:
            return None
        shown, limit = self.show(best, cut)
        name = "median" if self.percentile == 50 else f"best {self.percentile:g} %"
        return f"row {n_reports}: best {shown} is worse than the {name} of {len(rivals)} others, cut {limit}"
