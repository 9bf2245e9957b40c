"""What a controller says, kept for whoever watches from another process: remarks, and what only it knows."""

import time
from collections.abc import Sequence

from orchestrator.ledger.database import Database
from orchestrator.ledger.records import Outlook


class Bulletin:
    """The remarks of the sweep's controller, and its outlook; those of an earlier one go with `clear`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def clear(self) -> None:
        """Forget what an earlier controller said."""
        with self._database.transaction("bulletin"):
            self._database.execute("DELETE FROM notes")
            self._database.execute("DELETE FROM outlook")

    def add(self, texts: Sequence[str]) -> None:
        """Write remarks, in order."""
        with self._database.transaction("notes"):
            self._database.insert("notes", [{"time": time.time(), "text": text} for text in texts])

    def set_outlook(self, outlook: Outlook) -> None:
        """Write the outlook in place of the one before."""
        with self._database.transaction("outlook"):
            self._database.execute(
                "INSERT OR REPLACE INTO outlook (only, began, slots, total, problem) VALUES (1, ?, ?, ?, ?)",
                *(outlook.began, outlook.slots, outlook.total, outlook.problem),
            )
