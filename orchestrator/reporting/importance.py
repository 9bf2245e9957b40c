"""How much each parameter mattered for being among the best trials: PED-ANOVA, with bootstrap intervals.

Optuna computes it (Watanabe et al., https://arxiv.org/abs/2304.10255). It sees each parameter as the search does: numbers
on the scale their author spread them over, a list's values as categories.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from orchestrator.reporting.facts import Facts
from orchestrator.search.encoding import Encoding, Feature
from orchestrator.search.quiet import quiet

if TYPE_CHECKING:
    import optuna

FEWEST = 12
"""Trials below which nothing is said: two of them would be the best tenth."""

ENOUGH = 24
"""Trials from which on a parameter may be said to have no visible effect."""

N_RESAMPLES = 20
MOST = 1000
"""Trials that the shares are computed from."""

MOST_IN_RESAMPLE = 200
"""Trials in one resample: more cost time and make the interval no more honest."""

N_SHUFFLES = 200
CHANCE = 95.0
"""Percentile of what shuffled scores give, above which an effect counts as seen."""

LEAST = 0.005
"""Share below which nothing is to be seen, whatever the tests find: it is shown as 0 %."""

MOST_CATEGORIES = 16
INTERVAL = (5.0, 95.0)
"""Percentiles of the resamples between which the interval lies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """A parameter's share of the importance of all, in [0, 1], and where it lies in 9 of 10 resamples.

    Attributes:
        visible: Whether the parameter has a share to show and explains more than chance, by one of two tests with
            shuffled scores.
            None below `ENOUGH` trials, where that cannot be told.
    """

    name: str
    share: float
    low: float
    high: float
    visible: bool | None


def importances(facts: Facts, *, seed: int = 0) -> list[Importance]:
    """Return the importances, the largest first; empty with fewer than `FEWEST` trials or nothing that varies."""
    encoding = Encoding.of(facts.space)
    ranked = facts.results.ranked
    if not encoding.features or len(ranked) < FEWEST:
        return []
    x = np.array([encoding.encode(trial.config) for trial in ranked])
    y = np.array([trial.score for trial in ranked], dtype=np.float64)
    inside = ~np.isnan(x).any(axis=1)
    x, y = x[inside], y[inside]
    if len(y) < FEWEST or y.min() == y.max():
        return []
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna remarks on every small sample; the intervals say it better
        return _with_intervals(encoding.features, x, y, np.random.default_rng(seed))


def _with_intervals(
    features: Sequence[Feature], x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], rng: np.random.Generator
) -> list[Importance]:
    trials = _Trials(features, x)
    n, size = len(y), min(len(y), MOST_IN_RESAMPLE)
    # The trials come ranked, so that every k-th of them has the same share of good ones.
    spread = np.linspace(0, n - 1, min(n, MOST)).astype(np.int64)
    shares = _shares(trials.divergences(trials.study(spread, y[spread])))
    resamples = [rng.integers(n, size=size) for _ in range(N_RESAMPLES)]
    low, high = np.percentile(
        [_shares(trials.divergences(trials.study(rows, y[rows]))) for rows in resamples], INTERVAL, axis=0
    )
    visible = _visible(trials, y, size, rng) if n >= ENOUGH else [None] * len(features)
    found = [
        Importance(
            name=feature.axis.name,
            share=float(shares[i]),
            low=float(min(low[i], shares[i])),
            high=float(max(high[i], shares[i])),
            visible=visible[i] and bool(shares[i] >= LEAST),
        )
        for i, feature in enumerate(features)
    ]
    return sorted(found, key=lambda importance: -importance.share)


def _visible(trials: "_Trials", y: npt.NDArray[np.float64], size: int, rng: np.random.Generator) -> list[bool | None]:
    """Which parameters explain more than chance, for being among the best or for the ranks of all trials.

    The first test misses effects when few trials are among the best, the second those of a narrow optimum.
    """
    rows = rng.permutation(len(y))[:size]
    study = trials.study(rows, y[rows])
    chance = [trials.divergences(study, rng.permutation(y[rows])) for _ in range(N_RESAMPLES)]
    among_best = trials.divergences(study) > np.percentile(chance, CHANCE, axis=0)
    return [
        bool(best or _ranks_differ(groups, y, rng)) for best, groups in zip(among_best, trials.groups(), strict=True)
    ]


