"""A running sweep as another process sees it in its ledger: the events and snapshots that its controller's views get."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.diagnosis.cases import flags_of
from orchestrator.diagnosis.model import Flag
from orchestrator.layout import SweepDir
from orchestrator.ledger.ranking import ENDED
from orchestrator.ledger.reader import CurvePoint, LedgerReader
from orchestrator.ledger.records import (
    Asker,
    AttemptRecord,
    Decided,
    Decision,
    Outlook,
    SweepRecord,
    SweepState,
    TrialRecord,
    TrialState,
)
from orchestrator.reporting import pace
from orchestrator.reporting.results import varying
from orchestrator.spec import SweepSpec, load_recorded
from orchestrator.watch.expectation import Expectation
from orchestrator.watch.progress import (
    NewBest,
    Note,
    Progress,
    RunningTrial,
    SweepEvent,
    TrialEnded,
    TrialRequeued,
    TrialStarted,
)
from orchestrator.watch.scoreboard import Scoreboard

KEPT_ENDED = 8
"""Trials that had ended before anybody looked and are told of all the same."""

KEPT_NOTES = 5
"""The same for remarks of the controller."""

CURVE = 48
"""Values of a running trial that are shown."""

FLAGS_EVERY_S = 2.0
"""How old a running trial's flags may be."""

FLAGS_SHARE = 0.01
"""The largest share of the time that examining running trials may take."""


@dataclass(slots=True)
class _Happened:
    """What trials' new states tell, each in order."""

    started: list[TrialStarted] = field(default_factory=list)
    bests: list[NewBest] = field(default_factory=list)
    ended: list[TrialRecord] = field(default_factory=list)


