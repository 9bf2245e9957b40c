"""Trials as one flat table: what CSV, JSON and parquet hold, and what `--prior` of another sweep reads."""

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator.ledger.records import TrialRecord
from orchestrator.reporting.results import Results
from orchestrator.trial.contract.flat import CONFIG, METRIC, flat, told_apart
from orchestrator.trial.contract.resource_use import Use

ABOUT = (
    "trial",
    "state",
    "cause",
    "row",
    "rows",
    "seconds",
    "started",
    "ended",
    "attempts",
    "host",
    "gpus",
    "error",
)
"""Columns about the trial itself."""

LABELS = ("tags", "note")
"""Columns at the end, where people have said something of a trial."""

USE = ("use.seconds", "use.cpus", "use.rss_bytes", "use.gpu_busy", "use.gpu_memory_bytes", "use.gpu_power_w")
"""Columns where it is asked for: what the last attempt used, and for how long that was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One row per trial. Columns: `ABOUT`, parameters by their dotted names, objectives, last values of other metrics, `USE`.

    Attributes:
        columns: Unique names. A parameter that is called as a metric, or as one of `ABOUT` or `USE`, has ``config.`` before its
            name, and a metric that is called as a parameter, or as one of these, ``metric.``; so have those whose own name
            begins like that.
        rows: Values as they are: bool, int, float, str, None, moments in UTC, and lists or mappings where a parameter has such.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def table_of(results: Results, *, most_metrics: int | None = None, uses: Mapping[int, Use] | None = None) -> Table:
    """Return the table of all trials; `most_metrics` keeps those that most trials logged, `uses` adds what trials used."""
    configs = [dict(flat(trial.config)) for trial in results.trials]
    parameters = list(dict.fromkeys(name for config in configs for name in config))
    objectives = [metric.name for metric in results.spec.objectives]
    logged = Counter(name for trial in results.trials for name in trial.metrics if name not in objectives)
    metrics = sorted(name for name, _ in logged.most_common(most_metrics))
    labels = LABELS if results.labels.trials else ()
    of_use = () if uses is None else USE
    columns = (
        *ABOUT,
        *told_apart(parameters, CONFIG, {*ABOUT, *of_use, *objectives, *metrics}),
        *told_apart([*objectives, *metrics], METRIC, {*ABOUT, *of_use, *parameters}),
        *of_use,
    )
    columns += tuple(name if name not in columns else f"label.{name}" for name in labels)
    rows = []
    for trial, config in zip(results.trials, configs, strict=True):
        values = results.values(trial)
        found = [config.get(name) for name in parameters] + [values[name] for name in objectives]
        said = results.labels.of(trial.number)
        own = (" ".join(said.tags) or None, said.note) if labels else ()
        rows.append((*_about(trial), *found, *(trial.metrics.get(name) for name in metrics)))
        rows[-1] += (*(() if uses is None else _used(uses.get(trial.number))), *own)
    return Table(columns=columns, rows=tuple(rows))


def as_csv(table: Table) -> str:
    """Return the table as CSV. Text is written as it is, all else as JSON; nothing for None."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_cell(value) for value in row] for row in table.rows)
    return out.getvalue()


def as_records(table: Table) -> list[dict[str, Any]]:
    """Return the table as JSON can carry it, one object per trial; what is not finite is None."""
    return [{name: _plain(value) for name, value in zip(table.columns, row, strict=True)} for row in table.rows]


def as_columns(table: Table) -> dict[str, list[Any]]:
    """Return the table by columns of one type each: a column of mixed types, or of integers beyond 64 bits, becomes text."""
    columns = zip(*table.rows, strict=True) if table.rows else ((),) * len(table.columns)
    return {name: _typed(list(values)) for name, values in zip(table.columns, columns, strict=True)}


def _about(trial: TrialRecord) -> tuple[Any, ...]:
    seconds = round(trial.ended - trial.started, 3) if trial.ended and trial.started else None
    return (
        trial.number,
        str(trial.state),
        str(trial.cause) if trial.cause else None,
        trial.step,
        trial.n_reports,
        seconds,
        moment(trial.started),
        moment(trial.ended),
        trial.attempt + 1,
        trial.host,
        " ".join(trial.gpu_ids) or None,
        trial.error,
    )


def _used(use: Use | None) -> tuple[float | None, ...]:
    """The cells of `USE`. Of several GPUs: how busy they were on average, the memory of the fullest, the power of all."""
    if use is None:
        return (None,) * len(USE)
    fullest, powers = use.fullest, [gpu.power_w for gpu in use.gpus if gpu.power_w is not None]
    memory = None if fullest is None else fullest.memory_bytes
    return (use.seconds, use.cpus, use.rss_bytes, use.own_busy, memory, sum(powers) if powers else None)


def moment(seconds: float | None) -> datetime | None:
    """Return a Unix time in UTC; None for what is no time that can be shown."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):  # a ledger may come from elsewhere
        return None


def _cell(value: Any) -> str:
    if value is None:
        return ""
    value = _iso(value)
    return value if isinstance(value, str) else json.dumps(value)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return dict(value) if isinstance(value, Mapping) else _iso(value)


def _iso(value: Any) -> Any:
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else value


def _typed(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and float in kinds:
        return [None if value is None else float(value) for value in values]
    if kinds <= {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return values
    if len(kinds) == 1 and kinds <= {str, bool, datetime}:
        return values
    return [None if value is None else _cell(value) for value in values]
