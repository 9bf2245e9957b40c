"""What the report's plots and table are drawn from: the trials by columns, each fact once, numbers in five digits."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.ledger.reader import CurvePoint
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.reporting.facts import Facts
from orchestrator.reporting.importance import Importance
from orchestrator.reporting.usage import Usage
from orchestrator.reporting.wording import clean
from orchestrator.space.axis import Axis
from orchestrator.space.nesting import MISSING, value_at

STATES = tuple(str(state) for state in TrialState)
LONGEST_TEXT = 300
"""Characters of a value or an error: the rest is in the ledger."""


def payload(facts: Facts, importances: Sequence[Importance], usage: Usage) -> dict[str, Any]:
    """Return the data of the page; all of it is JSON, and what is not finite is None."""
    results = facts.results
    trials = results.trials
    starts = [bar.began for lane in usage.lanes for bar in lane.bars]
    t0 = min(starts, default=results.record.created)
    front = {trial.number for trial in results.front} if results.spec.metrics else set()
    places = {trial.number: i for i, trial in enumerate(trials)}
    return {
        "id": results.record.sweep_id,
        **trials_data(facts, importances, t0),
        "ranked": [places[trial.number] for trial in results.ranked],
        "front": sorted(front),
        "curves": _curves(facts.curves),
        "lanes": [
            {
                "name": clean(lane.name),
                "bars": [[bar.trial, _seconds(bar.began, t0), _seconds(bar.ended, t0)] for bar in lane.bars],
            }
            for lane in usage.lanes
        ],
    }


def trials_data(facts: Facts, importances: Sequence[Importance] = (), t0: float = 0.0) -> dict[str, Any]:
    """Return the part of the data that the table of trials shows; times in seconds from `t0` on."""
    results, trials = facts.results, facts.results.trials
    return {
        "objectives": [{"name": clean(m.name), "sign": m.goal.sign} for m in results.spec.objectives],
        "states": STATES,
        "axes": [_axis(axis, trials) for axis in _ordered(facts, importances)],
        "state": [STATES.index(str(trial.state)) for trial in trials],
        "values": [
            [_number(list(results.values(trial).values())[i]) for trial in trials]
            for i in range(len(results.spec.objectives))
        ],
        "step": [trial.step for trial in trials],
        "reports": [trial.n_reports for trial in trials],
        "began": [_seconds(trial.started, t0) for trial in trials],
        "ended": [_seconds(trial.ended, t0) for trial in trials],
        "said": {trial.number: _text(words) for trial in trials if (words := results.why(trial))},
        "where": [" ".join([trial.host or "", *(f"GPU {gpu}" for gpu in trial.gpu_ids)]).strip() for trial in trials],
        "flags": {
            number: [{"name": _text(flag.issue), "evidence": _text(flag.evidence)} for flag in flags]
            for number, flags in facts.flags.items()
        },
    }


def _ordered(facts: Facts, importances: Sequence[Importance]) -> list[Axis]:
    """The parameters that vary, the most important first."""
    rank = {importance.name: i for i, importance in enumerate(importances)}
    return sorted(facts.space.axes, key=lambda axis: rank.get(axis.name, len(rank)))


def _axis(axis: Axis, trials: Sequence[TrialRecord]) -> dict[str, Any]:
    """One parameter: numbers with their ends, or labels and which of them each trial has."""
    values = [value_at(trial.config, axis.path) for trial in trials]
    present = [value for value in values if value is not MISSING]
    name = clean(axis.name)
    if axis.is_numeric and not axis.is_categorical and all(_is_number(value) for value in present):
        tried = [float(value) for value in present]
        ends = [end for end in (axis.low, axis.high) if end is not None and math.isfinite(end)]
        low, high = min([*tried, *ends], default=0.0), max([*tried, *ends], default=1.0)
        numbers = [None if value is MISSING else _number(value) for value in values]
        return {"name": name, "log": axis.is_log and low > 0, "low": low, "high": high, "values": numbers}
    known = [*_listed(axis), *present]
    listed = sorted(known, key=float) if all(_is_number(value) for value in known) else known
    labels = list(dict.fromkeys(_label(value) for value in listed))
    positions = {label: i for i, label in enumerate(labels)}
    return {
        "name": name,
        "labels": labels,
        "values": [None if value is MISSING else positions[_label(value)] for value in values],
    }


def _listed(axis: Axis) -> Sequence[Any]:
    values: Sequence[Any] = getattr(axis, "values", ())
    return values


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _label(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else _text(str(value))


def _curves(curves: Mapping[int, Sequence[CurvePoint]]) -> dict[str, Any]:
    """Values by trial. Most trials report at the same positions, so these are kept once and referred to."""
    known: dict[tuple[int, ...], int] = {}
    found = {}
    for number, points in curves.items():
        positions = tuple(position for position, _, _ in points)
        found[number] = [known.setdefault(positions, len(known)), [_number(value) for _, _, value in points]]
    return {"positions": list(known), "by_trial": found}


def _number(value: float | None) -> float | int | None:
    if value is None or not math.isfinite(value):
        return None
    return value if isinstance(value, int) and abs(value) < 2**53 else float(f"{value:.5g}")


def _seconds(moment: float | None, t0: float) -> float | None:
    return None if moment is None else round(moment - t0, 1)


def _text(text: str) -> str:
    return clean(text[:LONGEST_TEXT])
