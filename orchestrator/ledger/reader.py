"""A ledger as everybody but its controller sees it: read only, while the controller writes."""

import sqlite3
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.errors import LedgerError
from orchestrator.ledger.connection import connect, explained
from orchestrator.ledger.ranking import pareto_front
from orchestrator.ledger.records import AttemptRecord, SweepRecord, TrialRecord, TrialState
from orchestrator.ledger.rows import MetricRow, attempt_record, metric_row, number, sweep_record, trial_record
from orchestrator.ledger.schema import version

CurvePoint = tuple[int, int | None, float]
"""Which value of the trial it is (from 1), the program's step if it gave one, and the value."""

RANKED = "score IS NOT NULL AND state NOT IN ('failed', 'canceled')"


class LedgerReader:
    """Queries on a ledger. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = connect(path, read_only=True)
        with explained(path):
            version(self._connection, path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def sweep(self) -> SweepRecord:
        """Return the row about the sweep itself."""
        rows = self._rows("SELECT * FROM sweep")
        if not rows:
            raise LedgerError(f"{self._path}: the ledger holds no sweep; its directory was not completely created")
        return sweep_record(rows[0])

    def counts(self) -> dict[TrialState, int]:
        """Return how many trials are in each state."""
        rows = self._rows("SELECT state, count(*) AS n FROM trials GROUP BY state")
        return {TrialState(row["state"]): row["n"] for row in rows}

    def trials(self) -> list[TrialRecord]:
        """Return every trial, by number."""
        return [trial_record(row) for row in self._rows("SELECT * FROM trials ORDER BY number")]

    def trial(self, number_: int) -> TrialRecord | None:
        """Return one trial, or None when there is none of that number."""
        rows = self._rows("SELECT * FROM trials WHERE number = ?", number_)
        return trial_record(rows[0]) if rows else None

    def best(self, k: int) -> list[TrialRecord]:
        """Return the `k` best trials, the best first; of equals the first."""
        query = f"SELECT * FROM trials WHERE {RANKED} ORDER BY score, number LIMIT ?"  # noqa: S608 - our own words
        return [trial_record(row) for row in self._rows(query, k)]

    def scores(self, states: Collection[TrialState]) -> list[float]:
        """Return the scores of all trials in some states, ascending."""
        marks = ", ".join("?" * len(states))
        query = f"SELECT score FROM trials WHERE score IS NOT NULL AND state IN ({marks}) ORDER BY score"  # noqa: S608 - marks
        return [row["score"] for row in self._rows(query, *states)]

    def front(self) -> list[TrialRecord]:
        """Return the trials that no other trial beats in every objective, by number."""
        return pareto_front(self.trials())

    def attempts(self, trial: int) -> list[AttemptRecord]:
        """Return a trial's attempts, the first one first."""
        rows = self._rows("SELECT * FROM attempts WHERE trial = ? ORDER BY attempt", trial)
        return [attempt_record(row) for row in rows]

    def values(self, trial: int, objective: int = 0) -> list[float]:
        """Return every value of an objective that a trial reported, in order."""
        query = "SELECT value FROM scores WHERE trial = ? AND objective = ? ORDER BY position"
        return [number(row["value"]) for row in self._rows(query, trial, objective)]

    def all_attempts(self) -> list[AttemptRecord]:
        """Return every attempt, by trial and attempt."""
        return [attempt_record(row) for row in self._rows("SELECT * FROM attempts ORDER BY trial, attempt")]

    def curves(self, most: int) -> dict[int, list[CurvePoint]]:
        """Return the first objective's curve of every trial, thinned evenly to about `most` points, the last one kept."""
        query = (
            "WITH lasts AS (SELECT trial, max(position) AS last FROM scores WHERE objective = 0 GROUP BY trial)"
            " SELECT trial, position, step, value FROM scores JOIN lasts USING (trial) WHERE objective = 0"
            " AND (position % (last / ? + 1) = 0 OR position = last) ORDER BY trial, position"
        )
        curves: dict[int, list[CurvePoint]] = defaultdict(list)
        for row in self._rows(query, most):
            curves[row["trial"]].append((row["position"] + 1, row["step"], number(row["value"])))
        return dict(curves)

    def metric_rows(self, trial: int) -> list[MetricRow]:
        """Return what is kept of every metric that a trial reported, by name and in order."""
        rows = self._rows("SELECT * FROM metrics WHERE trial = ? ORDER BY name, attempt, report", trial)
        return [metric_row(row) for row in rows]

    def decisions(self, trial: int) -> list[tuple[float, str, str | None]]:
        """Return (time, what, reason) of every decision about a trial, oldest first."""
        rows = self._rows("SELECT time, what, reason FROM decisions WHERE trial = ? ORDER BY id", trial)
        return [(row["time"], row["what"], row["reason"]) for row in rows]

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with explained(self._path):
            return self._connection.execute(query, values).fetchall()
