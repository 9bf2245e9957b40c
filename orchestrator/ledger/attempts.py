"""The attempts of trials as the ledger has them: how each began, ran and ended."""

from dataclasses import dataclass

from orchestrator.ledger.database import Database
from orchestrator.ledger.rows import attempt_end, attempt_span, text
from orchestrator.trial.contract.events import Cause, Ended, Started


@dataclass(frozen=True, slots=True)
class Attempts:
    """The rows of attempts; written within the transaction of their trials."""

    _database: Database

    def ends(self) -> list[tuple[int, Cause]]:
        """Trial and cause of every attempt that has ended since its trial was last begun afresh (`retry`), oldest first."""
        afresh = "SELECT max(attempt) FROM decisions WHERE trial = attempts.trial AND what = 'retry'"
        query = (
            f"SELECT trial, cause FROM attempts WHERE cause IS NOT NULL AND attempt > ifnull(({afresh}), -1)"  # noqa: S608 - own
            " ORDER BY trial, attempt"
        )
        return self._database.records(attempt_end, query)

    def spans(self) -> list[tuple[float, int]]:
        """Seconds and number of GPUs of every attempt that is over."""
        query = "SELECT trial, started, ended, gpu_ids FROM attempts WHERE ended IS NOT NULL AND started IS NOT NULL"
        return self._database.records(attempt_span, query)

    def begin(self, trial: int, attempt: int, begun: float) -> None:
        """Write that an attempt is about to be handed to a worker; `begun` in Unix seconds."""
        self._database.execute("INSERT INTO attempts (trial, attempt, begun) VALUES (?, ?, ?)", trial, attempt, begun)

    def start(self, event: Started) -> None:
        """Write that its process runs."""
        self._database.execute(
            "UPDATE attempts SET started = ?, pid = ?, host = ?, gpu_ids = ?, cold_reason = ?"
            " WHERE trial = ? AND attempt = ?",
            *(event.time, event.pid, event.host, text(event.gpu_ids), event.cold_reason, event.trial, event.attempt),
        )

    def end(self, event: Ended) -> None:
        """Write how it ended."""
        self._database.execute(
            "UPDATE attempts SET ended = ?, cause = ?, exit_code = ?, signal = ?, error = ?, log_tail = ?"
            " WHERE trial = ? AND attempt = ?",
            *(event.time, event.cause, event.exit_code, event.signal, event.error, text(event.log_tail)),
            *(event.trial, event.attempt),
        )

    def lose(self, trial: int, attempt: int, last_seen: float) -> None:
        """Write that it lost its controller, and until when (Unix time in seconds) it lived at least."""
        self._database.execute(
            "UPDATE attempts SET ended = ?, cause = ? WHERE trial = ? AND attempt = ?",
            *(last_seen, Cause.CONTROLLER_LOST, trial, attempt),
        )

    def amend(self, trial: int, attempt: int, cause: Cause, error: str | None) -> None:
        """Correct how it ended."""
        self._database.execute(
            "UPDATE attempts SET cause = ?, error = ? WHERE trial = ? AND attempt = ?", cause, error, trial, attempt
        )
