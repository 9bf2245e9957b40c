"""How the trials of a sweep stand: their objectives' values, in the file and in memory, as curves and as scores."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.ledger.connection import explained
from orchestrator.ledger.curves import Objective, Values
from orchestrator.ledger.damage import RowError
from orchestrator.ledger.database import Database
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.ledger.rows import score, storable, summary_of, text
from orchestrator.search.protocol import Row, Shown
from orchestrator.stopping.protocol import Curve
from orchestrator.trial.contract.events import Report, Reported


class Scores:
    """The objectives of every trial, in memory and in the file; written within the transaction of their events.

    Attributes:
        objectives: How metrics become scores, as `load` was told.
    """

    def __init__(self, database: Database) -> None:
        self.objectives: tuple[Objective, ...] = ()
        self._database = database
        self._values: dict[int, list[Values]] = {}
        self._curves: dict[int, Curve] = {}
        self._fresh: dict[int, set[int]] = {}
        self._summaries: dict[int, Mapping[str, float]] = {}

    def load(self, objectives: Sequence[Objective], trials: Mapping[int, TrialRecord]) -> None:
        """Read everything into memory; `objectives` say how metrics become scores."""
        self.objectives = tuple(objectives)
        with explained(self._database.path):
            for row in self._database.connection.execute("SELECT number, n_told, summary FROM trials"):
                number = row["number"]
                self.add_trial(number)
                self._fresh[number] = set(range(len(self.objectives)))
                self._summaries[number] = summary_of(row)
            self._load_values(trials)
        for number, trial in trials.items():
            self._summarize(number)
            self._refresh_curve(number, running=trial.state is TrialState.RUNNING)

    def _load_values(self, trials: Mapping[int, TrialRecord]) -> None:
        query = (
            "SELECT trial, objective, attempt, position, step, value FROM scores ORDER BY trial, objective, position"
        )
        rows = self._database.connection.cursor()
        rows.row_factory = None  # there are many: tuples take half the time
        for number, objective, attempt, position, step, found in rows.execute(query):
            value = score(number, position, step, found)
            trial = trials.get(number)
            if trial is None or not 0 <= objective < len(self.objectives):
                raise RowError(f"a row in scores is of trial {number}, objective {objective}")
            self._values[number][objective].add(step, value)
            if attempt == trial.attempt:
                self._fresh[number].discard(objective)

    def curves(self) -> Mapping[int, Curve]:
        """The first objective of every trial so far."""
        return self._curves

    def rows(self, number: int) -> list[Row]:
        """The first objective of a trial so far, by step."""
        return self._values[number][0].rows() if self.objectives else []

    def shown(self, number: int) -> tuple[Shown | None, ...]:
        """By objective, what a trial has shown of it."""
        return tuple(values.shown() for values in self._values[number])

    def add_trial(self, number: int) -> None:
        """Take up a new trial."""
        self._values[number] = [Values(o) for o in self.objectives]
        self._refresh_curve(number, running=False)

    def begin_attempt(self, number: int) -> None:
        """Take up a new attempt: what it reports replaces what it repeats of earlier ones."""
        self._fresh[number] = set(range(len(self.objectives)))

    def end_attempt(self, number: int) -> None:
        """Take note that nothing more comes of a trial's attempt."""
        self._fresh.pop(number, None)
        self._refresh_curve(number, running=False)

    def record(self, event: Reported) -> None:
        """Write what a running trial has reported of its objectives; its summary's value is no point of a curve."""
        self._add(event)
        self._renew_summary(event)
        self._refresh_curve(event.trial, running=True)

    def aim(self, objectives: Sequence[Objective]) -> None:
        """Score by other objectives from now on; no trial has a value before `rescore`."""
        self.objectives = tuple(objectives)
        self._database.execute("DELETE FROM scores")
        self._values = {number: [Values(objective) for objective in self.objectives] for number in self._values}

    def rescore(self, number: int, told: Iterable[Reported], *, running: bool) -> None:
        """Score a trial by the reports of its attempts so far, the oldest attempt first, and by its summary."""
        for event in told:
            self._fresh[number] = set(range(len(self.objectives)))
            self._add(event)
        self._summarize(number)
        self._refresh_curve(number, running=running)

    def standing(self, number: int) -> dict[str, Any]:
        """The fields of a trial that follow from its objectives' values."""
        standings = [values.standing for values in self._values[number]]
        if not standings or standings[0] is None:
            return {"value": None, "score": None, "step": None, "own_step": None, "scores": ()}
        score, step = standings[0]
        own_step = self._values[number][0].step_at(step)
        complete = tuple(s[0] for s in standings if s is not None)
        scores = complete if len(complete) == len(standings) else ()
        value = self.objectives[0].sign * score
        return {"value": value, "score": score, "step": step, "own_step": own_step, "scores": scores}

    def _add(self, event: Reported) -> None:
        """Write the values of some reports."""
        self._rewind(event.trial, event)
        for report in event.reports:
            self._purge(event.trial, report)
            self._add_values(event.trial, event.attempt, report.step, report.metrics)

    def _renew_summary(self, event: Reported) -> None:
        """Write what the summary has now: of earlier attempts what was neither reported nor put there again."""
        before = self._summaries.get(event.trial, {})
        if not (before or event.summary):
            return
        again = {name for report in event.reports for name in report.metrics}
        now = {name: value for name, value in before.items() if name not in again} | dict(event.summary)
        self._summaries[event.trial] = now
        self._database.execute("UPDATE trials SET summary = ? WHERE number = ?", text(now), event.trial)
        self._summarize(event.trial)

    def _summarize(self, number: int) -> None:
        summary = self._summaries.get(number, {})
        for objective, values in zip(self.objectives, self._values[number], strict=True):
            values.summarize(summary.get(objective.name))

    def _rewind(self, number: int, event: Reported) -> None:
        """A new attempt's first value of an objective: forget what it repeats."""
        for index in sorted(self._fresh.get(number, ())):
            name = self.objectives[index].name
            first = next((r for r in event.reports if name in r.metrics), None)
            if first is None:
                continue
            self._fresh[number].discard(index)
            kept = self._values[number][index].rewind(first.step)
            delete = "DELETE FROM scores WHERE trial = ? AND objective = ? AND position >= ?"
            self._database.execute(delete, number, index, kept)

    def _purge(self, number: int, report: Report) -> None:
        """Forget the values of objectives that a program took back."""
        for index, (objective, values) in enumerate(zip(self.objectives, self._values[number], strict=True)):
            if objective.name in report.purged:
                kept = values.rewind(report.step)
                delete = "DELETE FROM scores WHERE trial = ? AND objective = ? AND position >= ?"
                self._database.execute(delete, number, index, kept)

    def _add_values(self, number: int, attempt: int, step: int | None, metrics: Mapping[str, float]) -> None:
        for index, (objective, values) in enumerate(zip(self.objectives, self._values[number], strict=True)):
            if objective.name in metrics:
                value = metrics[objective.name]
                position = values.add(step, value)
                insert = "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?)"
                self._database.execute(insert, number, position, index, attempt, step, storable(value))

    def _refresh_curve(self, number: int, *, running: bool) -> None:
        if self.objectives:
            self._curves[number] = self._values[number][0].curve(running=running)
