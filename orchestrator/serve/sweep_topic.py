"""A sweep as its page follows it: the report's data, kept current from the ledger row by row."""

import time
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any

from orchestrator.diagnosis.model import Flag
from orchestrator.errors import SweepError
from orchestrator.layout import SweepDir
from orchestrator.ledger.lock import holder
from orchestrator.ledger.ranking import Rank, pareto_front, rank
from orchestrator.ledger.reader import CurvePoint, LedgerReader
from orchestrator.ledger.records import AttemptRecord, TrialRecord, TrialState
from orchestrator.reporting.facts import CURVE_POINTS, Facts
from orchestrator.reporting.labels import labels_stamp, read_labels
from orchestrator.reporting.page.payload import (
    coordinates,
    curves_data,
    flags_data,
    lanes_data,
    ordered,
    row,
    trials_data,
    use_data,
)
from orchestrator.reporting.results import Results
from orchestrator.reporting.usage import usage_of
from orchestrator.serve.analysis import Analysis, analyse
from orchestrator.serve.curves import GrowingCurve
from orchestrator.serve.headline import headline
from orchestrator.serve.topic import Paced, Topic
from orchestrator.space import SearchSpace
from orchestrator.space.axis import Axis
from orchestrator.watch.follower import Follower
from orchestrator.watch.progress import Note, SweepEvent, TrialEnded

HOLDER_EVERY_S = 1.0
"""How old it may be who controls the sweep."""

MOST_NOTES = 8
"""Remarks of the controller that are shown."""


