"""What the trials of a sweep have logged: the last value of every metric, and its values thinned out."""

from dataclasses import dataclass, field
from typing import Any

from orchestrator.ledger.database import Database
from orchestrator.ledger.rows import MetricRow, logged_of, metric_row, storable, text
from orchestrator.trial.contract.events import Report, Reported

DENSE_ROWS = 256
"""Rows kept per metric and trial: beyond, every second is dropped, again and again; all stay in reports.jsonl."""


@dataclass(slots=True, kw_only=True)
class _Logged:
    """What is kept in memory of a trial.

    Attributes:
        counts: The last value and the number of values of each metric.
        n_told: As `Metrics.n_told` says.
        seen: The metrics that its attempt has reported.
    """

    counts: dict[str, tuple[float | None, int]]
    n_told: int
    seen: set[str] = field(default_factory=set)


class Metrics:
    """The metrics of every trial: in the file, and in memory once they are asked for; written in their events' transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._trials: dict[int, _Logged] = {}

    def n_told(self, number: int) -> int:
        """How many reports of a trial's current attempt are recorded, those included that are no row of their own."""
        return self._logged(number).n_told

    def of(self, number: int) -> list[MetricRow]:
        """What is kept of every metric that a trial reported, by name and in order."""
        query = "SELECT * FROM metrics WHERE trial = ? ORDER BY name, attempt, report"
        return self._database.records(metric_row, query, number)

    def last(self, number: int) -> dict[str, float]:
        """The last value of every metric of a trial."""
        return {name: float("nan") if last is None else last for name, (last, _) in self._logged(number).counts.items()}

    def begin_attempt(self, number: int) -> None:
        """Take up a new attempt."""
        self._database.execute("UPDATE trials SET n_told = 0 WHERE number = ?", number)
        self._logged(number).n_told = 0

    def end_attempt(self, number: int) -> None:
        """Take note that nothing more comes of a trial's attempt."""
        self._logged(number).seen.clear()

    def record(self, event: Reported) -> None:
        """Write what a running trial has logged: all of it, and of its summary the last value of each metric."""
        number, logged = event.trial, self._logged(event.trial)
        metrics = logged.counts
        dense: list[tuple[Any, ...]] = []
        crowded: set[str] = set()
        for report in event.reports:
            if report.purged:
                self._write_dense(dense)
                self._purge(event, report)
            self._rewind(event, report, dense)
            for name, value in report.metrics.items():
                count = metrics.get(name, (None, 0))[1]
                metrics[name] = (storable(value), count + 1)
                if count % _stride(count) == 0:
                    row = (number, name, count, event.attempt, report.step, report.time, storable(value))
                    dense.append(row)
                if count and count % DENSE_ROWS == 0 and _stride(count) > _stride(count - 1):
                    crowded.add(name)
        self._write_dense(dense)
        for name in crowded & metrics.keys():
            self._thin(number, name, event.attempt, _stride(metrics[name][1] - 1))
        metrics |= {name: (storable(value), metrics.get(name, (None, 0))[1]) for name, value in event.summary.items()}
        logged.n_told += len(event.reports)
        self._database.execute(
            "UPDATE trials SET metrics = ?, n_told = ? WHERE number = ?", text(metrics), logged.n_told, number
        )

    def _logged(self, number: int) -> _Logged:
        """What is in memory of a trial, read when it is first asked for."""
        if number not in self._trials:
            query = "SELECT number, metrics, n_told FROM trials WHERE number = ?"
            ((counts, n_told),) = self._database.records(logged_of, query, number)
            self._trials[number] = _Logged(counts=counts, n_told=n_told)
        return self._trials[number]

    def _rewind(self, event: Reported, report: Report, dense: list[tuple[Any, ...]]) -> None:
        """A further attempt's first value of a metric: forget what it repeats of earlier ones."""
        seen = self._logged(event.trial).seen
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
        number, metrics = event.trial, self._logged(event.trial).counts
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

    def _thin(self, number: int, name: str, attempt: int, stride: int) -> None:
        delete = "DELETE FROM metrics WHERE trial = ? AND name = ? AND attempt = ? AND report % ? != 0"
        self._database.execute(delete, number, name, attempt, stride)


def _stride(count: int) -> int:
    """Every how many-th value of a metric is kept once it has `count` earlier ones: a power of two."""
    return 1 << (count // DENSE_ROWS).bit_length()
