"""A ledger as everybody but its controller sees it: read only, while the controller writes."""

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Sequence

from orchestrator.errors import LedgerError
from orchestrator.ledger.damage import damaged, note
from orchestrator.ledger.ranking import RANKED, pareto_front, ranked
from orchestrator.ledger.read_only import ReadOnlyDatabase
from orchestrator.ledger.records import AttemptRecord, Decision, Outlook, SweepRecord, TrialRecord, TrialState
from orchestrator.ledger.rows import (
    MetricRow,
    attempt_record,
    decision,
    metric_row,
    note_text,
    outlook,
    score_value,
    sweep_record,
    trial_record,
)
from orchestrator.trial.contract.bounds import shown

CurvePoint = tuple[int, int | None, float]
"""Which value of the trial it is (from 1), the program's step if it gave one, and the value."""


class LedgerReader(ReadOnlyDatabase):
    """What a ledger says, by subject. Of a damaged one that is what can be read."""

    def sweep(self) -> SweepRecord:
        """Return the row about the sweep itself.

        Raises:
            DamagedLedgerError: It cannot be read.
            LedgerError: There is none.
        """
        records = self._records(sweep_record, "SELECT * FROM sweep")
        if records:
            return records[0]
        if self.damage:
            raise damaged(self.path, self.damage[-1])
        raise LedgerError(f"{self.path}: the ledger holds no sweep; its directory was not completely created")

    def outlook(self) -> Outlook | None:
        """Return what only the controller knows; None while it has not said it, or where it is of an earlier release."""
        return next(iter(self._records(outlook, "SELECT * FROM outlook")), None) if self._has("outlook") else None

    def notes(self, after: int) -> list[tuple[int, str]]:
        """Return (id, text) of the controller's remarks behind one, oldest first."""
        query = "SELECT id, text FROM notes WHERE id > ? ORDER BY id"
        return self._records(note_text, query, after) if self._has("notes") else []

    def decisions_after(self, id_: int) -> list[Decision]:
        """Return every decision about a trial behind one, oldest first."""
        return self._records(decision, "SELECT * FROM decisions WHERE id > ? AND trial IS NOT NULL ORDER BY id", id_)

    def moved(self, *, known: int, order: int) -> list[TrialRecord]:
        """Return the trials that may have moved since there were `known` of them and `order` was the last to end."""
        query = "SELECT * FROM trials WHERE number >= ? OR ended_order > ? OR state IN ('pending', 'running') ORDER BY number"
        return self._records(trial_record, query, known, order)

    def attempt(self, trial: int, attempt: int) -> AttemptRecord | None:
        """Return one attempt of a trial, or None when there is none of that number."""
        query = "SELECT * FROM attempts WHERE trial = ? AND attempt = ?"
        return next(iter(self._records(attempt_record, query, trial, attempt)), None)

    def latest(self, trial: int, attempt: int, most: int) -> list[CurvePoint]:
        """Return the last `most` values of the first objective that an attempt reported, in order."""
        query = "SELECT * FROM scores WHERE trial = ? AND objective = 0 AND attempt = ? ORDER BY position DESC LIMIT ?"
        return [point for _, point in self._records(_curve_point, query, trial, attempt, most)][::-1]

    def points(self, trial: int, *, since: int = 1) -> list[CurvePoint]:
        """Return the first objective's values of a trial, from one of them (from 1) on, in order."""
        query = "SELECT * FROM scores WHERE trial = ? AND objective = 0 AND position >= ? ORDER BY position"
        return [point for _, point in self._records(_curve_point, query, trial, since - 1)]

    def counts(self) -> dict[TrialState, int]:
        """Return how many trials are in each state."""
        rows = self._rows("SELECT state, count(*) AS n FROM trials GROUP BY state")
        counts = {state: row["n"] for row in rows for state in TrialState if state == row["state"]}
        for row in rows:
            if row["state"] not in counts:
                note(self.damage, f"{row['n']} rows in trials have the state {shown(row['state'])}, which there is not")
        return counts

    def trials(self) -> list[TrialRecord]:
        """Return every trial, by number."""
        return self._records(trial_record, "SELECT * FROM trials ORDER BY number")

    def trial(self, number_: int) -> TrialRecord | None:
        """Return one trial, or None when there is none of that number."""
        found = self._records(trial_record, "SELECT * FROM trials WHERE number = ?", number_)
        return found[0] if found else None

    def best(self, k: int) -> list[TrialRecord]:
        """Return the `k` best trials, the best first; of equals the first."""
        among = f"SELECT score FROM trials WHERE {RANKED} ORDER BY score LIMIT 1 OFFSET ?"  # noqa: S608 - our own words
        query = f"SELECT * FROM trials WHERE {RANKED} AND score <= coalesce(({among}), 9e999)"  # noqa: S608 - our own words
        return ranked(self._records(trial_record, query, k - 1))[:k]

    def scores(self, states: Collection[TrialState]) -> list[float]:
        """Return the scores of all trials in some states, ascending."""
        marks = ", ".join("?" * len(states))
        query = f"SELECT score FROM trials WHERE score IS NOT NULL AND state IN ({marks}) ORDER BY score"  # noqa: S608 - marks
        return [row["score"] for row in self._rows(query, *states) if isinstance(row["score"], float)]

    def ended_scores(self) -> list[float]:
        """Return the score of every trial that can be the best and has ended, in the order in which they ended."""
        query = f"SELECT score FROM trials WHERE {RANKED} AND ended_order IS NOT NULL ORDER BY ended_order"  # noqa: S608 - our own words
        return [row["score"] for row in self._rows(query) if isinstance(row["score"], float)]

    def front(self) -> list[TrialRecord]:
        """Return the trials that no other trial beats in every objective, by number."""
        return pareto_front(self.trials())

    def attempts(self, trial: int) -> list[AttemptRecord]:
        """Return a trial's attempts, the first one first."""
        return self._records(attempt_record, "SELECT * FROM attempts WHERE trial = ? ORDER BY attempt", trial)

    def values(self, trial: int, objective: int = 0) -> list[float]:
        """Return every value of an objective that a trial reported, in order."""
        query = "SELECT * FROM scores WHERE trial = ? AND objective = ? ORDER BY position"
        return self._records(score_value, query, trial, objective)

    def all_attempts(self) -> list[AttemptRecord]:
        """Return every attempt, by trial and attempt."""
        return self._records(attempt_record, "SELECT * FROM attempts ORDER BY trial, attempt")

    def curves(self, most: int) -> dict[int, list[CurvePoint]]:
        """Return the first objective's curve of every trial, thinned evenly to about `most` points, the last one kept."""
        query = (
            "WITH lasts AS (SELECT trial, max(position) AS last FROM scores WHERE objective = 0 GROUP BY trial)"
            " SELECT trial, position, step, value FROM scores JOIN lasts USING (trial) WHERE objective = 0"
            " AND (position % (last / ? + 1) = 0 OR position = last) ORDER BY trial, position"
        )
        curves: dict[int, list[CurvePoint]] = defaultdict(list)
        for trial, point in self._records(_curve_point, query, most):
            curves[trial].append(point)
        return dict(curves)

    def curve(self, trial: int, most: int) -> list[CurvePoint]:
        """Return the first objective's curve of one trial, thinned evenly to about `most` points, the last one kept."""
        query = (
            "WITH l AS (SELECT max(position) AS last FROM scores WHERE trial = ? AND objective = 0)"
            " SELECT trial, position, step, value FROM scores, l WHERE trial = ? AND objective = 0"
            " AND (position % (last / ? + 1) = 0 OR position = last) ORDER BY position"
        )
        return [point for _, point in self._records(_curve_point, query, trial, trial, most)]

    def values_at(self, rows: Sequence[int]) -> dict[int, dict[int, float]]:
        """Return the first objective's n-th value of every trial that has so many, by n (from 1) and trial."""
        marks = ", ".join("?" * len(rows))
        query = f"SELECT * FROM scores WHERE objective = 0 AND position IN ({marks})"  # noqa: S608 - marks
        found: dict[int, dict[int, float]] = defaultdict(dict)
        for trial, (row, _, value) in self._records(_curve_point, query, *(row - 1 for row in rows)):
            found[row][trial] = value
        return dict(found)

    def metric_rows(self, trial: int) -> list[MetricRow]:
        """Return what is kept of every metric that a trial reported, by name and in order."""
        return self._records(metric_row, "SELECT * FROM metrics WHERE trial = ? ORDER BY name, attempt, report", trial)

    def decisions(self, trial: int) -> list[Decision]:
        """Return every decision about a trial, oldest first."""
        return self._records(decision, "SELECT * FROM decisions WHERE trial = ? ORDER BY id", trial)


def _curve_point(row: sqlite3.Row) -> tuple[int, CurvePoint]:
    value = score_value(row)
    return row["trial"], (row["position"] + 1, row["step"], value)
