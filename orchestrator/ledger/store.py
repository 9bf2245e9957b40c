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

from orchestrator.errors import LedgerError
from orchestrator.layout import SweepDir
from orchestrator.ledger.attempts import Attempts
from orchestrator.ledger.bulletin import Bulletin
from orchestrator.ledger.connection import explained
from orchestrator.ledger.curves import Objective
from orchestrator.ledger.damage import RowError
from orchestrator.ledger.database import Database
from orchestrator.ledger.decisions import Decisions
from orchestrator.ledger.lock import controlling
from orchestrator.ledger.metrics import Metrics
from orchestrator.ledger.records import TRANSITIONS, Asker, Decided, TrialRecord, TrialState
from orchestrator.ledger.requests import Requests
from orchestrator.ledger.rows import text, trial_record
from orchestrator.ledger.scores import Scores
from orchestrator.ledger.search_memory import SearchMemory
from orchestrator.ledger.sweep_row import SweepRow
from orchestrator.trial.contract.bounds import shown
from orchestrator.trial.contract.events import Cause, Ended, Reported, Started, TrialEvent

Verdict = tuple[TrialState, str | None]
"""Where a trial goes after an attempt, and why if that is not obvious."""


class Ledger(Database):
    """The trials of a sweep, and by subject what else is recorded. Owned by one controller at a time; call it from one thread.

    Attributes:
        sweep: The row about the sweep itself.
        attempts: How each attempt of a trial began and ended.
        decisions: What was decided about the trials.
        metrics: What the trials have logged.
        scores: How they stand by their objectives.
        memory: What the search wants kept.
        requests: What other terminals ask for.
        bulletin: What other terminals are told.
    """

    def __init__(self, path: Path, *, on_commit: Callable[[str], None] | None = None) -> None:
        super().__init__(path, on_commit=on_commit)
        self.sweep = SweepRow(self)
        self.attempts = Attempts(self)
        self.decisions = Decisions(self)
        self.metrics = Metrics(self)
        self.scores = Scores(self)
        self.memory = SearchMemory(self)
        self.requests = Requests(self)
        self.bulletin = Bulletin(self)
        self._trials: dict[int, TrialRecord] = {}
        self._n_ended = 0

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

    def load(self, objectives: Sequence[Objective]) -> None:
        """Read everything into memory; `objectives` say how metrics become scores.

        Requests that nobody took are dropped: they were meant for an earlier controller.
        """
        self.requests.drop()
        with explained(self.path):
            for row in self.connection.execute("SELECT * FROM trials ORDER BY number"):
                trial = trial_record(row)
                self._trials[trial.number] = trial
            _refuse_unknown(self._trials, self.connection)
        self.scores.load(objectives, self._trials)
        self._n_ended = 1 + max((t.order for t in self._trials.values() if t.order is not None), default=-1)

    def trials(self) -> list[TrialRecord]:
        """Every trial, by number."""
        return list(self._trials.values())

    def trial(self, number: int) -> TrialRecord:
        """One trial as it stands."""
        return self._trials[number]

    def add_trial(self, config: Mapping[str, Any], *, run_id: str | None = None, n_observed: int = 0) -> TrialRecord:
        """Write a new trial, pending. Its number is the count of trials before it."""
        now = time.time()
        trial = TrialRecord(
            number=len(self._trials), config=config, state=TrialState.PENDING, attempt=-1, created=now, run_id=run_id
        )
        with self.transaction("trial"):
            self.execute(
                "INSERT INTO trials (number, config, state, created, run_id, n_observed) VALUES (?, ?, ?, ?, ?, ?)",
                *(trial.number, text(config), trial.state, now, run_id, n_observed),
            )
        self._trials[trial.number] = trial
        self.scores.add_trial(trial.number)
        return trial

    def begin_attempt(self, number: int) -> int:
        """Write that a trial is about to be handed to a worker; return the attempt's number."""
        now = time.time()
        trial = self._trials[number]
        attempt = trial.attempt + 1
        with self.transaction("attempt"):
            self.attempts.begin(number, attempt, now)
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
            self.metrics.begin_attempt(number)
            self.scores.begin_attempt(number)
        return attempt

    def requeue(self, number: int, reason: str) -> None:
        """Let a trial run again: nothing that it did ended it."""
        self._requeue(number, Decided.AGAIN, reason)

    def give_up(self, number: int, reason: str, *, last_seen: float) -> None:
        """Let a trial run again whose attempt lost its controller; it lived until a moment (Unix time in seconds) at least."""
        with self.transaction("requeue"):
            self.attempts.lose(number, self._trials[number].attempt, last_seen)
            self.metrics.end_attempt(number)
            self.scores.end_attempt(number)
            self._requeue(number, Decided.AGAIN, reason)

    def retry(self, number: int, reason: str) -> None:
        """Let a trial that is over run again as if it never had: what ended it so far is not held against it."""
        self._requeue(number, Decided.RETRY, reason)

    def _requeue(self, number: int, what: Decided, reason: str) -> None:
        with self.transaction("requeue"):
            self.decisions.write(self._trials[number], what, reason)
            self._move(number, TrialState.PENDING, reason=reason, order=None)

    def cancel(self, number: int, reason: str) -> None:
        """Give a pending trial up for good."""
        with self.transaction("cancel"):
            self.decisions.write(self._trials[number], Decided.CANCELED, reason)
            self._move(number, TrialState.CANCELED, reason=reason, ended=time.time(), order=self._next_order())

    def decide(self, number: int, asker: Asker, reason: str) -> None:
        """Write that a running trial is about to be asked to end, by whom, and why."""
        with self.transaction("decision"):
            self.decisions.write(self._trials[number], asker, reason)

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
        with self.transaction("aim"):
            self.scores.aim(objectives)
            for number in self._trials:
                self._update(number, **self.scores.standing(number))

    def rescore(self, number: int, told: Iterable[Reported]) -> None:
        """Score a trial by the reports of its attempts so far, the oldest attempt first, and by its summary."""
        with self.transaction("rescore"):
            running = self._trials[number].state is TrialState.RUNNING
            self.scores.rescore(number, told, running=running)
            self._update(number, **self.scores.standing(number))

    def amend(self, number: int, state: TrialState, cause: Cause, error: str | None) -> None:
        """Correct how a trial's last attempt ended: what was asked of it has changed."""
        with self.transaction("amend"):
            self.decisions.write(
                self._trials[number], Decided.AMENDED, f"{cause.replace('_', ' ')}, as the spec is now"
            )
            self.attempts.amend(number, self._trials[number].attempt, cause, error)
            self._update(number, state=state, cause=cause, error=error)

    def _record_start(self, event: Started) -> None:
        self.attempts.start(event)
        self._update(event.trial, started=event.time, host=event.host, gpu_ids=event.gpu_ids)

    def _record_reports(self, event: Reported) -> None:
        number = event.trial
        self.metrics.record(event)
        self.scores.record(event)
        n_reports = self._trials[number].n_reports + sum((not report.part) - report.voids for report in event.reports)
        self._update(number, n_reports=n_reports, **self.scores.standing(number))
        self._trials[number] = replace(self._trials[number], metrics=self.metrics.last(number))

    def _record_end(self, event: Ended, state: TrialState, reason: str | None) -> None:
        self.attempts.end(event)
        order = None if state is TrialState.PENDING else self._next_order()
        if state is TrialState.PENDING:
            self.decisions.write(self._trials[event.trial], Decided.AGAIN, reason)
        fields = {"ended": event.time, "cause": event.cause, "error": event.error, "reason": reason, "order": order}
        self._move(event.trial, state, **fields)
        self.metrics.end_attempt(event.trial)
        self.scores.end_attempt(event.trial)

    def _next_order(self) -> int:
        self._n_ended += 1
        return self._n_ended - 1

    def _move(self, number: int, state: TrialState, **fields: Any) -> None:
        before = self._trials[number].state
        if state not in TRANSITIONS[before]:
            raise LedgerError(f"{self.path}: trial {number} cannot go from {before} to {state}")
        self._update(number, state=state, **fields)

    def _update(self, number: int, **fields: Any) -> None:
        names = {"order": "ended_order"}
        values = [text(v) if isinstance(v, tuple) else v for v in fields.values()]
        assignments = ", ".join(f"{names.get(name, name)} = ?" for name in fields)
        self.execute(f"UPDATE trials SET {assignments} WHERE number = ?", *values, number)  # noqa: S608 - own names
        self._trials[number] = replace(self._trials[number], **fields)


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
