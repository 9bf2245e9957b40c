"""Trials of earlier sweeps as observations: a search learns from them before its own first trial ends."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import SearchSpaceError
from orchestrator.search.protocol import Config, Observation, Outcome
from orchestrator.space import SearchSpace
from orchestrator.space.axis import Axis
from orchestrator.spec.model import Goal, Metric, SweepSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorTrial:
    """What is left of a trial: its config, nested, and its metrics as their author knows them, by flat name."""

    config: Config
    metrics: Mapping[str, Any]


def as_observations(trials: Sequence[PriorTrial], spec: SweepSpec) -> list[Observation]:
    """Return observations numbered -1, -2, ... in the order of `trials`; those without a finite objective failed."""
    return [_observation(trial, spec.objectives, order) for order, trial in enumerate(trials)]


def from_csv(text: str, space: SearchSpace) -> list[PriorTrial]:
    """Return the trials of a table with one row per trial and one column per parameter and metric.

    A nested parameter's column is its path joined with '.'; every other column is a metric where its cell is a number.

    Raises:
        SearchSpaceError: The table has no column for a parameter that varies.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    columns = set(rows[0]) if rows else {axis.name for axis in space.axes}
    missing = [axis.name for axis in space.axes if axis.name not in columns]
    if missing:
        raise SearchSpaceError(f"prior trials: the table has no column {', '.join(missing)}; it has {sorted(columns)}")
    return [PriorTrial(config=_config(row, space), metrics=_metrics(row)) for row in rows]


def from_wandb(config: Mapping[str, Any], summary: Mapping[str, Any]) -> PriorTrial:
    """Return the trial of a W&B run: its ``files/config.yaml`` and ``files/wandb-summary.json``, as parsed."""
    values = {
        name: entry["value"]
        for name, entry in config.items()
        if isinstance(entry, Mapping) and "value" in entry and name != "_wandb"
    }
    return PriorTrial(config=values, metrics=dict(_flat(summary)))


def _observation(trial: PriorTrial, objectives: Sequence[Metric], order: int) -> Observation:
    scores = tuple(_score(trial.metrics.get(metric.name), metric.goal) for metric in objectives)
    failed = not scores or any(math.isnan(score) for score in scores)
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
    return -float(value) if goal is Goal.MAXIMIZE else float(value)


def _config(row: Mapping[str, str], space: SearchSpace) -> Config:
    return space.assemble([_cell(row[axis.name], axis) for axis in space.axes])


def _cell(text: str, axis: Axis) -> Any:
    """Return the first reading of a cell that is one of the parameter's values; the text itself if there is none."""
    readings = [text, _parsed(text), _parsed(text.lower())]
    return next((value for value in readings if axis.contains(value)), text)


def _parsed(text: str) -> Any:
    if text == "none":
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _metrics(row: Mapping[str, str]) -> dict[str, Any]:
    parsed = {name: _parsed(cell or "") for name, cell in row.items() if name is not None}
    return {name: value for name, value in parsed.items() if isinstance(value, int | float)}


def _flat(metrics: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
