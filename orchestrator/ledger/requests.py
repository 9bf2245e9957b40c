"""What other terminals ask of a running sweep: written by any process, taken by its controller."""

import time
from enum import StrEnum
from pathlib import Path

from orchestrator.ledger.connection import connect, explained
from orchestrator.ledger.database import Database


class Action(StrEnum):
    """What may be asked, as `wandb sweep` names it."""

    STOP = "stop"  # no new trials; running ones finish
    CANCEL = "cancel"  # end running trials now
    PAUSE = "pause"  # hold: running ones finish, none are launched
    UNPAUSE = "unpause"


def ask(ledger_path: Path, action: Action) -> None:
    """Write a request into a sweep's ledger; its controller takes it within a second.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    connection = connect(ledger_path)
    try:
        with explained(ledger_path):
            connection.execute("INSERT INTO requests (time, action) VALUES (?, ?)", (time.time(), action))
    finally:
        connection.close()


class Requests:
    """The requests that the controller has not taken yet."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen_version = -1

    def drop(self) -> None:
        """Take those that were meant for an earlier controller."""
        with self._database.transaction("drop"):
            self._database.execute("UPDATE requests SET taken = ? WHERE taken IS NULL", time.time())

    def take(self) -> list[str]:
        """Return what other terminals have asked for since the last call, oldest first."""
        version = self._database.query("PRAGMA data_version")[0][0]
        if version == self._seen_version:
            return []
        self._seen_version = version
        rows = self._database.query("SELECT id, action FROM requests WHERE taken IS NULL ORDER BY id")
        if rows:
            with self._database.transaction("requests"):
                self._database.execute("UPDATE requests SET taken = ? WHERE id <= ?", time.time(), rows[-1]["id"])
        return [row["action"] for row in rows]
