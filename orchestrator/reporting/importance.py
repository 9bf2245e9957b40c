"""How much each parameter matters: its share of the metric's variance over the whole space that the spec declares.

A share counts with what the parameter does together with others, so that shares may add up to more than 1. It says
nothing about where the search has tried much or little: what few trials leave open is in the interval.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.reporting.basis import Basis, FloatArray
from orchestrator.reporting.decomposition import Explained, Parts, explain
from orchestrator.reporting.facts import Facts
from orchestrator.reporting.finals import final_scores
from orchestrator.search.encoding import Encoding, Feature
from orchestrator.space.nesting import MISSING, value_at
from orchestrator.space.search_space import SearchSpace

FEWEST = 8
"""Trials below which nothing is said."""

MOST = 100
"""Trials that the shares are computed from: of more, those that lie furthest apart."""

CHANCE = 0.05
"""Share of parameters without any effect that are taken to have one."""

LEAST = 0.005
"""Share below which nothing is to be seen, whatever the test finds: it is shown as 0 %."""

NEGLIGIBLE = 0.1
"""Share of what trials all over the space would differ by that a parameter without a visible effect surely lacks."""

INTERVAL = (5.0, 95.0)
"""Percentiles of what is believed between which a share lies."""

FENCE = 3.0
"""Scores further beyond the quartiles than this many times their distance count as that far: diverged trials."""

N_CELLS = 512
"""Points of the space that are given to the nearest trial, to know how much of it each stands for."""

SURE = 0.95
"""Share of draws that must agree on the best value."""

AS_GOOD = 0.1
"""Share of the distance from a parameter's best to its worst value within which others count as good as the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a parameter does where all others are as in the best trial.

    Attributes:
        best: The value that is best; of numbers, also the other end where a range of them is as good.
        is_range: Whether the parameter is a number.
        is_inside: Whether what is best ends before the range of the parameter does, at both ends.
        worst: The value that is worst.
        cost: By how much the metric is worse there, in its own unit.
        next_cost: The same of the best value but for `best`.
        is_sure: Whether the trials leave hardly any doubt that this is better than that.
    """

    best: tuple[Any, ...]
    is_range: bool
    is_inside: bool
    worst: Any
    cost: float
    next_cost: float
    is_sure: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """A parameter's share of the variance, in [0, 1], and where it lies with a probability of 90 %.

    Where no effect is visible, that reaches down to 0.

    Attributes:
        alone: The part of the share that the parameter has whatever the others are.
        visible: Whether the effect is more than chance, by a test with shuffled values; False where there is none to be
            seen, and a large one would have been; None where that cannot be told yet.
        effect: What it does.
    """

    name: str
    share: float
    low: float
    high: float
    alone: float
    visible: bool | None
    effect: Effect

    @property
    def note(self) -> str:
        """What is to be said beside the share, in a few words; mostly nothing."""
        if self.visible:
            return "mostly together with others" if self.alone < self.share / 2 else ""
        return "no visible effect" if self.visible is False else "not clear yet"


def importances(facts: Facts, objective: int = 0, *, seed: int = 0) -> list[Importance]:
    """Return the importances for an objective, by its place in the spec, the largest first.

    Empty with fewer than `FEWEST` trials or nothing that varies. Trials that ended early are carried to the end for the
    first objective alone: of others there are no curves.
    """
    ranked = facts.results.ranked
    scores = np.array([trial.scores[objective] for trial in ranked]) if objective else final_scores(facts)
    order = np.argsort(scores, kind="stable") if objective else range(len(ranked))
    return assess(facts.space, [ranked[i].config for i in order], scores[list(order)], seed=seed)


def assess(
    space: SearchSpace, configs: Sequence[Mapping[str, Any]], scores: FloatArray, *, seed: int = 0
) -> list[Importance]:
    """Return the importances of a space's parameters, the largest first, from trials of which the best comes first."""
    features = [f for f in Encoding.of(space).features if f.grid is None or len(f.grid) > 1]
    x = np.array([[_coordinate(feature, config) for feature in features] for config in configs])
    inside = ~np.isinf(x).any(axis=1) if len(x) else np.zeros(0, dtype=bool)
    x, y = x[inside], np.asarray(scores, dtype=np.float64)[inside]
    if not features or len(y) < FEWEST or y.min() == y.max():
        return []
    rng = np.random.default_rng(seed)
    bases = [Basis.of(feature, column) for feature, column in zip(features, x.T, strict=True)]
    chosen = _apart(_coordinates(bases), MOST)
    bases, y = [Basis.of(feature, column) for feature, column in zip(features, x[chosen].T, strict=True)], y[chosen]
    values, unit = _standard(y, _cells(bases, rng))
    return _judged(features, bases, explain(bases, values, rng), unit)


