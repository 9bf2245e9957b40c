"""The ledger of one sweep as its controller sees it: every call that changes something is one durable transaction.

    with Ledger.open(sweep_dir) as ledger:
        ledger.load(objectives_of(spec))
        with ledger.transaction("launch"):
            trial = ledger.add_trial(config)
            attempt = ledger.begin_attempt(trial.number)
        ...
        ledger.record(events, verdicts)

Everything read here comes from memory, which always equals the file: one controller owns a sweep, and nobody else
writes anything but requests.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.errors import LedgerError, SweepGoneError
from orchestrator.layout import SweepDir
from orchestrator.ledger.connection import connect, explained
from orchestrator.ledger.curves import Objective, Values
from orchestrator.ledger.damage import RowError, damaged, found_in
from orchestrator.ledger.lock import controlling
from orchestrator.ledger.records import TRANSITIONS, SweepRecord, SweepState, TrialRecord, TrialState
from orchestrator.ledger.rows import (
    MetricRow,
    bindable,
    metric_counts,
    metric_row,
    score_value,
    storable,
    summary_of,
    sweep_record,
    text,
    trial_record,
)
from orchestrator.ledger.schema import migrate
from orchestrator.search.protocol import Memory, Row, Shown
from orchestrator.stopping.protocol import Curve
from orchestrator.trial.contract.bounds import one_line, shown
from orchestrator.trial.contract.events import Cause, Ended, Report, Reported, Started, TrialEvent

DENSE_ROWS = 256
"""Rows kept per metric and trial: beyond, every second is dropped, again and again; all stay in reports.jsonl."""

ASKERS = ("rule", "limit", "cancel", "interrupt")
"""Who may ask a running trial to end: a stopping rule, a limit of the spec's, the user for good, the user or a budget for now."""

Verdict = tuple[TrialState, str | None]
"""Where a trial goes after an attempt, and why if that is not obvious."""