class SweepTopic(Topic):
    """One sweep.

    Args:
        sweep_dir: Where it lies.
        executor: Where what takes seconds is computed: importances, advice, what is wrong with trials.
    """

    def __init__(self, sweep_dir: SweepDir, executor: Executor) -> None:
        super().__init__()
        self._sweep_dir = sweep_dir
        self._executor = executor
        self._reader: LedgerReader | None = None
        self._was_analysed = False
        self._analysis: Analysis | None = None
        self._coming: Future[Analysis] | None = None
        self._lanes_pace = Paced(every_s=1.0, share=0.01)
        self._analysis_pace = Paced(every_s=10.0, share=0.01)
        self._holder_pace = Paced(every_s=HOLDER_EVERY_S, share=0.01)
        self._forget()

    def _forget(self) -> None:
        """Know nothing of the ledger yet."""
        self._trials: dict[int, TrialRecord] = {}
        self._places: list[Rank] = []
        self._curves: dict[int, Sequence[CurvePoint]] = {}
        self._growing: dict[int, GrowingCurve] = {}
        self._attempts: dict[tuple[int, int], AttemptRecord] = {}
        self._flags: dict[int, Sequence[Flag]] = {}
        self._notes: list[str] = []
        self._lanes: list[dict[str, Any]] = []
        self._has_details = False
        self._lanes_stale = True
        self._analysis_stale = True
        self._version = -1
        self._labels_stamp: int | None = None

    def close(self) -> None:
        """Let go of the ledger."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _load(self) -> None:
        self._begin()

    def _open(self) -> None:
        self.close()
        self._forget()
        self._reader = LedgerReader(self._sweep_dir.ledger_path, whole=False)
        self._version = self._reader.version()
        self._follower = Follower(self._sweep_dir, self._reader)
        self._who = holder(self._sweep_dir.lock_path)
        self._labels = read_labels(self._sweep_dir)
        self._labels_stamp = labels_stamp(self._sweep_dir)

    def _begin(self) -> None:
        """Take in everything; times and parameters are told from here on as they are now."""
        self._open()
        self._take(self._follower.look(), first=True)
        starts = [trial.started for trial in self._trials.values() if trial.started is not None]
        self._t0 = min(starts, default=self._follower.record.created)
        self._axes = self._ordered()

    def _look(self) -> Mapping[str, Any] | None:
        assert self._reader is not None
        if self._reader.was_replaced():
            self._begin()
            return {}
        if not self._has_details:
            return self._read_details()
        changes: dict[str, Any] = {}
        version = self._reader.version()
        if version != self._version:
            self._version = version
            spec_text = self._follower.record.spec_text
            found = self._take(self._follower.look())
            if self._follower.record.spec_text != spec_text:  # its limits, or how its trials are scored
                self._begin()
                return {}
            changes |= found
        labelled = self._take_labels()
        if labelled is not None:
            changes["rows"] = [*changes.get("rows", ()), *labelled]
        if self._holder_changed() or changes:
            changes["head"] = self._head()
        changes |= self._take_lanes()
        if self._analysis_came():
            was_ordered, self._axes = self._axes, self._axes if self._was_analysed else self._ordered()
            self._was_analysed = True
            if was_ordered != self._axes:  # once, so that nothing moves under somebody's eyes
                return {}
            assert self._analysis is not None
            uses = use_data(self._analysis.uses)
            changes |= {"flags": flags_data(self._flags), "use": uses, "sections": self._analysis.sections}
        return changes or None

    def _take(self, events: Iterable[SweepEvent], *, first: bool = False) -> dict[str, Any]:
        """Take over what a look found; return what of it the page has to be told."""
        for event in events:
            if isinstance(event, Note):
                self._notes = [*self._notes, event.text][-MOST_NOTES:]
        moved = [each for number, each in self._follower.trials.items() if each is not self._trials.get(number)]
        changes: dict[str, Any] = {}
        new = {trial.number for trial in moved} - self._trials.keys()
        ranks_changed = self._rank(moved)
        self._trials |= {trial.number: trial for trial in moved}
        has_all = len(self._trials) == 1 + max(self._trials, default=-1)
        self._at = None if has_all else {number: i for i, number in enumerate(sorted(self._trials))}
        if first:
            return changes
        if moved:
            results = self._results()
            changes["rows"] = [self._row(results, trial, is_new=trial.number in new) for trial in moved]
            self._note_attempts(moved)
        if ranks_changed:
            changes |= self._ranks()
        changes |= self._grow(moved)
        changes |= self._take_flags(events)
        return changes

    def _rank(self, moved: Sequence[TrialRecord]) -> bool:
        """Keep the order of the trials; return whether it has changed."""
        if len(moved) > len(self._places):
            self._places = sorted(
                place for trial in {**self._trials, **{t.number: t for t in moved}}.values() if (place := rank(trial))
            )
            return True
        has_changed = False
        for trial in moved:
            known = self._trials.get(trial.number)
            before, after = None if known is None else rank(known), rank(trial)
            if before == after:
                continue
            has_changed = True
            if before is not None:
                del self._places[bisect_left(self._places, before)]
            if after is not None:
                insort(self._places, after)
        return has_changed

    def _row(self, results: Results, trial: TrialRecord, *, is_new: bool) -> dict[str, Any]:
        found = {"i": self._place(trial.number), "trial": trial.number, **row(results, trial, self._t0)}
        return found | ({"at": coordinates(trial, self._axes)} if is_new else {})

    def _results(self) -> Results:
        trials = tuple(self._trials[number] for number in sorted(self._trials))
        return Results(
            sweep_dir=self._sweep_dir,
            record=self._follower.record,
            spec=self._follower.spec,
            trials=trials,
            labels=self._labels,
        )

    def _ranks(self) -> dict[str, Any]:
        has_front = bool(self._follower.spec.metrics)
        return {
            "ranked": [self._place(number) for _, number in self._places],
            "front": sorted(trial.number for trial in pareto_front(self._trials.values())) if has_front else [],
        }

    def _place(self, number: int) -> int:
        """Where a trial stands among all by number: at its number, unless a damaged ledger has lost some."""
        return number if self._at is None else self._at[number]

    def _grow(self, moved: Sequence[TrialRecord]) -> dict[str, Any]:
        """Read the curves of the trials that moved, and of those that run."""
        assert self._reader is not None
        found: dict[int, list[list[Any]]] = {}
        for trial in moved:
            curve = self._growing.setdefault(trial.number, GrowingCurve(trial.number))
            if curve.read(self._reader):
                self._curves[trial.number] = curve.points
                found[trial.number] = _curve(curve.points)
            if trial.state is not TrialState.RUNNING:
                del self._growing[trial.number]
        return {"curves": found} if found else {}

    def _note_attempts(self, moved: Sequence[TrialRecord]) -> None:
        assert self._reader is not None
        for trial in moved:
            known = self._attempts.get((trial.number, trial.attempt))
            if trial.attempt < 0 or (known is not None and known.started and trial.state is TrialState.RUNNING):
                continue
            found = {(each.trial, each.attempt): each for each in self._reader.attempts(trial.number)}
            if any(self._attempts.get(key) != each for key, each in found.items()):
                self._attempts |= found
                self._lanes_stale = self._analysis_stale = True

    def _read_details(self) -> dict[str, Any]:
        """Read what the page shows a moment later: curves and attempts of everything so far."""
        assert self._reader is not None
        with self._reader.snapshot():
            self._curves = dict(self._reader.curves(CURVE_POINTS))
            self._attempts = {(each.trial, each.attempt): each for each in self._reader.all_attempts()}
        self._has_details = True
        self._lanes_stale = True
        return {"all_curves": curves_data(self._curves), **self._take_lanes(), "head": self._head()}

    def _take_lanes(self) -> dict[str, Any]:
        if not (self._lanes_stale and self._lanes_pace.is_due()):
            return {}
        began_s = time.thread_time()
        lanes = lanes_data(usage_of(self._facts()), self._t0)
        self._lanes_pace.took(time.thread_time() - began_s)
        self._lanes_stale = False
        if lanes == self._lanes:
            return {}
        self._lanes = lanes
        return {"lanes": lanes}

    def _facts(self) -> Facts:
        counts = {state: n for state, n in self._follower.counts.items() if n}
        return Facts(
            results=self._results(),
            attempts=[self._attempts[key] for key in sorted(self._attempts)],
            curves=self._curves,
            holder=self._who,
            environment={},
            now=time.time(),
            counts=counts,
        )

    def _take_flags(self, events: Iterable[SweepEvent]) -> dict[str, Any]:
        """What is wrong with trials that run or have just ended; of the others the analysis says it."""
        new = {each.number: each.flags for each in self._follower.progress().running}
        new |= {each.trial.number: each.flags for each in events if isinstance(each, TrialEnded)}
        changed = {number: flags for number, flags in new.items() if tuple(self._flags.get(number, ())) != flags}
        self._flags |= changed
        return {"flags": flags_data(changed)} if changed else {}

    def _take_labels(self) -> list[dict[str, Any]] | None:
        """The rows of the trials of which something was said, or is said no more; None where nobody spoke."""
        stamp = labels_stamp(self._sweep_dir)
        if stamp == self._labels_stamp:
            return None
        self._labels_stamp = stamp
        before, self._labels = self._labels, read_labels(self._sweep_dir)
        self._analysis_stale = True
        results = self._results()
        named = {number for number in {*before.trials, *self._labels.trials} if number in self._trials}
        return [self._row(results, self._trials[number], is_new=False) for number in sorted(named)]

    def _holder_changed(self) -> bool:
        if not self._holder_pace.is_due():
            return False
        began_s = time.thread_time()
        before, self._who = self._who, holder(self._sweep_dir.lock_path)
        self._holder_pace.took(time.thread_time() - began_s)
        return before != self._who

    def _analysis_came(self) -> bool:
        """What takes seconds is computed elsewhere; return whether it is there, and take it over."""
        if self._coming is None and self._analysis_stale and self._analysis_pace.is_due():
            self._analysis_stale = False
            self._coming = self._executor.submit(analyse, self._sweep_dir)
        if self._coming is None or not self._coming.done():
            return False
        coming, self._coming = self._coming, None
        try:
            self._analysis = coming.result()
        except SweepError as error:  # what it says more than the rest of the page does
            self._notes = [*self._notes, str(error)][-MOST_NOTES:]
            return False
        self._analysis_pace.took(self._analysis.cost_s)
        running = {number for number, trial in self._trials.items() if trial.state is TrialState.RUNNING}
        kept = {number: self._flags[number] for number in running & self._flags.keys()}
        self._flags = {**self._analysis.flags, **kept}
        return True

    def _ordered(self) -> list[Axis]:
        """The parameters, the most important first once that is known."""
        importances = () if self._analysis is None else self._analysis.importances
        return ordered(SearchSpace.of(self._follower.spec.parameters), importances)

    def _head(self) -> dict[str, Any]:
        assert self._reader is not None
        return headline(
            self._follower,
            self._follower.progress(),
            who=self._who,
            labels=self._labels,
            notes=self._notes,
            damage=self._reader.damage,
        )

    def _state(self) -> Mapping[str, Any]:
        uses = {} if self._analysis is None else self._analysis.uses
        return {
            "data": {
                "id": self._sweep_dir.sweep_id,
                **trials_data(self._results(), self._axes, self._flags, uses, self._t0),
                **self._ranks(),
                "curves": curves_data(self._curves),
                "lanes": self._lanes,
            },
            "head": self._head(),
            "sections": None if self._analysis is None else self._analysis.sections,
        }


def _curve(points: Sequence[CurvePoint]) -> list[list[Any]]:
    """Positions and values, as the page has them."""
    data = curves_data({0: points})
    _, values = data["by_trial"][0]
    return [list(data["positions"][0]), values]