def _coordinate(feature: Feature, config: Mapping[str, Any]) -> float:
    """A config's feature; NaN where it has no value, infinite where that is outside of the space."""
    value = value_at(config, feature.axis.path)
    if value is MISSING:
        return math.nan
    found = feature.encode(value)
    return math.inf if math.isnan(found) else found


def _coordinates(bases: Sequence[Basis]) -> FloatArray:
    """The trials as points between which distances mean something, [n, k]."""
    return np.hstack([_few(basis, basis.at_trials) for basis in bases])


def _few(basis: Basis, functions: FloatArray) -> FloatArray:
    m = functions.shape[1] if basis.is_category else min(3, functions.shape[1])
    return np.asarray(functions[:, :m] / np.sqrt(m), dtype=np.float64)


def _apart(points: FloatArray, most: int) -> npt.NDArray[np.int64]:
    """Return the indices of at most that many points, the first one included, each as far as can be from those before."""
    if len(points) <= most:
        return np.arange(len(points))
    chosen = [0]
    gaps = np.full(len(points), np.inf)
    while len(chosen) < most:
        gaps = np.minimum(gaps, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(gaps.argmax()))
    return np.array(chosen)


def _cells(bases: Sequence[Basis], rng: np.random.Generator) -> FloatArray:
    """How much of the space each trial is the nearest to, [n]."""
    places = [basis.at_places[rng.choice(len(basis.weights), size=N_CELLS, p=basis.weights)] for basis in bases]
    points = np.hstack([_few(basis, at) for basis, at in zip(bases, places, strict=True)])
    trials = _coordinates(bases)
    gaps = (points**2).sum(axis=1)[:, np.newaxis] - 2 * points @ trials.T + (trials**2).sum(axis=1)
    return np.bincount(gaps.argmin(axis=1), minlength=len(trials)) / N_CELLS


def _standard(y: FloatArray, cells: FloatArray) -> tuple[FloatArray, float]:
    """Scores without what lies far out, with about zero mean and unit variance over the space, and the unit."""
    order = np.argsort(y)
    below = np.cumsum(cells[order]) - cells[order] / 2
    low, high = np.interp([0.25, 0.75], below, y[order])
    if low < high:
        y = np.clip(y, low - FENCE * (high - low), high + FENCE * (high - low))
    mean = float(cells @ y)
    unit = float(np.sqrt(cells @ (y - mean) ** 2)) or float(y.std()) or 1.0
    return (y - mean) / unit, unit


def _judged(features: Sequence[Feature], bases: Sequence[Basis], found: Explained, unit: float) -> list[Importance]:
    low, high = np.percentile(found.totals, INTERVAL, axis=0)
    shares, alone = found.totals.mean(axis=0), found.alone.mean(axis=0)
    most = np.percentile(found.seen, INTERVAL[1], axis=0)
    parts = Parts(bases)
    visible = [_visible(*numbers) for numbers in zip(found.p_values, shares, most, strict=True)]
    low = np.where([seen is True for seen in visible], np.minimum(low, shares), 0.0)
    judged = [
        Importance(
            name=feature.axis.name,
            share=float(shares[i]),
            low=float(low[i]),
            high=float(max(high[i], shares[i])),
            alone=float(alone[i]),
            visible=visible[i],
            effect=_effect(feature, bases[i], unit * parts.slice_through(0, i, found.coefficients)),
        )
        for i, feature in enumerate(features)
    ]
    return sorted(judged, key=lambda importance: -importance.share)


def _visible(p_value: float, share: float, most: float) -> bool | None:
    if p_value <= CHANCE and share >= LEAST:
        return True
    return False if most < NEGLIGIBLE else None


def _effect(feature: Feature, basis: Basis, slices: FloatArray) -> Effect:
    """Return what the scores at a parameter's places, [s, q], say of it."""
    known = ~np.isnan(basis.places)
    values, slices = [feature.decode(float(place)) for place in basis.places[known]], slices[:, known]
    mean = slices.mean(axis=0)
    order = mean.argsort()
    best, worst = order[0], order[-1]
    cost = float(mean[worst] - mean[best])
    bad = np.flatnonzero(mean > mean[best] + AS_GOOD * cost)
    first, last = bad[bad < best].max(initial=-1) + 1, bad[bad > best].min(initial=len(mean)) - 1
    if feature.is_category:
        first = last = best
    agree = slices.argmin(axis=1) == best if feature.is_category else slices[:, worst] > slices[:, best]
    return Effect(
        best=(values[first],) if first == last else (values[first], values[last]),
        is_range=not feature.is_category,
        is_inside=bool(first > 0 and last < len(mean) - 1),
        worst=values[worst],
        cost=cost,
        next_cost=float(mean[order[1]] - mean[best]),
        is_sure=bool(agree.mean() >= SURE),
    )
