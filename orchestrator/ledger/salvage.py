"""What can be read of a damaged ledger: its rows, one by one, from a copy."""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from orchestrator import layout
from orchestrator.errors import DamagedLedgerError
from orchestrator.ledger.connection import connect
from orchestrator.ledger.damage import RowError, found_in, is_damage, note
from orchestrator.ledger.records import SweepRecord, TrialRecord
from orchestrator.ledger.rows import (
    attempt_record,
    decision,
    metric_row,
    score_value,
    summary_of,
    sweep_record,
    trial_record,
)
from orchestrator.ledger.schema import version

Row: TypeAlias = Mapping[str, Any]
"""A row by column."""

OF_TRIALS: Mapping[str, Callable[[sqlite3.Row], object]] = {
    "attempts": attempt_record,
    "scores": score_value,
    "metrics": metric_row,
    "decisions": decision,
}
"""The tables whose rows belong to trials, with what a row of each must be."""


@dataclass(slots=True, kw_only=True)
class Salvage:
    """The rows of a ledger that are what was written.

    Attributes:
        sweep: The row about the sweep itself; None when that cannot be read.
        study: What the search remembers of itself.
        trials: By number.
        rows: Rows of the trials' own tables, by table and trial.
        damage: What could not be read; empty for a sound ledger.
        has_lost_pages: Whether the file itself is damaged, so that rows may be missing without a trace.
    """

    sweep: SweepRecord | None = None
    study: str | None = None
    trials: dict[int, TrialRecord] = field(default_factory=dict)
    rows: dict[str, dict[int, list[Row]]] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    has_lost_pages: bool = False


def salvage(path: Path) -> Salvage:
    """Return what can be read of a ledger. The ledger itself is not touched.

    Raises:
        LedgerError: It is another release's, or was made to run SQL; or it cannot be copied.
    """
    found = Salvage()
    if not path.exists() or path.stat().st_size == 0:
        found.damage.append("the file is not there" if not path.exists() else "the file is empty")
        return found
    with tempfile.TemporaryDirectory(prefix="sweep-repair-") as place:
        copy = Path(place) / path.name
        for end in ("", *layout.LEDGER_LOGS):
            beside = path.with_name(f"{path.name}{end}")
            if beside.is_file():
                shutil.copyfile(beside, copy.with_name(f"{path.name}{end}"))
        try:
            connection = connect(copy, read_only=True)
        except DamagedLedgerError as error:
            found.damage.append(_reason(error))
            return found
        try:
            version(connection, path)
            _read(connection, found)
        except DamagedLedgerError as error:
            found.damage.append(_reason(error))
        finally:
            connection.close()
    return found


def _read(connection: sqlite3.Connection, found: Salvage) -> None:
    connection.text_factory = _reading(found)
    found.damage += found_in(connection)
    found.has_lost_pages = bool(found.damage)
    for row in _rows(connection, "sweep", found):
        found.sweep = _converted(sweep_record, row, found) or found.sweep
        found.study = row["study"] if "study" in row.keys() and isinstance(row["study"], str) else None  # noqa: SIM118 - a Row
    for row in _rows(connection, "trials", found):
        trial = _converted(_trial, row, found)
        if trial is not None:
            found.trials[trial.number] = trial
            whole = {"n_told": row["n_reports"], **dict(row)}  # an earlier release counted nothing else
            found.rows.setdefault("trials", {})[trial.number] = [whole]
    for table, convert in OF_TRIALS.items():
        for row in _rows(connection, table, found):
            if _converted(convert, row, found) is not None and isinstance(row["trial"], int):
                found.rows.setdefault(table, {}).setdefault(row["trial"], []).append(dict(row))


def _trial(row: sqlite3.Row) -> TrialRecord:
    if "summary" in row.keys():  # noqa: SIM118 - a Row iterates over values
        summary_of(row)
    return trial_record(row)


def _rows(connection: sqlite3.Connection, table: str, found: Salvage) -> Iterator[sqlite3.Row]:
    """The rows of a table up to where it cannot be read further."""
    try:
        yield from connection.execute(f"SELECT * FROM {table}")  # noqa: S608 - own names
    except (sqlite3.Error, UnicodeError, OverflowError) as error:
        if not is_damage(error):
            raise
        found.has_lost_pages = True
        note(found.damage, f"{table}: {error}")


def _converted(convert: Callable[[sqlite3.Row], Any], row: sqlite3.Row, found: Salvage) -> Any:
    """What a row is; None for one that is nothing."""
    try:
        return convert(row)
    except (RowError, IndexError) as error:
        note(found.damage, str(error))
        return None


def _reading(found: Salvage) -> Callable[[bytes], str]:
    """What turns a column's bytes into text, and notes where they are none."""

    def read(text: bytes) -> str:
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            note(found.damage, f"a text is no UTF-8: {error}")
            return text.decode("utf-8", "replace")

    return read


def _reason(error: Exception) -> str:
    return str(error).partition("the ledger is damaged: ")[2].partition(".\n")[0] or str(error)
