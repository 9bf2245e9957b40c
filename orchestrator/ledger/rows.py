"""Between rows and records: the one place that knows how a record is stored."""

import json
import math
import sqlite3
from dataclasses import dataclass
from typing import Any

from orchestrator.ledger.records import AttemptRecord, SweepRecord, SweepState, TrialRecord, TrialState
from orchestrator.trial.bounds import valid_text
from orchestrator.trial.events import Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """One value of one metric; `report` is its position among the trial's values of that metric, from 0."""

    name: str
    report: int
    attempt: int
    step: int | None
    time: float
    value: float


def sweep_record(row: sqlite3.Row) -> SweepRecord:
    """Return the sweep that a row of ``sweep`` describes."""
    fields = {name: row[name] for name in row.keys() if name not in {"only", "study"}}  # noqa: SIM118 - a Row iterates over values
    return SweepRecord(**{**fields, "state": SweepState(row["state"])})


def trial_record(row: sqlite3.Row) -> TrialRecord:
    """Return the trial that a row of ``trials`` describes."""
    return TrialRecord(
        number=row["number"],
        config=json.loads(row["config"]),
        state=TrialState(row["state"]),
        attempt=row["attempt"],
        value=row["value"],
        score=row["score"],
        scores=tuple(json.loads(row["scores"])),
        step=row["step"],
        n_reports=row["n_reports"],
        cause=Cause(row["cause"]) if row["cause"] else None,
        error=row["error"],
        reason=row["reason"],
        created=row["created"],
        started=row["started"],
        ended=row["ended"],
        order=row["ended_order"],
        host=row["host"],
        gpu_ids=tuple(json.loads(row["gpu_ids"])),
        run_id=row["run_id"],
        metrics={name: number(last) for name, (last, _) in json.loads(row["metrics"]).items()},
    )


def attempt_record(row: sqlite3.Row) -> AttemptRecord:
    """Return the attempt that a row of ``attempts`` describes."""
    return AttemptRecord(
        trial=row["trial"],
        attempt=row["attempt"],
        begun=row["begun"],
        started=row["started"],
        ended=row["ended"],
        pid=row["pid"],
        host=row["host"],
        gpu_ids=tuple(json.loads(row["gpu_ids"])),
        cold_reason=row["cold_reason"],
        cause=Cause(row["cause"]) if row["cause"] else None,
        exit_code=row["exit_code"],
        signal=row["signal"],
        error=row["error"],
        log_tail=tuple(json.loads(row["log_tail"])),
    )


def metric_row(row: sqlite3.Row) -> MetricRow:
    """Return the value that a row of ``metrics`` holds."""
    return MetricRow(
        name=row["name"],
        report=row["report"],
        attempt=row["attempt"],
        step=row["step"],
        time=row["time"],
        value=number(row["value"]),
    )


def bindable(value: Any) -> Any:
    """Return a value as SQLite takes it: text that UTF-8 cannot carry (an error's, a host's) has escapes in its place."""
    return valid_text(value) if isinstance(value, str) else value


def text(value: Any) -> str:
    """Return a value as JSON; numbers that JSON lacks become strings where `number` reads them back."""
    return json.dumps(value, default=str)


def storable(value: float) -> float | None:
    """Return a value as SQLite keeps it: NaN is NULL there."""
    return None if math.isnan(value) else value


def number(value: float | None) -> float:
    """Return what `storable` stored."""
    return math.nan if value is None else float(value)
