"""Between rows and records: the one place that knows how a record is stored."""

import json
import math
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from orchestrator.ledger.damage import RowError
from orchestrator.ledger.records import (
    AttemptRecord,
    Decision,
    Outlook,
    SweepRecord,
    SweepState,
    TrialRecord,
    TrialState,
    WandbSweep,
)
from orchestrator.trial.contract.bounds import LARGEST_STEP, LATEST_S, one_line, shown, valid_text
from orchestrator.trial.contract.events import Cause

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """One value of one metric; `report` is its position among the trial's values of that metric, from 0."""

    name: str
    report: int
    attempt: int
    step: int | None
    time: float
    value: float


def _row_of(
    table: str, number_: str | None = None
) -> Callable[[Callable[[sqlite3.Row], T]], Callable[[sqlite3.Row], T]]:
    """Turn whatever a damaged row makes Python raise into one error that names the row: the table, and the trial's column."""

    def guarded(convert: Callable[[sqlite3.Row], T]) -> Callable[[sqlite3.Row], T]:
        @wraps(convert)
        def read(row: sqlite3.Row) -> T:
            try:
                return convert(row)
            except (
                ValueError,
                TypeError,
                KeyError,
                IndexError,
                AttributeError,
                RecursionError,
                OverflowError,
            ) as error:
                raise _no_row(table, error, None if number_ is None else row[number_]) from error

        return read

    return guarded


@_row_of("sweep")
def sweep_record(row: sqlite3.Row) -> SweepRecord:
    """Return the sweep that a row of ``sweep`` describes.

    Raises:
        RowError: It describes none.
    """
    return SweepRecord(
        sweep_id=_text(row["sweep_id"]),
        name=_text(row["name"]),
        spec_text=_text(row["spec_text"]),
        seed=_whole(row["seed"]),
        state=SweepState(row["state"]),
        created=_time(row["created"]),
        cwd=_text(row["cwd"]),
        reason=_maybe(_text, row["reason"]),
        wandb_sweep_id=_maybe(_wandb_path, row["wandb_sweep_id"]),
        source_path=_maybe(_text, row["source_path"]),
        source_text=_maybe(_text, row["source_text"]),
        active_s=_finite(row["active_s"]) if "active_s" in row.keys() else 0.0,  # noqa: SIM118 - a Row iterates over values
        exit_code=_maybe(_whole, row["exit_code"]) if "exit_code" in row.keys() else None,  # noqa: SIM118 - a Row
    )


@_row_of("outlook")
def outlook(row: sqlite3.Row) -> Outlook:
    """Return what a row of ``outlook`` says.

    Raises:
        RowError: It says nothing.
    """
    return Outlook(
        began=_finite(row["began"]),
        slots=_whole(row["slots"], 0),
        total=_maybe(_whole, row["total"]),
        problem=_maybe(_text, row["problem"]),
    )


@_row_of("notes")
def note_text(row: sqlite3.Row) -> tuple[int, str]:
    """Return (id, text) of a row of ``notes``.

    Raises:
        RowError: It holds none.
    """
    return _whole(row["id"]), _text(row["text"])


@_row_of("trials", "number")
def trial_record(row: sqlite3.Row) -> TrialRecord:
    """Return the trial that a row of ``trials`` describes.

    Raises:
        RowError: It describes none.
    """
    return TrialRecord(
        number=_whole(row["number"], 0),
        config=_config(row["config"]),
        state=TrialState(row["state"]),
        attempt=_whole(row["attempt"], -1),
        value=_maybe(_number, row["value"]),
        score=_maybe(_finite, row["score"]),
        scores=tuple(_finite(score) for score in _list(row["scores"])),
        step=_maybe(_whole, row["step"]),
        own_step=_maybe(_whole, row["own_step"]) if "own_step" in row.keys() else None,  # noqa: SIM118 - a Row
        n_reports=_whole(row["n_reports"], 0),
        cause=_maybe(Cause, row["cause"]),
        error=_maybe(_text, row["error"]),
        reason=_maybe(_text, row["reason"]),
        created=_time(row["created"]),
        started=_maybe(_time, row["started"]),
        ended=_maybe(_time, row["ended"]),
        order=_maybe(_whole, row["ended_order"]),
        host=_maybe(_text, row["host"]),
        gpu_ids=_texts(row["gpu_ids"]),
        run_id=_maybe(_text, row["run_id"]),
        metrics={name: number(last) for name, (last, _) in metric_counts(row["metrics"]).items()},
    )


@_row_of("trials", "number")
def summary_of(row: sqlite3.Row) -> dict[str, float]:
    """Return the summary of a row of ``trials``: what an attempt's own summary has, by name.

    Raises:
        RowError: It holds none.
    """
    _whole(row["n_told"], 0)
    return {_text(name): _number(value) for name, value in json.loads(row["summary"]).items()}