def _ranks_differ(groups: npt.NDArray[np.int64], y: npt.NDArray[np.float64], rng: np.random.Generator) -> bool:
    """Kruskal and Wallis' test by permutation: do the mean ranks of groups differ more than by chance?"""
    ranks = np.argsort(np.argsort(y)) - (len(y) - 1) / 2
    members = groups[:, np.newaxis] == np.unique(groups)
    shuffled = np.stack([ranks, *(rng.permutation(ranks) for _ in range(N_SHUFFLES))])
    between = ((shuffled @ members) ** 2 / members.sum(axis=0)).sum(axis=1)
    return bool(between[0] > np.percentile(between[1:], CHANCE))


class _Trials:
    """The configs of a sweep as Optuna takes them."""

    def __init__(self, features: Sequence[Feature], x: npt.NDArray[np.float64]) -> None:
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        self._names = [str(i) for i in range(len(features))]
        self._columns: list[npt.NDArray[np.float64]] = []
        self._distributions: dict[str, optuna.distributions.BaseDistribution] = {}
        for i, feature in enumerate(features):
            listed = feature.grid is not None and len(feature.grid) <= MOST_CATEGORIES
            if listed and feature.grid is not None:
                self._columns.append(np.abs(feature.grid - x[:, i : i + 1]).argmin(axis=1))
                self._distributions[str(i)] = CategoricalDistribution(range(len(feature.grid)))
            else:
                self._columns.append(x[:, i])
                highest = 1.0 if feature.grid is None else max(1.0, float(feature.grid[-1]))  # of many categories
                self._distributions[str(i)] = FloatDistribution(0.0, highest)

    def groups(self) -> list[npt.NDArray[np.int64]]:
        """Return for each parameter which of a few groups every trial belongs to: its category, or a fifth of the range."""
        n_groups = min(5, max(2, len(self._columns[0]) // 8))
        found = []
        for name, column in zip(self._names, self._columns, strict=True):
            cuts = np.quantile(column, np.linspace(0, 1, n_groups + 1)[1:-1])
            listed = hasattr(self._distributions[name], "choices")
            found.append(column.astype(np.int64) if listed else np.searchsorted(cuts, column))
        return found

    def study(self, rows: npt.NDArray[np.int64], y: npt.NDArray[np.float64]) -> "optuna.Study":
        """Return a study of some trials with the given scores."""
        import optuna
        from optuna.trial import create_trial

        study = optuna.create_study()
        columns = [column[rows].tolist() for column in self._columns]
        study.add_trials(
            [
                create_trial(
                    params=dict(zip(self._names, values, strict=True)), distributions=self._distributions, value=score
                )
                for score, *values in zip(y.tolist(), *columns, strict=True)
            ]
        )
        return study

    def divergences(
        self, study: "optuna.Study", scores: npt.NDArray[np.float64] | None = None
    ) -> npt.NDArray[np.float64]:
        """Return how differently the best trials chose each parameter than all of them, [n_features].

        Args:
            study: The trials, [n].
            scores: Other scores than the study's own, [n].
        """
        from optuna.importance import PedAnovaImportanceEvaluator

        n = len(study.get_trials(deepcopy=False))
        evaluator = PedAnovaImportanceEvaluator(target_quantile=min(0.5, max(0.1, 5 / n)))
        found = evaluator.evaluate(study, target=None if scores is None else lambda trial: float(scores[trial.number]))
        return np.array([found.get(name, 0.0) for name in self._names])


def _shares(divergences: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    total = float(divergences.sum())
    return divergences / total if total > 0 else np.full(len(divergences), 1 / len(divergences))
