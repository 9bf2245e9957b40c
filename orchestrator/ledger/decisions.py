"""What was decided about trials, by whom and why."""

import time
from dataclasses import dataclass

from orchestrator.ledger.database import Database
from orchestrator.ledger.records import Asker, Decided, TrialRecord
from orchestrator.ledger.rows import decision


@dataclass(frozen=True, slots=True)
class Decisions:
    """The decisions about trials' attempts; written within the transaction of what follows from them."""

    _database: Database

    def write(self, trial: TrialRecord, what: Asker | Decided, reason: str | None) -> None:
        """Write what is decided about a trial's current attempt."""
        insert = "INSERT INTO decisions (time, trial, attempt, what, reason) VALUES (?, ?, ?, ?, ?)"
        self._database.execute(insert, time.time(), trial.number, trial.attempt, what, reason)

    def asked(self, trial: TrialRecord) -> tuple[Asker, str] | None:
        """Who asked a trial's current attempt to end and why, as it was written last; None: nobody did."""
        marks = ", ".join("?" * len(Asker))
        query = f"SELECT * FROM decisions WHERE trial = ? AND attempt = ? AND what IN ({marks}) ORDER BY id"  # noqa: S608 - marks
        found = self._database.records(decision, query, trial.number, trial.attempt, *Asker)
        return (Asker(found[-1].what), found[-1].reason or "") if found else None
