"""Which errors mean that a ledger is damaged, and how that is said."""

import sqlite3
from pathlib import Path

from orchestrator.errors import DamagedLedgerError

SIGNS = (
    "malformed",
    "not a database",
    "no such table",
    "no such column",
    "already exists",
    "duplicate column",
    "Could not decode",
    "can't decode",
    "unsupported file format",
    "disk I/O error",
    "out of range",
    "too big",
    "constraint failed",
)
"""What SQLite says of a file that a disk or somebody has spoilt. Nobody else writes it, so a missing table is a sign, too."""

MOST = 20
"""Pieces of damage that are named."""


class RowError(ValueError):
    """A row holds what nobody wrote there."""


def note(damage: list[str], what: str) -> None:
    """Add a piece of damage to those that are named: each once, and not too many."""
    if what not in damage and len(damage) < MOST:
        damage.append(what)


def is_damage(error: BaseException) -> bool:
    """Return whether what SQLite raised says that the file is damaged, and not that it is locked, or the disk full."""
    if isinstance(error, UnicodeDecodeError | OverflowError | RowError):
        return True
    return isinstance(error, sqlite3.Error) and any(sign in str(error) for sign in SIGNS)


def damaged(path: Path, what: str) -> DamagedLedgerError:
    """Return the error that says what is damaged, and how to go on."""
    return DamagedLedgerError(f"{path}: the ledger is damaged: {what}.\n{remedy(path)}")


def remedy(path: Path) -> str:
    """Return the line that says how to go on with a sweep whose ledger is damaged."""
    name = path.parent.name.rpartition("-")[2]
    return f"  `sweep repair {name}` rebuilds it from what can be read and from the trials' directories; it keeps this file."


def is_text(error: BaseException) -> bool:
    """Return whether it is text that is no UTF-8, and the rest may be sound."""
    return "decode" in str(error)


def found_in(connection: sqlite3.Connection, table: str | None = None) -> list[str]:
    """Return what SQLite itself finds wrong with a ledger's file, or with one table of it; empty when it is sound."""
    try:
        found = [str(row[0]) for row in connection.execute(f"PRAGMA quick_check({table or MOST})")]
    except (sqlite3.Error, UnicodeDecodeError, OverflowError) as error:
        if not is_damage(error):
            raise
        return [str(error)]
    return [] if found == ["ok"] else found
