"""What a controller says, kept for whoever watches from another process: remarks, and what only it knows.

Remarks come at any moment, from any thread of the controller; nothing is decided by them. So each is written by itself, and is
none of the transactions that a sweep consists of.
"""

import time
from collections.abc import Sequence

from orchestrator.ledger.connection import explained
from orchestrator.ledger.database import Database
from orchestrator.ledger.records import Outlook


class Bulletin:
    """The remarks of the sweep's controller, and its outlook; those of an earlier one go with `clear`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def clear(self) -> None:
        """Forget what an earlier controller said."""
        self._write("DELETE FROM notes")
        self._write("DELETE FROM outlook")

    def add(self, texts: Sequence[str]) -> None:
        """Write remarks, in order."""
        for text in texts:
            self._write("INSERT INTO notes (time, text) VALUES (?, ?)", time.time(), text)

    def set_outlook(self, outlook: Outlook) -> None:
        """Write the outlook in place of the one before."""
        self._write(
            "INSERT OR REPLACE INTO outlook (only, began, slots, total, problem) VALUES (1, ?, ?, ?, ?)",
            *(outlook.began, outlook.slots, outlook.total, outlook.problem),
        )

    def _write(self, statement: str, *values: object) -> None:
        with explained(self._database.path):
            self._database.execute(statement, *values)