class Ledger:
    """The writer. Owned by one controller at a time; call it from one thread.

    Args:
        path: The database; created when it does not exist.
        on_commit: Called with the name of each transaction just before and just after it is committed (``before:NAME``,
            ``after:NAME``): where tests kill the process.
    """

    def __init__(self, path: Path, *, on_commit: Callable[[str], None] | None = None) -> None:
        self._path = path
        self._on_commit = on_commit or (lambda _: None)
        if path.is_file() and path.stat().st_size == 0:
            raise damaged(path, "it is empty")
        self._connection = connect(path)
        self._depth = 0
        self._data_version = -1
        try:
            with explained(path):
                _refuse_unsound(self._connection, path)
                migrate(self._connection, path)
                place = path.stat()
        except BaseException:
            self._connection.close()
            raise
        self._identity = (place.st_dev, place.st_ino)
        self._trials: dict[int, TrialRecord] = {}
        self._metrics: dict[int, dict[str, tuple[float | None, int]]] = {}
        self._values: dict[int, list[Values]] = {}
        self._curves: dict[int, Curve] = {}
        self._fresh: dict[int, set[int]] = {}
        self._seen: dict[int, set[str]] = {}
        self._n_told: dict[int, int] = {}
        self._n_ended = 0
        self._objectives: tuple[Objective, ...] = ()

    @classmethod
    @contextmanager
    def open(cls, sweep_dir: SweepDir) -> "Iterator[Ledger]":
        """Hold a sweep while inside: who is there is its one controller. What the ledger says comes with `load`.

        Raises:
            SweepLockedError: Another controller holds the sweep; the message names it.
            LedgerError: The ledger cannot be opened, or is damaged.
        """
        with controlling(sweep_dir.lock_path), closing(cls(sweep_dir.ledger_path)) as ledger:
            yield ledger

    def create(self, record: SweepRecord, *, study: str | None = None) -> None:
        """Write the row about the sweep itself, and what its search remembers. Once."""
        fields = {name: getattr(record, name) for name in SweepRecord.__slots__} | {"study": study}
        with self.transaction("create"):
            names = ", ".join(fields)
            marks = ", ".join("?" * len(fields))
            self._execute(f"INSERT INTO sweep (only, {names}) VALUES (1, {marks})", *fields.values())  # noqa: S608 - own names

    def load(self, objectives: Sequence[Objective]) -> None:
        """Read everything into memory; `objectives` say how metrics become scores.

        Requests that nobody took are dropped: they were meant for an earlier controller.
        """
        self._objectives = tuple(objectives)
        with self.transaction("drop"):
            self._execute("UPDATE requests SET taken = ? WHERE taken IS NULL", time.time())
        summaries: dict[int, dict[str, float]] = {}
        with explained(self._path):
            for row in self._connection.execute("SELECT * FROM trials ORDER BY number"):
                trial = trial_record(row)
                self._trials[trial.number] = trial
                self._metrics[trial.number] = metric_counts(row["metrics"])
                self._values[trial.number] = [Values(o) for o in self._objectives]
                self._fresh[trial.number] = set(range(len(self._objectives)))
                self._n_told[trial.number] = row["n_told"]
                summaries[trial.number] = summary_of(row)
            _refuse_unknown(self._trials, self._connection)
            order = "SELECT * FROM scores ORDER BY trial, objective, position"
            for row in self._connection.execute(order):
                value = score_value(row)
                if row["trial"] not in self._trials or not 0 <= row["objective"] < len(self._objectives):
                    raise RowError(f"a row in scores is of trial {row['trial']}, objective {row['objective']}")
                self._values[row["trial"]][row["objective"]].add(row["step"], value)
                if row["attempt"] == self._trials[row["trial"]].attempt:
                    self._fresh[row["trial"]].discard(row["objective"])
        self._n_ended = 1 + max((t.order for t in self._trials.values() if t.order is not None), default=-1)
        for number in self._trials:
            self._summarize(number, summaries[number])
            self._refresh_curve(number)

    # ---- reading -----------------------------------------------------------------------------------------------------

    @property
    def sweep(self) -> SweepRecord:
        """The row about the sweep itself."""
        with explained(self._path):
            row = self._connection.execute("SELECT * FROM sweep").fetchone()
        if row is None:
            raise LedgerError(f"{self._path}: the ledger holds no sweep; its directory was not completely created")
        return sweep_record(row)

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """How metrics become scores, as `load` was told."""
        return self._objectives

    def trials(self) -> list[TrialRecord]:
        """Every trial, by number."""
        return list(self._trials.values())

    def trial(self, number: int) -> TrialRecord:
        """One trial as it stands."""
        return self._trials[number]

    def curves(self) -> Mapping[int, Curve]:
        """The first objective of every trial so far."""
        return self._curves

    def n_told(self, number: int) -> int:
        """How many reports of a trial's current attempt are recorded, those included that are no row of their own."""
        return self._n_told[number]

    def rows(self, number: int) -> list[Row]:
        """The first objective of a trial so far, by step."""
        return self._values[number][0].rows() if self._objectives else []

    def shown(self, number: int) -> tuple[Shown | None, ...]:
        """By objective, what a trial has shown of it."""
        return tuple(values.shown() for values in self._values[number])

    def memory(self) -> str | None:
        """What the search wanted kept of itself."""
        with explained(self._path):
            row = self._connection.execute("SELECT study FROM sweep").fetchone()
        return None if row is None else row["study"]

    def remembered(self) -> dict[int, str]:
        """What the search wanted kept of each trial, by number."""
        with explained(self._path):
            rows = self._connection.execute("SELECT number, study FROM trials WHERE study IS NOT NULL")
            return {row["number"]: row["study"] for row in rows}

    def asked(self, number: int) -> tuple[str, str] | None:
        """Who asked a trial's current attempt to end and why, as `decide` wrote it last; None: nobody did."""
        query = (
            "SELECT what, reason FROM decisions WHERE trial = ? AND attempt = ? AND what IN (?, ?, ?, ?) ORDER BY id"
        )
        with explained(self._path):
            rows = self._connection.execute(query, (number, self._trials[number].attempt, *ASKERS)).fetchall()
        return (rows[-1]["what"], rows[-1]["reason"]) if rows else None

    def metric_rows(self, number: int) -> list[MetricRow]:
        """What is kept of every metric that a trial reported, by name and in order."""
        with explained(self._path):
            query = "SELECT * FROM metrics WHERE trial = ? ORDER BY name, attempt, report"
            return [metric_row(row) for row in self._connection.execute(query, (number,))]

    def ends(self) -> list[sqlite3.Row]:
        """``trial, cause`` of every attempt that has ended since its trial was last begun afresh (`retry`), oldest first."""
        afresh = "SELECT max(attempt) FROM decisions WHERE trial = attempts.trial AND what = 'retry'"
        query = (
            f"SELECT trial, cause FROM attempts WHERE cause IS NOT NULL AND attempt > ifnull(({afresh}), -1)"  # noqa: S608 - own
            " ORDER BY trial, attempt"
        )
        with explained(self._path):
            return self._connection.execute(query).fetchall()

    # ---- the sweep ---------------------------------------------------------------------------------------------------

    def set_state(self, state: SweepState, reason: str | None = None, *, active_s: float | None = None) -> None:
        """Say where the sweep stands, and how long it has run if that is known."""
        with self.transaction("state"):
            self._execute("UPDATE sweep SET state = ?, reason = ?", state, reason)
            if active_s is not None:
                self.note_active(active_s)

    def note_active(self, active_s: float) -> None:
        """Write how many seconds controllers have spent on the sweep."""
        with self.transaction("active"):
            self._execute("UPDATE sweep SET active_s = ?", active_s)

    def set_spec(self, spec_text: str, source_text: str | None) -> None:
        """Replace the spec: its author edited it."""
        with self.transaction("spec"):
            self._execute("UPDATE sweep SET spec_text = ?, source_text = ?", spec_text, source_text)

    def set_wandb_sweep(self, wandb_sweep_id: str) -> None:
        """Remember the sweep that was created on the W&B server: ``entity/project/id``."""
        with self.transaction("wandb"):
            self._execute("UPDATE sweep SET wandb_sweep_id = ?", wandb_sweep_id)

    def take_requests(self) -> list[str]:
        """Return what other terminals have asked for since the last call, oldest first."""
        with explained(self._path):
            (version,) = self._connection.execute("PRAGMA data_version").fetchone()
            if version == self._data_version:
                return []
            self._data_version = version
            rows = self._connection.execute(
                "SELECT id, action FROM requests WHERE taken IS NULL ORDER BY id"
            ).fetchall()
        if rows:
            with self.transaction("requests"):
                self._execute("UPDATE requests SET taken = ? WHERE id <= ?", time.time(), rows[-1]["id"])
        return [row["action"] for row in rows]

    def remember(self, memory: Memory) -> None:
        """Write what the search wants kept."""
        if not memory.trials and memory.search is None:
            return
        with self.transaction("memory"):
            for number, record in memory.trials.items():
                self._execute("UPDATE trials SET study = ? WHERE number = ?", record, number)
            if memory.search is not None:
                self._execute("UPDATE sweep SET study = ?", memory.search)

    # ---- trials ------------------------------------------------------------------------------------------------------

    def add_trial(self, config: Mapping[str, Any], *, run_id: str | None = None, n_observed: int = 0) -> TrialRecord:
        """Write a new trial, pending. Its number is the count of trials before it."""
        now = time.time()
        trial = TrialRecord(
            number=len(self._trials), config=config, state=TrialState.PENDING, attempt=-1, created=now, run_id=run_id
        )
        with self.transaction("trial"):
            self._execute(
                "INSERT INTO trials (number, config, state, created, run_id, n_observed) VALUES (?, ?, ?, ?, ?, ?)",
                *(trial.number, text(config), trial.state, now, run_id, n_observed),
            )
        self._trials[trial.number] = trial
        self._metrics[trial.number] = {}
        self._n_told[trial.number] = 0
        self._values[trial.number] = [Values(o) for o in self._objectives]
        self._refresh_curve(trial.number)
        return trial

    def begin_attempt(self, number: int) -> int:
        """Write that a trial is about to be handed to a worker; return the attempt's number."""
        now = time.time()
        trial = self._trials[number]
        attempt = trial.attempt + 1
        with self.transaction("attempt"):
            self._execute("INSERT INTO attempts (trial, attempt, begun) VALUES (?, ?, ?)", number, attempt, now)
            self._move(
                number,
                TrialState.RUNNING,
                attempt=attempt,
                started=now,
                ended=None,
                cause=None,
                error=None,
                n_reports=0,
            )
            self._execute("UPDATE trials SET n_told = 0, summary = '{}' WHERE number = ?", number)
        self._n_told[number] = 0
        self._summarize(number, {})
        self._fresh[number] = set(range(len(self._objectives)))
        return attempt

    def requeue(self, number: int, reason: str) -> None:
        """Let a trial run again: nothing that it did ended it."""
        self._requeue(number, "again", reason)

    def give_up(self, number: int, reason: str, *, last_seen: float) -> None:
        """Let a trial run again whose attempt lost its controller; it lived until a moment (Unix time in seconds) at least."""
        with self.transaction("requeue"):
            self._execute(
                "UPDATE attempts SET ended = ?, cause = ? WHERE trial = ? AND attempt = ?",
                *(last_seen, Cause.CONTROLLER_LOST, number, self._trials[number].attempt),
            )
            self._requeue(number, "again", reason)

    def retry(self, number: int, reason: str) -> None:
        """Let a trial that is over run again as if it never had: what ended it so far is not held against it."""
        self._requeue(number, "retry", reason)

    def _requeue(self, number: int, what: str, reason: str) -> None:
        with self.transaction("requeue"):
            self._log(number, what, reason)
            self._move(number, TrialState.PENDING, reason=reason, order=None)

    def cancel(self, number: int, reason: str) -> None:
        """Give a pending trial up for good."""
        with self.transaction("cancel"):
            self._log(number, "canceled", reason)
            self._move(number, TrialState.CANCELED, reason=reason, ended=time.time(), order=self._next_order())

    def decide(self, number: int, asker: str, reason: str) -> None:
        """Write that a running trial is about to be asked to end, by whom (one of `ASKERS`), and why."""
        with self.transaction("decision"):
            self._log(number, asker, reason)

    def record(self, events: Sequence[TrialEvent], verdicts: Mapping[int, Verdict]) -> None:
        """Write a batch of events and where the trials that ended go from here, in one transaction.

        Events of an attempt that is not the trial's current one, or that has ended, are ignored: they are late.
        """
        with self.transaction("events"):
            for event in events:
                trial = self._trials[event.trial]
                if trial.attempt != event.attempt or trial.state is not TrialState.RUNNING:
                    continue
                match event:
                    case Started():
                        self._record_start(event)
                    case Reported():
                        self._record_reports(event)
                    case Ended():
                        self._record_end(event, *verdicts[event.trial])

    def aim(self, objectives: Sequence[Objective]) -> None:
        """Score by other objectives from now on; no trial has a score before `rescore` tells what it had reported."""
        self._objectives = tuple(objectives)
        with self.transaction("aim"):
            self._execute("DELETE FROM scores")
            for number in self._trials:
                self._values[number] = [Values(objective) for objective in self._objectives]
                self._update(number, **self._standing(number))

    def rescore(self, number: int, told: Iterable[Reported]) -> None:
        """Score a trial by the reports of its attempts so far, the oldest attempt first, and by its summary."""
        with self.transaction("rescore"):
            for event in told:
                self._fresh[number] = set(range(len(self._objectives)))
                self._rewind(number, event)
                for report in event.reports:
                    self._purge_values(number, report)
                    self._add_values(number, event.attempt, report.step, report.metrics)
            row = self._connection.execute("SELECT * FROM trials WHERE number = ?", (number,)).fetchone()
            self._summarize(number, summary_of(row))
            self._update(number, **self._standing(number))
            self._refresh_curve(number)

    def amend(self, number: int, state: TrialState, cause: Cause, error: str | None) -> None:
        """Correct how a trial's last attempt ended: what was asked of it has changed."""
        with self.transaction("amend"):
            self._log(number, "amended", f"{cause.replace('_', ' ')}, as the spec is now")
            self._execute(
                "UPDATE attempts SET cause = ?, error = ? WHERE trial = ? AND attempt = ?",
                *(cause, error, number, self._trials[number].attempt),
            )
            self._update(number, state=state, cause=cause, error=error)

    def check_place(self) -> None:
        """Make sure that the database still lies where it was opened: what is written into a deleted file is lost.

        Raises:
            SweepGoneError: Its directory is gone, or another file is in its place.
        """
        try:
            there = self._path.stat()
        except OSError:
            there = None
        if there is None or (there.st_dev, there.st_ino) != self._identity:
            raise SweepGoneError(
                f"the sweep's directory {self._path.parent} is gone: it was deleted or moved while the sweep ran.\n"
                "  Its trials were ended. If a program clears directories, keep sweeps elsewhere with --runs-dir; "
                "a sweep that was moved goes on with `sweep resume` and its new path."
            )

    def restore(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows as they are, by column: what is left of a damaged ledger. Before `load`."""
        columns = {row["name"] for row in self._connection.execute(f"PRAGMA table_info({table})")}
        for row in rows:
            kept = {name: value for name, value in row.items() if name in columns}
            marks = ", ".join("?" * len(kept))
            self._execute(f"INSERT INTO {table} ({', '.join(kept)}) VALUES ({marks})", *kept.values())  # noqa: S608 - own names

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    # ---- one transaction ---------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self, name: str) -> Iterator[None]:
        """Everything written inside is written together or not at all; transactions inside join the outermost.

        Raises:
            LedgerError: It could not be written; the memory's state is then ahead of the file, and the ledger must be
                closed and opened anew.
        """
        if self._depth:
            yield
            return
        self._depth = 1
        try:
            with explained(self._path):
                self._connection.execute("BEGIN IMMEDIATE")
                unchanged = self._connection.total_changes
                try:
                    yield
                    if self._connection.total_changes == unchanged:
                        self._connection.execute("ROLLBACK")
                        return
                    self._on_commit(f"before:{name}")
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            self._on_commit(f"after:{name}")
        finally:
            self._depth = 0

    def _execute(self, statement: str, *values: Any) -> None:
        self._connection.execute(statement, [bindable(value) for value in values])

    # ---- what an event changes ---------------------------------------------------------------------------------------

    def _record_start(self, event: Started) -> None:
        gpus = text(event.gpu_ids)
        self._execute(
            "UPDATE attempts SET started = ?, pid = ?, host = ?, gpu_ids = ?, cold_reason = ?"
            " WHERE trial = ? AND attempt = ?",
            *(event.time, event.pid, event.host, gpus, event.cold_reason, event.trial, event.attempt),
        )
        self._update(event.trial, started=event.time, host=event.host, gpu_ids=event.gpu_ids)

    def _record_reports(self, event: Reported) -> None:
        number, metrics = event.trial, self._metrics[event.trial]
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
        self._execute(
            "UPDATE trials SET metrics = ?, n_told = ? WHERE number = ?", text(metrics), self._n_told[number], number
        )
        n_reports = self._trials[number].n_reports + sum((not report.part) - report.voids for report in event.reports)
        self._update(number, n_reports=n_reports, **self._standing(number))
        shown = {name: float("nan") if last is None else last for name, (last, _) in metrics.items()}
        self._trials[number] = replace(self._trials[number], metrics=shown)
        self._refresh_curve(number)

    def _record_summary(self, number: int, summary: Mapping[str, float]) -> None:
        """Take what an attempt's summary has: the last value of each of its metrics, but no point of a curve."""
        metrics = self._metrics[number]
        metrics |= {name: (storable(value), metrics.get(name, (None, 0))[1]) for name, value in summary.items()}
        self._execute("UPDATE trials SET summary = ? WHERE number = ?", text(dict(summary)), number)
        self._summarize(number, summary)

    def _summarize(self, number: int, summary: Mapping[str, float]) -> None:
        for objective, values in zip(self._objectives, self._values[number], strict=True):
            values.summarize(summary.get(objective.name))

    def _rewind(self, number: int, event: Reported) -> None:
        """A new attempt's first value of an objective: forget what it repeats."""
        for index in sorted(self._fresh.get(number, ())):
            name = self._objectives[index].name
            first = next((r for r in event.reports if name in r.metrics), None)
            if first is None and name not in event.summary:
                continue
            self._fresh[number].discard(index)
            kept = self._values[number][index].rewind(first.step if first is not None else None)
            delete = "DELETE FROM scores WHERE trial = ? AND objective = ? AND position >= ?"
            self._execute(delete, number, index, kept)

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
            self._execute(delete, event.trial, name, event.attempt, report.step, report.step)

    def _write_dense(self, rows: list[tuple[Any, ...]]) -> None:
        self._connection.executemany("INSERT OR REPLACE INTO metrics VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        rows.clear()

    def _purge(self, event: Reported, report: Report) -> None:
        """Forget values that a program took back: a run that TensorBoard is told to show anew from a step on."""
        number, metrics = event.trial, self._metrics[event.trial]
        for name in report.purged:
            if name not in metrics:
                continue
            if report.step is None:  # a series of this attempt got another name
                delete, which = "DELETE FROM metrics WHERE trial = ? AND name = ? AND attempt = ?", event.attempt
            else:
                delete = "DELETE FROM metrics WHERE trial = ? AND name = ? AND (step IS NULL OR step >= ?)"
                which = report.step
            self._execute(delete, number, name, which)
            query = "SELECT value FROM metrics WHERE trial = ? AND name = ? ORDER BY attempt DESC, report DESC LIMIT 1"
            left = self._connection.execute(query, (number, name)).fetchone()
            if left is None:
                del metrics[name]
            else:
                metrics[name] = (left["value"], metrics[name][1])
        self._purge_values(number, report)

    def _purge_values(self, number: int, report: Report) -> None:
        """Forget the values of objectives that a program took back."""
        for index, (objective, values) in enumerate(zip(self._objectives, self._values[number], strict=True)):
            if objective.name in report.purged:
                kept = values.rewind(report.step)
                delete = "DELETE FROM scores WHERE trial = ? AND objective = ? AND position >= ?"
                self._execute(delete, number, index, kept)

    def _thin(self, number: int, name: str, attempt: int, stride: int) -> None:
        delete = "DELETE FROM metrics WHERE trial = ? AND name = ? AND attempt = ? AND report % ? != 0"
        self._execute(delete, number, name, attempt, stride)

    def _add_values(self, number: int, attempt: int, step: int | None, metrics: Mapping[str, float]) -> None:
        for index, (objective, values) in enumerate(zip(self._objectives, self._values[number], strict=True)):
            if objective.name in metrics:
                value = metrics[objective.name]
                position = values.add(step, value)
                insert = "INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?)"
                self._execute(insert, number, position, index, attempt, step, storable(value))

    def _standing(self, number: int) -> dict[str, Any]:
        """The fields of a trial that follow from its objectives' values."""
        standings = [values.standing for values in self._values[number]]
        if not standings or standings[0] is None:
            return {"value": None, "score": None, "step": None, "scores": ()}
        score, step = standings[0]
        complete = tuple(s[0] for s in standings if s is not None)
        scores = complete if len(complete) == len(standings) else ()
        return {"value": self._objectives[0].sign * score, "score": score, "step": step, "scores": scores}

    def _record_end(self, event: Ended, state: TrialState, reason: str | None) -> None:
        self._execute(
            "UPDATE attempts SET ended = ?, cause = ?, exit_code = ?, signal = ?, error = ?, log_tail = ?"
            " WHERE trial = ? AND attempt = ?",
            *(event.time, event.cause, event.exit_code, event.signal, event.error, text(event.log_tail)),
            *(event.trial, event.attempt),
        )
        self._fresh.pop(event.trial, None)
        self._seen.pop(event.trial, None)
        order = None if state is TrialState.PENDING else self._next_order()
        if state is TrialState.PENDING:
            self._log(event.trial, "again", reason)
        fields = {"ended": event.time, "cause": event.cause, "error": event.error, "reason": reason, "order": order}
        self._move(event.trial, state, **fields)
        self._refresh_curve(event.trial)

    def _next_order(self) -> int:
        self._n_ended += 1
        return self._n_ended - 1

    def _move(self, number: int, state: TrialState, **fields: Any) -> None:
        before = self._trials[number].state
        if state not in TRANSITIONS[before]:
            raise LedgerError(f"{self._path}: trial {number} cannot go from {before} to {state}")
        self._update(number, state=state, **fields)

    def _update(self, number: int, **fields: Any) -> None:
        names = {"order": "ended_order"}
        values = [text(v) if isinstance(v, tuple) else v for v in fields.values()]
        assignments = ", ".join(f"{names.get(name, name)} = ?" for name in fields)
        self._execute(f"UPDATE trials SET {assignments} WHERE number = ?", *values, number)  # noqa: S608 - own names
        self._trials[number] = replace(self._trials[number], **fields)

    def _log(self, number: int, what: str, reason: str | None) -> None:
        insert = "INSERT INTO decisions (time, trial, attempt, what, reason) VALUES (?, ?, ?, ?, ?)"
        self._execute(insert, time.time(), number, self._trials[number].attempt, what, reason)

    def _refresh_curve(self, number: int) -> None:
        if self._objectives:
            running = self._trials[number].state is TrialState.RUNNING
            self._curves[number] = self._values[number][0].curve(running=running)


def _refuse_unsound(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that a file is what SQLite wrote: what follows is only as true as what it continues.

    Raises:
        DamagedLedgerError: It is not.
    """
    found = found_in(connection)
    if found:
        raise damaged(path, one_line(found[0], 200))


def _refuse_unknown(trials: Mapping[int, TrialRecord], connection: sqlite3.Connection) -> None:
    """Make sure that the trials are numbered as they were written, and that attempts ended in ways there are.

    Raises:
        RowError: They are not.
    """
    missing = next((number for number in range(len(trials)) if number not in trials), None)
    if missing is not None:
        raise RowError(f"the row of trial {missing} in trials is missing")
    causes = {row["cause"] for row in connection.execute("SELECT DISTINCT cause FROM attempts")} - {None, *Cause}
    if causes:
        raise RowError(f"a row in attempts has the cause {shown(causes.pop())}, which there is not")


def _stride(count: int) -> int:
    """Every how many-th value of a metric is kept once it has `count` earlier ones: a power of two."""
    return 1 << (count // DENSE_ROWS).bit_length()
