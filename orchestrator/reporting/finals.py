"""What trials that ended early would have come to: scores that can be compared with those of trials that went on."""

import functools
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from orchestrator.ledger.reader import CurvePoint
from orchestrator.ledger.records import TrialState
from orchestrator.reporting.facts import Facts

FEWEST = 5
"""Finished trials from which the way from a report to the end is learnt."""

STEEPEST = 5.0
"""Most that differences between trials are believed to grow or shrink by on this way."""


def final_scores(facts: Facts) -> npt.NDArray[np.float64]:
    """Return the scores of the ranked trials, [n]; of those that have not finished, what finished ones suggest.

    A score at the report where a trial stands is carried to the end by the line through what the finished trials had
    there and what they came to (the reduced major axis, which keeps the order of trials, however noisy they are): so
    the length of a trial is taken out of its score.
    """
    ranked = facts.results.ranked
    scores = np.array([trial.score for trial in ranked], dtype=np.float64)
    finished = [(facts.curves.get(t.number, ()), t.score) for t in ranked if t.state is TrialState.FINISHED]

    @functools.cache
    def learnt(position: int) -> list[tuple[float, float]]:
        """What finished trials had at a position that they went beyond, and what they came to; many stop at the same."""
        longer = [(curve, score or 0.0) for curve, score in finished if curve and curve[-1][0] > position]
        return [(_score_at(facts, curve, position), score) for curve, score in longer]

    for i, trial in enumerate(ranked):
        curve = facts.curves.get(trial.number)
        if trial.state is TrialState.FINISHED or not curve:
            continue
        pairs = learnt(curve[-1][0])
        if len(pairs) >= FEWEST:
            then, final = np.array(pairs).T
            scores[i] = _carried(scores[i], then, final)
    return scores


def _carried(score: float, then: npt.NDArray[np.float64], final: npt.NDArray[np.float64]) -> float:
    spreads = float(final.std()), float(then.std())
    slope = np.clip(spreads[0] / spreads[1], 1 / STEEPEST, STEEPEST) if min(spreads) > 0 else 1.0
    return float(np.median(final) + slope * (score - np.median(then)))


def _score_at(facts: Facts, curve: Sequence[CurvePoint], position: int) -> float:
    """A trial's score when it had come to a position."""
    assert facts.results.metric is not None
    sign = facts.results.metric.goal.sign
    reached = max(1, bisect_right(curve, position, key=lambda point: point[0]))
    scores = [sign * value for _, _, value in curve[:reached]]
    return scores[-1] if facts.results.spec.options.objective == "last" else min(scores)
