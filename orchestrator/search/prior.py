"""Trials of earlier sweeps as observations: a search learns from them before its own first trial ends."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from orchestrator.errors import SearchSpaceError
from orchestrator.search.protocol import Config, Observation, Outcome
from orchestrator.space import SearchSpace
from orchestrator.space.axis import Axis, shown
from orchestrator.space.identity import identity
from orchestrator.space.nesting import MISSING, value_at
from orchestrator.spec.model import Goal, Metric, SweepSpec
from orchestrator.trial.contract.flat import flat

FAILED_STATES = frozenset({"failed", "crashed"})
"""What the state column of a table says of trials that failed, by our own words and by W&B's."""

OPEN_STATES = frozenset({"running", "pending", "canceled", "preempting", "preempted", "killed"})
"""What it says of trials that did not come to their end."""


METRIC = "metric."
"""What a metric's column may begin with, as in the tables that are written here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorTrial:
    """What is left of a trial.

    Attributes:
        name: What people know it by, such as ``trial 3``.
        config: Nested as it was run.
        metrics: The value of each metric as its author knows it, by flat name.
        failed: Whether it is known to have failed, whatever it reported.
    """

    config: Config
    metrics: Mapping[str, Any]
    failed: bool = False
    name: str = ""


def as_observations(trials: Sequence[PriorTrial], spec: SweepSpec) -> list[Observation]:
    """Return observations numbered -1, -2, ... in the order of `trials`; those without a finite objective failed."""
    return [_observation(trial, spec.objectives, order) for order, trial in enumerate(trials)]


def fitting(trials: Sequence[PriorTrial], spec: SweepSpec, space: SearchSpace) -> tuple[list[PriorTrial], list[str]]:
    """Return the trials that the search can use, as configs of its space, and in words what became of the others.

    A trial is dropped that lacks a parameter or has a value which the spec does not allow, or that came to an end
    without any objective and is not known to have failed. Keys that the spec does not know are left out. A constant
    with another value than the spec's is pointed out: the trial's scores may not compare.

    Raises:
        SearchSpaceError: None of the trials reported an objective, or none can be used.
    """
    _check_metrics(trials, spec.objectives)
    dropped: dict[str, list[str]] = {}
    used = []
    for trial in trials:
        reason, example = _why_dropped(trial, spec, space)
        if reason is None:
            used.append(_inside(trial, space))
        else:
            dropped.setdefault(reason, []).append(example)
    lines = [f"dropped {len(names)}: {reason} ({names[0]})" for reason, names in dropped.items()]
    if not used:
        raise SearchSpaceError("\n  ".join(["none of its trials can be used", *lines]))
    return used, [*lines, *_remarks(trials, space)]


def from_csv(text: str, space: SearchSpace) -> list[PriorTrial]:
    """Return the trials of a table with one row per trial and one column per parameter and metric.

    A nested parameter's column is its path joined with '.', with or without ``config.`` before it; every other column
    is a metric where its cell is a number, with or without ``metric.`` before it. A column ``state`` tells failed trials
    and those that have not ended.

    Raises:
        SearchSpaceError: The table has no column for a parameter that varies.
    """
    reader = csv.DictReader(io.StringIO(text))
    columns = {name.strip(): name for name in reader.fieldnames or () if name}
    places = {axis.path: columns.get(f"config.{axis.name}") or columns.get(axis.name) for axis in space.axes}
    missing = [axis.name for axis in space.axes if places[axis.path] is None]
    if missing:
        raise SearchSpaceError(f"the table has no column {', '.join(missing)}; its columns are {sorted(columns)}")
    state = next((name for name in columns.values() if name.strip().lower() == "state"), None)
    trials = []
    for number, row in enumerate(reader, start=2):
        values = [_cell(row[str(places[axis.path])] or "", axis) for axis in space.axes]
        said = (row[state] or "").lower() if state is not None and state not in places.values() else ""
        if said not in OPEN_STATES:
            metrics = _metrics({name: cell for name, cell in row.items() if name not in places.values()})
            trial = PriorTrial(config=space.assemble(values), metrics=metrics, name=f"line {number}")
            trials.append(replace(trial, failed=said in FAILED_STATES))
    return trials


def from_wandb(config: Mapping[str, Any], summary: Mapping[str, Any], name: str = "") -> PriorTrial:
    """Return the trial of a W&B run: its ``files/config.yaml`` and ``files/wandb-summary.json``, as parsed."""
    values = {
        key: entry["value"]
        for key, entry in config.items()
        if isinstance(entry, Mapping) and "value" in entry and key != "_wandb"
    }
    return PriorTrial(config=values, metrics=dict(flat(summary)), name=name)


def _check_metrics(trials: Sequence[PriorTrial], objectives: Sequence[Metric]) -> None:
    known = {name for trial in trials for name in trial.metrics}
    for metric in objectives:
        if metric.name in known or not trials:
            continue
        near = get_close_matches(metric.name, known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise SearchSpaceError(
            f"none of its {len(trials)} trials has a value of {metric.name!r}: it has "
            f"{', '.join(sorted(known)[:12]) or 'no metrics at all'}{hint}"
        )


def _why_dropped(trial: PriorTrial, spec: SweepSpec, space: SearchSpace) -> tuple[str | None, str]:
    """Return the reason, None for a trial that can be used, and the trial as an example of it."""
    for axis in space.axes:
        value = value_at(trial.config, axis.path)
        if value is MISSING:
            return f"{axis.name} is missing", trial.name
        if not axis.contains(value):
            return f"{axis.name} is outside the search space, {axis.allowed}", f"{trial.name}: {shown(value)}"
    absent = [metric.name for metric in spec.objectives if metric.name not in trial.metrics]
    return (f"no value of {absent[0]}" if absent and not trial.failed else None), trial.name


def _inside(trial: PriorTrial, space: SearchSpace) -> PriorTrial:
    """Return the trial with a config of the space; as it was where the spec has no parameters of its own."""
    if not space.order:
        return trial
    return replace(trial, config=space.assemble([value_at(trial.config, axis.path) for axis in space.axes]))


def _remarks(trials: Sequence[PriorTrial], space: SearchSpace) -> list[str]:
    if not space.order:
        return []
    names = {path[0] for path in space.order}
    unknown = sorted({name for trial in trials for name in trial.config if name not in names})
    remarks = [f"left out {', '.join(unknown)}: no parameters of this sweep"] if unknown else []
    for path, constant in space.constants.items():
        values = [value_at(trial.config, path) for trial in trials]
        others = [value for value in values if value is not MISSING and identity(value) != identity(constant)]
        if others:
            name = ".".join(path)
            remarks.append(
                f"{name} is {shown(others[0])} in {len(others)} of them and {shown(constant)} here: "
                "scores may not compare"
            )
    return remarks


def _observation(trial: PriorTrial, objectives: Sequence[Metric], order: int) -> Observation:
    scores = tuple(_score(trial.metrics.get(metric.name), metric.goal) for metric in objectives)
    failed = trial.failed or any(math.isnan(score) for score in scores)
    return Observation(
        number=-1 - order,
        config=trial.config,
        outcome=Outcome.FAILED if failed else Outcome.FINISHED,
        scores=() if failed else scores,
        order=order,
    )


def _score(value: Any, goal: Goal) -> float:
    """Return the value turned so that lower is better; NaN for what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return math.nan
    return goal.sign * float(value)


def _cell(text: str, axis: Axis) -> Any:
    """Return the first reading of a cell that is one of the parameter's values; some other value if there is none."""
    readings = [text, _parsed(text), _parsed(text.lower())]
    return next((value for value in readings if axis.contains(value)), readings[1])


def _parsed(text: str) -> Any:
    if text == "none":
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _metrics(row: Mapping[str, str]) -> dict[str, Any]:
    """Return the cells of a row that are numbers; an empty cell under a metric's name counts as no number."""
    parsed = {name.strip(): _parsed(cell or "NaN") for name, cell in row.items() if name is not None}
    numbers = {name: value for name, value in parsed.items() if isinstance(value, int | float)}
    return numbers | {name[len(METRIC) :]: value for name, value in numbers.items() if name.startswith(METRIC)}
