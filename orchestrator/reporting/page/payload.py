"""What the report's plots and table are drawn from: the trials by columns, each fact once, numbers in five digits."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.diagnosis.model import Flag
from orchestrator.ledger.reader import CurvePoint
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.printable import clean
from orchestrator.reporting.facts import Facts
from orchestrator.reporting.importance import Importance
from orchestrator.reporting.results import Results
from orchestrator.reporting.usage import Usage
from orchestrator.reporting.use_text import in_columns
from orchestrator.space import SearchSpace
from orchestrator.space.axis import Axis
from orchestrator.space.nesting import MISSING, value_at
from orchestrator.trial.contract.resource_use import Use

STATES = tuple(str(state) for state in TrialState)
LONGEST_TEXT = 300
"""Characters of a value or an error: the rest is in the ledger."""


def payload(facts: Facts, importances: Sequence[Importance], usage: Usage) -> dict[str, Any]:
    """Return the data of the page; all of it is JSON, and what is not finite is None."""
    starts = [bar.began for lane in usage.lanes for bar in lane.bars]
    t0 = min(starts, default=facts.results.record.created)
    return {
        "id": facts.results.record.sweep_id,
        **trials_data(facts.results, ordered(facts.space, importances), facts.flags, facts.uses, t0),
        **ranks(facts.results),
        "curves": curves_data(facts.curves),
        "lanes": lanes_data(usage, t0),
    }


def trials_data(
    results: Results,
    axes: Sequence[Axis],
    flags: Mapping[int, Sequence[Flag]],
    uses: Mapping[int, Use],
    t0: float = 0.0,
) -> dict[str, Any]:
    """Return the part of the data that the table of trials shows; times in seconds from `t0` on."""
    rows = [row(results, trial, t0) for trial in results.trials]
    said = {trial.number: words for trial, each in zip(results.trials, rows, strict=True) if (words := each["said"])}
    return {
        "objectives": [{"name": clean(m.name), "sign": m.goal.sign} for m in results.spec.objectives],
        "states": STATES,
        "axes": [_axis(axis, results.trials) for axis in axes],
        **{name: [each[name] for each in rows] for name in ("state", "step", "reports", "began", "ended", "where")},
        "values": [[each["values"][k] for each in rows] for k in range(len(results.spec.objectives))],
        "said": said,
        "flags": flags_data(flags),
        "use": use_data(uses),
    }


def row(results: Results, trial: TrialRecord, t0: float) -> dict[str, Any]:
    """Return what the data has of one trial, but for its parameters; `said` is None where there is nothing to say."""
    why = results.why(trial)
    return {
        "state": STATES.index(str(trial.state)),
        "values": [_number(value) for value in results.values(trial).values()],
        "step": trial.step,
        "reports": trial.n_reports,
        "began": _seconds(trial.started, t0),
        "ended": _seconds(trial.ended, t0),
        "said": None if why is None else _text(why),
        "where": " ".join([trial.host or "", *(f"GPU {gpu}" for gpu in trial.gpu_ids)]).strip(),
    }


def coordinates(trial: TrialRecord, axes: Sequence[Axis]) -> list[float | int | str | None]:
    """Return a trial's values of the parameters: numbers, or the labels of those that are no numbers; None for no value."""
    values = [value_at(trial.config, axis.path) for axis in axes]
    return [
        None if value is MISSING else _number(value) if _shows_numbers(axis) and _is_number(value) else _label(value)
        for axis, value in zip(axes, values, strict=True)
    ]


def ranks(results: Results) -> dict[str, list[int]]:
    """Return the places of the trials in their order, the best first, and the numbers of those that no other beats."""
    places = {trial.number: i for i, trial in enumerate(results.trials)}
    front = sorted(trial.number for trial in results.front) if results.spec.metrics else []
    return {"ranked": [places[trial.number] for trial in results.ranked], "front": front}


def lanes_data(usage: Usage, t0: float) -> list[dict[str, Any]]:
    """Return what ran when on which GPU or slot."""
    return [
        {
            "name": clean(lane.name),
            "bars": [[bar.trial, _seconds(bar.began, t0), _seconds(bar.ended, t0)] for bar in lane.bars],
        }
        for lane in usage.lanes
    ]


def flags_data(flags: Mapping[int, Sequence[Flag]]) -> dict[int, list[dict[str, str]]]:
    """Return what is wrong, by trial."""
    return {
        number: [{"name": _text(flag.issue), "evidence": _text(flag.evidence)} for flag in found]
        for number, found in flags.items()
    }


def use_data(uses: Mapping[int, Use]) -> dict[int, list[float | None]]:
    """Return by trial what it used, in columns of their own."""
    return {
        number: [None if value is None else _number(value) for value in in_columns(use)] for number, use in uses.items()
    }


def ordered(space: SearchSpace, importances: Sequence[Importance]) -> list[Axis]:
    """Return the parameters that vary, the most important first."""
    rank = {importance.name: i for i, importance in enumerate(importances)}
    return sorted(space.axes, key=lambda axis: rank.get(axis.name, len(rank)))


def _axis(axis: Axis, trials: Sequence[TrialRecord]) -> dict[str, Any]:
    """One parameter: numbers with their ends, or labels and which of them each trial has."""
    values = [value_at(trial.config, axis.path) for trial in trials]
    present = [value for value in values if value is not MISSING]
    name = clean(axis.name)
    if _shows_numbers(axis) and all(_is_number(value) for value in present):
        tried = [float(value) for value in present if math.isfinite(value)]
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


def _shows_numbers(axis: Axis) -> bool:
    return axis.is_numeric and not axis.is_categorical


def _listed(axis: Axis) -> Sequence[Any]:
    values: Sequence[Any] = getattr(axis, "values", ())
    return values


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _label(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else _text(str(value))


def curves_data(curves: Mapping[int, Sequence[CurvePoint]]) -> dict[str, Any]:
    """Return values by trial. Most trials report at the same positions, so these are kept once and referred to."""
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
