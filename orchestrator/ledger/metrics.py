"""What the trials of a sweep have logged: their metrics, thinned out, and their objectives' values as scores and curves."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.ledger.connection import explained
from orchestrator.ledger.curves import Objective, Values
from orchestrator.ledger.damage import RowError
from orchestrator.ledger.database import Database
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.ledger.rows import MetricRow, metric_counts, metric_row, score, storable, summary_of, text
from orchestrator.search.protocol import Row, Shown
from orchestrator.stopping.protocol import Curve
from orchestrator.trial.contract.events import Report, Reported

DENSE_ROWS = 256
"""Rows kept per metric and trial: beyond, every second is dropped, again and again; all stay in reports.jsonl."""


class Metrics:
    """The metrics of every trial, in memory and in the file; written within the transaction of their events.

    Attributes:
        objectives: How metrics become scores, as `load` was told.
    """

    def __init__(self, database: Database) -> None:
        self.objectives: tuple[Objective, ...] = ()
        self._database = database
        self._last: dict[int, dict[str, tuple[float | None, int]]] = {}
        self._values: dict[int, list[Values]] = {}
        self._curves: dict[int, Curve] = {}
        self._fresh: dict[int, set[int]] = {}
        self._seen: dict[int, set[str]] = {}
        self._n_told: dict[int, int] = {}

    def load(self, objectives: Sequence[Objective], trials: Mapping[int, TrialRecord]) -> None:
        """Read everything into memory; `objectives` say how metrics become scores."""
        self.objectives = tuple(objectives)
        summaries: dict[int, dict[str, float]] = {}
        with explained(self._database.path):
            for row in self._database.connection.execute("SELECT number, n_told, summary FROM trials"):
                number = row["number"]
                self.add_trial(number)
                self._fresh[number] = set(range(len(self.objectives)))
                self._n_told[number] = row["n_told"]
                summaries[number] = summary_of(row)
            self._load_values(trials)
        for number, trial in trials.items():
            self._summarize(number, summaries[number])
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

    def n_told(self, number: int) -> int:
        """How many reports of a trial's current attempt are recorded, those included that are no row of their own."""
        return self._n_told[number]

    def rows(self, number: int) -> list[Row]:
        """The first objective of a trial so far, by step."""
        return self._values[number][0].rows() if self.objectives else []

    def shown(self, number: int) -> tuple[Shown | None, ...]:
        """By objective, what a trial has shown of it."""
        return tuple(values.shown() for values in self._values[number])

    def of(self, number: int) -> list[MetricRow]:
        """What is kept of every metric that a trial reported, by name and in order."""
        query = "SELECT * FROM metrics WHERE trial = ? ORDER BY name, attempt, report"
        rows = self._database.query(query, number)
        with explained(self._database.path):
            return [metric_row(row) for row in rows]

    def last(self, number: int) -> dict[str, float]:
        """The last value of every metric of a trial."""
        return {name: float("nan") if last is None else last for name, (last, _) in self._counts(number).items()}

    def _counts(self, number: int) -> dict[str, tuple[float | None, int]]:
        """The last value and the number of values of each metric of a trial: read when the first of them is asked for."""
        if number not in self._last:
            (row,) = self._database.query("SELECT metrics FROM trials WHERE number = ?", number)
            self._last[number] = metric_counts(row["metrics"])
        return self._last[number]

    def add_trial(self, number: int) -> None:
        """Take up a new trial."""
        self._n_told[number] = 0
        self._values[number] = [Values(o) for o in self.objectives]
        self._refresh_curve(number, running=False)

    def begin_attempt(self, number: int) -> None:
        """Take up a new attempt: what it logs replaces what it repeats of earlier ones."""
        self._database.execute("UPDATE trials SET n_told = 0, summary = '{}' WHERE number = ?", number)
        self._n_told[number] = 0
        self._summarize(number, {})
        self._fresh[number] = set(range(len(self.objectives)))

    def end_attempt(self, number: int) -> None:
        """Take note that nothing more comes of a trial's attempt."""
        self._fresh.pop(number, None)
        self._seen.pop(number, None)
        self._refresh_curve(number, running=False)

    def record(self, event: Reported) -> None:
        """Write what a running trial has logged."""
        number, metrics = event.trial, self._counts(event.trial)
        self._rewind(number, event)
        dense: list[tuple[Any, ...]] = []
        crowded: set[str] = set()
        for report in event.reports:
            if report.purged:
                self._write_dense(dense)
                self._purge(event, report)
            self._rewind_metrics(event, report, dense)
            for name, value in report.metrics.items():
                count = metrics.get(name, (None, 0))[1]
                metrics[name] = (storable(value), count + 1)
                if count % _stride(count) == 0:
                    row = (number, name, count, event.attempt, report.step, report.time, storable(value))
                    dense.append(row)
                if count and count % DENSE_ROWS == 0 and _stride(count) > _stride(count - 1):
                    crowded.add(name)
            self._add_values(number, event.attempt, report.step, report.metrics)
        self._write_dense(dense)
        for name in crowded & metrics.keys():
            self._thin(number, name, event.attempt, _stride(metrics[name][1] - 1))
        if event.summary:
            self._record_summary(number, event.summary)
        self._n_told[number] += len(event.reports)
        self._database.execute(
            "UPDATE trials SET metrics = ?, n_told = ? WHERE number = ?", text(metrics), self._n_told[number], number
        )
        self._refresh_curve(number, running=True)

    def aim(self, objectives: Sequence[Objective]) -> None:
        """Score by other objectives from now on; no trial has a value before `rescore`."""
        self.objectives = tuple(objectives)
        self._database.execute("DELETE FROM scores")
        self._values = {number: [Values(objective) for objective in self.objectives] for number in self._values}

    def rescore(self, number: int, told: Iterable[Reported], *, running: bool) -> None:
        """Score a trial by the reports of its attempts so far, the oldest attempt first, and by its summary."""
        for event in told:
            self._fresh[number] = set(range(len(self.objectives)))
            self._rewind(number, event)
            for report in event.reports:
                self._purge_values(number, report)
                self._add_values(number, event.attempt, report.step, report.metrics)
        (row,) = self._database.query("SELECT number, n_told, summary FROM trials WHERE number = ?", number)
        self._summarize(number, summary_of(row))
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

    def _record_summary(self, number: int, summary: Mapping[str, float]) -> None:
        """Take what an attempt's summary has: the last value of each of its metrics, but no point of a curve."""
        metrics = self._counts(number)
        metrics |= {name: (storable(value), metrics.get(name, (None, 0))[1]) for name, value in summary.items()}
        self._database.execute("UPDATE trials SET summary = ? WHERE number = ?", text(dict(summary)), number)
        self._summarize(number, summary)

    def _summarize(self, number: int, summary: Mapping[str, float]) -> None:
        for objective, values in zip(self.objectives, self._values[number], strict=True):
            values.summarize(summary.get(objective.name))

    def _rewind(self, number: int, event: Reported) -> None:
        """A new attempt's first value of an objective: forget what it repeats."""
        for index in sorted(self._fresh.get(number, ())):
            name = self.objectives[index].name
            first = next((r for r in event.reports if name in r.metrics), None)
            if first is None and name not in event.summary:
                continue
            self._fresh[number].discard(index)
            kept = self._values[number][index].rewind(first.step if first is not None else None)
            delete = "DELETE FROM scores WHERE trial = ? AND objective = ? AND position >= ?"
            self._database.execute(delete, number, index, kept)

    def _rewind_metrics(self, event: Reported, report: Report, dense: list[tuple[Any, ...]]) -> None:
        """A further attempt's first value of a metric: forget what it repeats of earlier ones."""
        seen = self._seen.setdefault(event.trial, set())
        fresh = report.metrics.keys() - seen
        seen.update(fresh)
        if not event.attempt or not fresh:
            return
        self._write_dense(dense)
        delete = (
            "DELETE FROM metrics WHERE trial = ? AND name = ? AND attempt < ?"
            " AND (? IS NULL OR step IS NULL OR step >= ?)"
        )
        for name in sorted(fresh):
            self._database.execute(delete, event.trial, name, event.attempt, report.step, report.step)

    def _write_dense(self, rows: list[tuple[Any, ...]]) -> None:
        self._database.connection.executemany("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        rows.clear()

    def _purge(self, event: Reported, report: Report) -> None:
        """Forget values that a program took back: a run that TensorBoard is told to show anew from a step on."""
        number, metrics = event.trial, self._counts(event.trial)
        for name in report.purged:
            if name not in metrics:
                continue
            if report.step is None:  # a series of this attempt got another name
                delete, which = "DELETE FROM metrics WHERE trial = ? AND name = ? AND attempt = ?", event.attempt
            else:
                delete = "DELETE FROM metrics WHERE trial = ? AND name = ? AND (step IS NULL OR step >= ?)"
                which = report.step
            self._database.execute(delete, number, name, which)
            query = "SELECT value FROM metrics WHERE trial = ? AND name = ? ORDER BY attempt DESC, report DESC LIMIT 1"
            left = self._database.connection.execute(query, (number, name)).fetchone()
            if left is None:
                del metrics[name]
            else:
                metrics[name] = (left["value"], metrics[name][1])
        self._purge_values(number, report)

    def _purge_values(self, number: int, report: Report) -> None:
        """Forget the values of objectives that a program took back."""
        for index, (objective, values) in enumerate(zip(self.objectives, self._values[number], strict=True)):
            if objective.name in report.purged:
                kept = values.rewind(report.step)
                delete = "DELETE FROM scores WHERE trial = ? AND objective = ? AND position >= ?"
                self._database.execute(delete, number, index, kept)

    def _thin(self, number: int, name: str, attempt: int, stride: int) -> None:
        delete = "DELETE FROM metrics WHERE trial = ? AND name = ? AND attempt = ? AND report % ? != 0"
        self._database.execute(delete, number, name, attempt, stride)

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


def _stride(count: int) -> int:
    """Every how many-th value of a metric is kept once it has `count` earlier ones: a power of two."""
    return 1 << (count // DENSE_ROWS).bit_length()
