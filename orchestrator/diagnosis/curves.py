"""Issues that learning curves show.

Notation: s is a curve as scores (lower is better), s[0] its first value, best = min s. `RECENT` values at its end speak for
where it is now: one outlier is not an issue.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from orchestrator.diagnosis.model import Case, Flag, Issue, Series
from orchestrator.diagnosis.names import LOSSES, pairs, sign_of, words
from orchestrator.stopping.divergence import diverged_since
from orchestrator.trial.contract.watched import PREFIX

RECENT = 3
MIN_VALUES = 5
"""Curves shorter than this say nothing."""

JAGGED = 0.4
"""A loss is unstable when it went up by this share of all that it ever came down, or more."""

N_STRETCHES = 10
"""A long curve is looked at in so many stretches: what goes up and down within one is noise."""

RISE = 0.1
"""A validation curve turns when it loses this share of what it had gained."""

GOES_ON = 0.02
"""The training curve goes on when it still gains this share of all that it gains."""

LEARNED = 0.03
"""A trial whose score improved by less than this share of its first value has not learned."""

STALLED = 0.6
"""Share of the reports without a better one that makes a plateau."""

MIN_STALLED = 8


def not_a_number(case: Case) -> list[Flag]:
    """A metric that is NaN or infinite at its end, the first one to become so."""
    found = []
    for series in _own(case):
        position = len(series.values)
        while position and not math.isfinite(series.values[position - 1]):
            position -= 1
        if position < len(series.values):
            found.append((series.reports[position], series))
    if not found:
        return []
    since, series = min(found, key=lambda item: (item[0], item[1].name))
    others = f", as {len(found) - 1} more" if len(found) > 1 else ""
    evidence = f"{series.name} is {series.values[-1]} since its row {since}{others}"
    return [Flag(issue=Issue.NAN, evidence=evidence, since=since)]


def diverging(case: Case) -> list[Flag]:
    """A loss that went up, far beyond where it began, and stays there."""
    for series in _own(case):
        if not set(words(series.name)) & LOSSES or not series.is_finite:
            continue
        since = diverged_since(series.values)
        if since is not None:
            first, best = series.values[0], min(series.values)
            evidence = f"{series.name} went from {first:.3g} to {series.values[-1]:.3g}, its best was {best:.3g}"
            return [Flag(issue=Issue.DIVERGING, evidence=evidence, since=series.reports[since])]
    return []


def unstable(case: Case) -> list[Flag]:
    """An objective that is a loss and jumps about, far above what other trials reached."""
    series = case.series.get(case.objective or "")
    if series is None or case.peer_score is None or not set(words(series.name)) & LOSSES:
        return []
    scores = _scores(series, case.sign)
    if not series.is_finite or len(scores) < MIN_VALUES or min(scores) <= 2 * case.peer_score:
        return []
    gone_up = sum(b - a for a, b in pairwise(_stretches(scores)) if b > a)
    if gone_up <= max(JAGGED * (scores[0] - min(scores)), LEARNED * abs(scores[0])):
        return []
    reached = f"between {min(scores):.3g} and {max(scores):.3g}; {_peers(case)}"
    return [Flag(issue=Issue.DIVERGING, evidence=f"{series.name} jumps about {reached}", since=1)]


def overfitting(case: Case) -> list[Flag]:
    """A validation curve that turns up while its training curve goes on down.

    A loss turns before its accuracy does: where no loss has turned at all, an accuracy has lost a few samples.
    """
    own = {series.name: series for series in _own(case) if series.is_finite and len(series.values) >= MIN_VALUES}
    signed = [(sign, train, valid) for train, valid in pairs(own) if (sign := sign_of(valid)) is not None]
    shares = {
        (train, valid): _lost_share(_scores(own[train], sign), _scores(own[valid], sign))
        for sign, train, valid in signed
    }
    losses = [shares[train, valid] for sign, train, valid in signed if sign > 0]
    if losses and max(losses) <= GOES_ON:
        return []
    for sign, train_name, valid_name in sorted(signed, key=lambda pair: -pair[0]):  # losses first: they turn earlier
        if shares[train_name, valid_name] > RISE:
            series, scores = own[valid_name], _scores(own[valid_name], sign)
            turn = scores.index(min(scores))
            evidence = (
                f"{valid_name} was best with {series.values[turn]:.3g} at its row {series.reports[turn]} and is "
                f"{series.values[-1]:.3g} now, while {train_name} went on to {own[train_name].values[-1]:.3g}"
            )
            return [Flag(issue=Issue.OVERFITTING, evidence=evidence, since=series.reports[turn])]
    return []


def _lost_share(train: Sequence[float], valid: Sequence[float]) -> float:
    """Which share of all that a validation curve had gained it lost again while its training curve went on; 0 for noise."""
    turn = valid.index(min(valid))
    if len(valid) - 1 - turn < RECENT:
        return 0.0
    gained, lost = valid[0] - valid[turn], min(valid[-RECENT:]) - valid[turn]
    then = train[min(turn * len(train) // len(valid), len(train) - 1)]
    goes_on = then - min(train[-RECENT:]) > GOES_ON * (train[0] - min(train))
    if not goes_on or lost <= max(2 * _roughness(valid[: turn + 1]), 1e-3 * abs(valid[turn])):
        return 0.0
    return lost / gained if gained > 0 else math.inf


def not_learning(case: Case) -> list[Flag]:
    """An objective that never got better than it was at the start, or stopped doing so early, while other trials went on."""
    series = case.series.get(case.objective or "")
    if series is None or not series.is_finite or len(series.values) < MIN_VALUES or case.peer_score is None:
        return []
    scores = _scores(series, case.sign)
    best = min(scores)
    if best <= case.peer_score or _close(best, case.peer_score):
        return []
    if scores[0] - best < LEARNED * abs(scores[0]):
        evidence = (
            f"{series.name} was {series.values[0]:.3g} at first and {case.sign * best:.3g} at best; {_peers(case)}"
        )
        return [Flag(issue=Issue.NEVER_LEARNED, evidence=evidence, since=1)]
    first_best = next(i for i, score in enumerate(scores) if score <= best + 0.01 * (scores[0] - best))
    if len(scores) - 1 - first_best >= max(MIN_STALLED, STALLED * len(scores)):
        since = series.reports[first_best]
        evidence = f"{series.name} is no better than {case.sign * best:.3g} since its row {since}; {_peers(case)}"
        return [Flag(issue=Issue.PLATEAU, evidence=evidence, since=since)]
    return []


def _peers(case: Case) -> str:
    assert case.peer_score is not None
    return f"half of the other trials reached {case.sign * case.peer_score:.3g}"


def _own(case: Case) -> list[Series]:
    """What the program itself reported."""
    return [series for name, series in sorted(case.series.items()) if not name.startswith(PREFIX) and series.values]


def _scores(series: Series, sign: float) -> list[float]:
    return [sign * value for value in series.values]


def _stretches(scores: Sequence[float]) -> list[float]:
    """The medians of equal stretches of a curve, or the curve itself where it is short."""
    n = min(len(scores), N_STRETCHES)
    ends = [round(i * len(scores) / n) for i in range(n + 1)]
    return [median(scores[a:b]) for a, b in pairwise(ends)]


def _roughness(scores: Sequence[float]) -> float:
    """How much a curve goes up and down from one value to the next: the median of its rises."""
    rises = sorted(b - a for a, b in pairwise(scores) if b > a)
    return rises[len(rises) // 2] if rises else 0.0


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= 0.05 * max(abs(one), abs(other))
