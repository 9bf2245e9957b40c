"""What the search wants kept: of itself and of each trial, in its own words."""

from dataclasses import dataclass

from orchestrator.ledger.database import Database
from orchestrator.search.protocol import Memory


@dataclass(frozen=True, slots=True)
class SearchMemory:
    """What the search finds again when the sweep goes on."""

    _database: Database

    def of_search(self) -> str | None:
        """What it wanted kept of itself."""
        rows = self._database.query("SELECT study FROM sweep")
        return rows[0]["study"] if rows else None

    def of_trials(self) -> dict[int, str]:
        """What it wanted kept of each trial, by number."""
        rows = self._database.query("SELECT number, study FROM trials WHERE study IS NOT NULL")
        return {row["number"]: row["study"] for row in rows}

    def keep(self, memory: Memory) -> None:
        """Write what it wants kept."""
        if not memory.trials and memory.search is None:
            return
        with self._database.transaction("memory"):
            for number, record in memory.trials.items():
                self._database.execute("UPDATE trials SET study = ? WHERE number = ?", record, number)
            if memory.search is not None:
                self._database.execute("UPDATE sweep SET study = ?", memory.search)