class Follower:
    """Reads a ledger again and again and tells what happened in between.

    Args:
        sweep_dir: Where the sweep lies.
        reader: Its ledger; closed by the caller.
        clock: Unix time in seconds.
    """

    def __init__(self, sweep_dir: SweepDir, reader: LedgerReader, *, clock: Callable[[], float] = time.time) -> None:
        self._sweep_dir = sweep_dir
        self._reader = reader
        self._clock = clock
        self._record: SweepRecord | None = None
        self._outlook: Outlook | None = None
        self._board = Scoreboard()
        self._trials: dict[int, TrialRecord] = {}
        self._running: dict[int, TrialRecord] = {}
        self._attempts: dict[int, AttemptRecord] = {}
        self._curves: dict[int, list[CurvePoint]] = {}
        self._asked: dict[int, Decision] = {}
        self._flags: dict[int, tuple[Flag, ...]] = {}
        self._flags_until_s = 0.0
        self._last_order = -1
        self._last_decision = 0
        self._last_note = 0

    @property
    def has_begun(self) -> bool:
        """Whether the sweep's controller has taken over, as far as can be told."""
        return self._outlook is not None or bool(self._trials)

    @property
    def trials(self) -> Mapping[int, TrialRecord]:
        """Every trial as of the last look, by number; one that has not moved since the look before is the same object."""
        return self._trials

    @property
    def record(self) -> SweepRecord:
        """The sweep's own row as of the last look; there was one."""
        assert self._record is not None
        return self._record

    @property
    def spec(self) -> SweepSpec:
        """What it runs, as of the last look."""
        return self._spec

    @property
    def counts(self) -> Mapping[TrialState, int]:
        """How many trials are in each state."""
        return self._board.counts

    @property
    def _n(self) -> int:
        """One more than the largest number of a trial that is known."""
        return 1 + max(self._trials, default=-1)

    @property
    def _total(self) -> int | None:
        return self._spec.run_cap if self._outlook is None else self._outlook.total

    def look(self) -> list[SweepEvent]:
        """Read what is new, and return what happened since the last look; at first the latest of what happened before.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        is_first = self._record is None
        with self._reader.snapshot():
            is_other = self._take_record(self._reader.sweep())
            self._outlook = self._reader.outlook()
            notes = self._notes()[-KEPT_NOTES if is_first else 0 :]
            decisions = self._decisions()
            moved = self._reader.trials() if is_other else self._reader.moved(known=self._n, order=self._last_order)
            found = self._take(sorted(moved, key=lambda t: (t.order is None, t.order or 0, t.number)))
            ended = self._ended(found.ended[-KEPT_ENDED if is_first else 0 :])
            requeued = (
                []
                if is_first
                else [self._requeued(each) for each in decisions if each.what in {Decided.AGAIN, Decided.RETRY}]
            )
            self._examine()
        return [*notes, *found.started, *requeued, *found.bests[-1 if is_first else 0 :], *ended]

    def progress(self) -> Progress:
        """Return the sweep as of the last look."""
        record, outlook = self._record, self._outlook
        assert record is not None
        now = self._clock()
        slots = len(self._running) if outlook is None else outlook.slots
        closing = record.state in {SweepState.STOPPING, SweepState.CANCELING}
        at_once = min(slots, self._spec.options.concurrency or slots)
        rows = [self._row(trial, now) for _, trial in sorted(self._running.items())]
        ran = [(row.elapsed_s or 0.0, row.n_reports) for row in rows]
        left = None if closing else self._board.time_left(self._total, at_once, ran, now, self._expected)
        return self._board.progress(
            name=record.name,
            sweep_id=record.sweep_id,
            metric=self._spec.objectives[0].name if self._spec.objectives else None,
            total=self._total,
            elapsed_s=record.active_s if outlook is None else max(0.0, now - outlook.began),
            left=left,
            slots=slots,
            running=rows,
            problem=None if outlook is None else outlook.problem,
            paused=record.state is SweepState.PAUSED,
            varying=self._varying,
        )

    def _take_record(self, record: SweepRecord) -> bool:
        """Take over the sweep's row; return whether its spec is another one: then trials may count anew that had ended."""
        is_other = self._record is None or record.spec_text != self._record.spec_text
        if is_other:
            self._spec = load_recorded(record.spec_text)
            self._varying = varying(self._spec)
            self._expected = Expectation.of(self._spec, pace.kept(self._sweep_dir))
        self._record = record
        return is_other

    def _notes(self) -> list[Note]:
        found = self._reader.notes(self._last_note)
        self._last_note = max((id_ for id_, _ in found), default=self._last_note)
        return [Note(text=text) for _, text in found]

    def _decisions(self) -> list[Decision]:
        """What was decided since the last look; who asked a trial to end is remembered."""
        found = self._reader.decisions_after(self._last_decision)
        self._last_decision = max((each.id for each in found), default=self._last_decision)
        self._asked |= {each.trial: each for each in found if each.what in set(Asker)}
        return found

    def _take(self, moved: Sequence[TrialRecord]) -> "_Happened":
        """Take over the trials' new states; return what that tells. What had ended before the first look has begun, too."""
        found, is_first = _Happened(), not self._trials
        for trial in moved:
            before = self._trials.get(trial.number)
            if before == trial:
                continue
            self._trials[trial.number] = trial
            self._last_order = max(self._last_order, -1 if trial.order is None else trial.order)
            if not (is_first and trial.state in ENDED):
                found.started.extend(self._begun(before, trial))
            self._count(before, trial)
            if (best := self._board.new_best(trial, self._trials.values)) is not None:
                found.bests.append(best)
            if trial.state in ENDED and (before is None or before.state not in ENDED):
                self._board.took(trial)
                found.ended.append(trial)
        return found

    def _count(self, before: TrialRecord | None, trial: TrialRecord) -> None:
        if before is None:
            self._board.add(trial)
        else:
            self._board.move(before, trial)
        if trial.state is TrialState.RUNNING:
            self._running[trial.number] = trial
            self._curves[trial.number] = self._reader.latest(trial.number, trial.attempt, CURVE)
            return
        for kept in (self._running, self._curves, self._attempts):
            kept.pop(trial.number, None)

    def _begun(self, before: TrialRecord | None, trial: TrialRecord) -> Iterable[TrialStarted]:
        """The beginning of a trial's latest attempt, if its process has been heard of since the last look."""
        known = self._attempts.get(trial.number)
        has_ended = before is not None and before.attempt == trial.attempt and before.state is not TrialState.RUNNING
        if trial.attempt < 0 or has_ended or (known is not None and known.attempt == trial.attempt):
            return
        attempt = self._reader.attempt(trial.number, trial.attempt)
        if attempt is None or attempt.started is None:
            return
        self._attempts[trial.number] = attempt
        yield TrialStarted(
            number=trial.number,
            attempt=attempt.attempt,
            config=trial.config,
            host=attempt.host or "",
            gpu_ids=attempt.gpu_ids,
            cold_reason=attempt.cold_reason,
        )

    def _requeued(self, decision: Decision) -> TrialRequeued:
        """Why a trial runs again, and what was lost: its host is in the pool's error."""
        attempt = self._reader.attempt(decision.trial, decision.attempt)
        asked = self._asked.get(decision.trial)
        on_resume = asked is not None and (asked.attempt, asked.what) == (decision.attempt, Asker.INTERRUPT)
        return TrialRequeued.after(
            decision.trial,
            cause=attempt.cause if attempt else None,
            error=attempt.error if attempt else None,
            reason=decision.reason,
            on_resume=on_resume,
        )

    def _ended(self, ended: Sequence[TrialRecord]) -> list[TrialEnded]:
        flags = flags_of(self._reader, self._spec, among=ended) if ended else {}
        attempts = [self._reader.attempt(trial.number, trial.attempt) for trial in ended]
        n_before = self._board.n_ended - len(ended)
        return [
            TrialEnded(
                trial=trial,
                took_s=trial.took_s if attempt is not None and attempt.ended == trial.ended else None,
                log_path=str(self._sweep_dir.trial(trial.number).log_path),
                log_tail=attempt.log_tail if attempt is not None else (),
                flags=flags.get(trial.number, ()),
                done=n_before + i,
                total=self._total,
            )
            for i, (trial, attempt) in enumerate(zip(ended, attempts, strict=True), 1)
        ]

    def _examine(self) -> None:
        """Look at what is wrong with running trials, unless that was done a moment ago."""
        began_s = time.monotonic()
        if began_s < self._flags_until_s:
            return
        running = list(self._running.values())
        self._flags = flags_of(self._reader, self._spec, among=running) if running else {}
        self._flags_until_s = began_s + max(FLAGS_EVERY_S, (time.monotonic() - began_s) / FLAGS_SHARE)

    def _row(self, trial: TrialRecord, now: float) -> RunningTrial:
        attempt, asked = self._attempts.get(trial.number), self._asked.get(trial.number)
        points = self._curves[trial.number]
        begun = None if attempt is None else attempt.started
        return RunningTrial(
            number=trial.number,
            config=trial.config,
            elapsed_s=None if begun is None else max(0.0, now - begun),
            n_reports=trial.n_reports,
            values=[value for _, _, value in points],
            step=points[-1][1] if points else None,
            host=(attempt.host if attempt else None) or "",
            gpu_ids=attempt.gpu_ids if attempt else (),
            ending=asked.reason if asked is not None and asked.attempt == trial.attempt else None,
            flags=self._flags.get(trial.number, ()),
        )
