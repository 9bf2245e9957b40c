"""What other terminals ask of a running sweep: written by any process, taken by its controller."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from orchestrator.errors import LedgerError
from orchestrator.ledger.connection import connect, explained
from orchestrator.ledger.database import Database
from orchestrator.ledger.schema import version

OF_TRIALS_FROM = 6
"""The ledger's version from which on a request may be about one trial, or change the spec."""


class Action(StrEnum):
    """What may be asked, as `wandb sweep` names it where it has a name for it."""

    STOP = "stop"  # no new trials, running ones finish; of a trial: end it softly, what it showed counts
    CANCEL = "cancel"  # end running trials now, for good; of a trial: also one that waits to run again
    PAUSE = "pause"  # hold: running ones finish, none are launched
    UNPAUSE = "unpause"
    RETRY = "retry"  # of a trial that is over: run it again
    SET = "set"  # change what a running sweep may change of its spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What is asked.

    Attributes:
        action: One of `Action`; a newer release may ask for others.
        trial: The trial that it is about; None for the whole sweep.
        changes: Of `SET`, values as text by what is changed.
    """

    action: str
    trial: int | None = None
    changes: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """It for people: ``stop trial 3``."""
        about = "" if self.trial is None else f" trial {self.trial}"
        return f"{self.action}{about}" + "".join(f" {key}={value}" for key, value in self.changes.items())


def ask(ledger_path: Path, *instructions: Instruction) -> None:
    """Write requests into a sweep's ledger; its controller takes them within a second.

    Raises:
        LedgerError: The ledger cannot be written, or its controller is of a release that knows no such request.
    """
    connection = connect(ledger_path)
    try:
        with explained(ledger_path):
            is_old = version(connection, ledger_path) < OF_TRIALS_FROM
            if is_old and any(each.trial is not None or each.changes for each in instructions):
                raise LedgerError(
                    f"{ledger_path}: an earlier release of sweep runs this sweep, which can be stopped, canceled and"
                    " paused as a whole alone.\n  Interrupt it and go on with `sweep resume`."
                )
            connection.execute("BEGIN IMMEDIATE")
            _insert(connection, instructions, is_old=is_old)
            connection.execute("COMMIT")
    finally:
        connection.close()


def _insert(connection: Any, instructions: Sequence[Instruction], *, is_old: bool) -> None:
    now = time.time()
    if is_old:
        rows = [(now, str(each.action)) for each in instructions]
        connection.executemany("INSERT INTO requests (time, action) VALUES (?, ?)", rows)
        return
    connection.executemany(
        "INSERT INTO requests (time, action, trial, changes) VALUES (?, ?, ?, ?)",
        [(now, str(each.action), each.trial, json.dumps(dict(each.changes))) for each in instructions],
    )


class Requests:
    """The requests that the controller has not taken yet."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen_version = -1

    def drop(self) -> None:
        """Take those that were meant for an earlier controller."""
        with self._database.transaction("drop"):
            self._database.execute("UPDATE requests SET taken = ? WHERE taken IS NULL", time.time())

    def take(self) -> list[Instruction]:
        """Return what other terminals have asked for since the last call, oldest first; what cannot be read is left out."""
        version = self._database.query("PRAGMA data_version")[0][0]
        if version == self._seen_version:
            return []
        self._seen_version = version
        rows = self._database.query("SELECT id, action, trial, changes FROM requests WHERE taken IS NULL ORDER BY id")
        if rows:
            with self._database.transaction("requests"):
                self._database.execute("UPDATE requests SET taken = ? WHERE id <= ?", time.time(), rows[-1]["id"])
        return [
            Instruction(action=row["action"], trial=row["trial"], changes=changes)
            for row in rows
            if isinstance(row["action"], str)
            and isinstance(row["trial"], int | None)
            and (changes := _changes(row["changes"])) is not None
        ]


def _changes(text: str) -> dict[str, str] | None:
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else None