@_row_of("attempts", "trial")
def attempt_record(row: sqlite3.Row) -> AttemptRecord:
    """Return the attempt that a row of ``attempts`` describes.

    Raises:
        RowError: It describes none.
    """
    return AttemptRecord(
        trial=_whole(row["trial"], 0),
        attempt=_whole(row["attempt"], 0),
        begun=_time(row["begun"]),
        started=_maybe(_time, row["started"]),
        ended=_maybe(_time, row["ended"]),
        pid=_maybe(_whole, row["pid"]),
        host=_maybe(_text, row["host"]),
        gpu_ids=_texts(row["gpu_ids"]),
        cold_reason=_maybe(_text, row["cold_reason"]),
        cause=_maybe(Cause, row["cause"]),
        exit_code=_maybe(_whole, row["exit_code"]),
        signal=_maybe(_whole, row["signal"]),
        error=_maybe(_text, row["error"]),
        log_tail=_texts(row["log_tail"]),
    )


@_row_of("attempts", "trial")
def attempt_end(row: sqlite3.Row) -> tuple[int, Cause]:
    """Return of which trial an attempt was, and why it ended.

    Raises:
        RowError: The row does not say so.
    """
    return _whole(row["trial"], 0), Cause(row["cause"])


@_row_of("attempts", "trial")
def attempt_span(row: sqlite3.Row) -> tuple[float, int]:
    """Return how many seconds an attempt took, and how many GPUs it had.

    Raises:
        RowError: The row does not say so.
    """
    return max(0.0, _time(row["ended"]) - _time(row["started"])), len(_texts(row["gpu_ids"]))


@_row_of("trials", "number")
def logged_of(row: sqlite3.Row) -> tuple[dict[str, tuple[float | None, int]], int]:
    """Return what a trial's current attempt has logged: `metric_counts`, and how many reports are recorded.

    Raises:
        RowError: The row does not say so.
    """
    return metric_counts(row["metrics"]), _whole(row["n_told"], 0)


@_row_of("metrics", "trial")
def metric_row(row: sqlite3.Row) -> MetricRow:
    """Return the value that a row of ``metrics`` holds.

    Raises:
        RowError: It holds none.
    """
    return MetricRow(
        name=_text(row["name"]),
        report=_whole(row["report"], 0),
        attempt=_whole(row["attempt"], 0),
        step=_maybe(_whole, row["step"]),
        time=_time(row["time"]),
        value=number(_maybe(_number, row["value"])),
    )


def score_value(row: sqlite3.Row) -> float:
    """Return the value that a row of ``scores`` holds.

    Raises:
        RowError: It holds none.
    """
    return score(row["trial"], row["position"], row["step"], row["value"])


def score(trial: Any, position: Any, step: Any, value: Any) -> float:
    """Return the value that a row of ``scores`` holds, of which there are many: by its columns.

    Raises:
        RowError: It holds none.
    """
    try:
        _whole(trial, 0), _whole(position, 0)
        if step is not None:
            _whole(step)
        return math.nan if value is None else _number(value)
    except (ValueError, TypeError) as error:
        raise _no_row("scores", error, trial) from error


@_row_of("decisions")
def decision(row: sqlite3.Row) -> Decision:
    """Return the decision that a row of ``decisions`` describes.

    Raises:
        RowError: It describes none.
    """
    return Decision(
        id=_whole(row["id"]),
        time=_time(row["time"]),
        trial=_whole(row["trial"], 0),
        attempt=_whole(row["attempt"], -1),
        what=_text(row["what"]),
        reason=_maybe(_text, row["reason"]),
    )


def metric_counts(text_: Any) -> dict[str, tuple[float | None, int]]:
    """Return the last value and the number of values of each metric, from a trial's ``metrics``.

    Raises:
        ValueError, TypeError: The text says something else.
    """
    found = json.loads(text_)
    return {_text(name): (_maybe(_number, last), _whole(count, 0)) for name, (last, count) in found.items()}


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


def _no_row(table: str, error: Exception, trial: Any = None) -> RowError:
    """The error that names a row: its table, and the trial that it is of."""
    which = "" if trial is None else f" of trial {shown(trial)}"
    return RowError(f"a row{which} in {table} cannot be what was written there ({one_line(str(error), 120)})")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.60} is no text")
    return value


def _whole(value: Any, least: int = -LARGEST_STEP) -> int:
    if type(value) is not int or value < least:
        raise TypeError(f"{value!r:.60} is no whole number, or too small")
    return value


def _number(value: Any) -> float:
    if type(value) is not float and type(value) is not int:
        raise TypeError(f"{value!r:.60} is no number")
    return float(value)


def _finite(value: Any) -> float:
    found = _number(value)
    if not math.isfinite(found):
        raise ValueError(f"{found} is no number to rank by")
    return found


def _time(value: Any) -> float:
    found = _number(value)
    if not 0 <= found <= LATEST_S:
        raise ValueError(f"{found} is no time")
    return found


def _list(value: Any) -> list[Any]:
    found = json.loads(value)
    if not isinstance(found, list):
        raise TypeError(f"{value!r:.60} is no list")
    return found


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(each) for each in _list(value))


def _config(value: Any) -> dict[str, Any]:
    found = json.loads(value)
    if not isinstance(found, dict):
        raise TypeError(f"{value!r:.60} is no config")
    return found


def _wandb_path(value: Any) -> str:
    WandbSweep.parse(_text(value))
    return str(value)


def _maybe(read: Callable[..., T], value: Any) -> T | None:
    return None if value is None else read(value)
