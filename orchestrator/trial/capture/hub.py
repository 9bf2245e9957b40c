"""One report, and where it goes: a line in `reports.jsonl`, mirrored to where its program did not send it itself.

* Every call that logs scalars is written at once, so that a kill loses none. What counts are the rows that they come to, as
  the library that was called has them (`rows`): W&B's merge what is logged at one step, TensorBoard shows the last value of it.
* A value that a program hands to two APIs itself (same name, step and value) is reported once, and mirrored nowhere.

The files beside this one see the calls of a library each, and give them to the hub.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.trial.capture.guard import Guard
from orchestrator.trial.capture.mirroring import OWN, WANDB, Mirroring, Row
from orchestrator.trial.capture.wandb_mirror import RunMirror
from orchestrator.trial.contract.bounds import Names, Problem, scalars, step_after, valid_step
from orchestrator.trial.contract.launch import Launch
from orchestrator.trial.contract.reports import ReportTail, ReportWriter
from orchestrator.trial.contract.scalars import number_of
from orchestrator.trial.contract.wandb_record import Row as WandbRow
from orchestrator.trial.contract.watched import NORM, SPREAD
from orchestrator.trial.formats.eventfile import EventFile, begin_session, trial_file


class Hub:
    """The reports of a process of a trial.

    Args:
        launch: The attempt.
        guard: Does something of ours.
        run_mirror: Where rows go that the trial's W&B run is to have as well.

    Attributes:
        is_used: Whether the program has reported anything in this process.
    """

    def __init__(self, launch: Launch, guard: Guard, run_mirror: RunMirror) -> None:
        self._launch = launch
        self._dir = Path(launch.trial_dir)
        self._guard = guard
        self._run_mirror = run_mirror
        self._reports: ReportWriter | None = None
        self._all_reports: ReportTail | None = None
        self._places: dict[str, str] = {}
        self._events: EventFile | None = None
        self._mirroring = Mirroring()
        self._names = Names(() if launch.metric is None else (launch.metric,))
        self._next_step = 0
        self.is_used = False

    def begin(self) -> None:
        """Begin the trial's TensorBoard run."""
        self._events = begin_session(self._launch)

    def forked(self) -> None:
        """Begin anew in a process that the program forked: files of its own; rows that wait are its parent's."""
        self._events = None
        self._all_reports = None
        self._mirroring = self._mirroring.alone()
        self.is_used = False

    def report(self, metrics: Mapping[str, Any], step: Any) -> None:
        """Report by our own API, or a Tune program's: mirrored to TensorBoard and W&B."""
        problems: list[Problem] = []
        self.take(scalars(metrics, problems, number_of), valid_step(step, problems), OWN)
        self._tell(problems)

    def take(self, metrics: Mapping[str, float], step: int | None, source: str, **marks: Any) -> None:
        """Write what is new of a call, and mirror it to where the program did not send it itself.

        Args:
            metrics: Scalars by flat name.
            step: The step the program gave, or None.
            source: The API it used.
            **marks: What its line says besides.
        """
        if not metrics:
            return
        fresh = self.fresh(metrics, step, source)
        if fresh:
            self.line(fresh, step, **marks)
        self._mirror(fresh, step, source, step if step is not None else self._next_step)

    def fresh(self, metrics: Mapping[str, float], step: int | None, source: str) -> Mapping[str, float]:
        """Return what of a call no other API has brought already, with names that can be kept; say what does not fit."""
        problems: list[Problem] = []
        admitted = self._names.admit(metrics, problems)
        self._tell(problems)
        return self._mirroring.fresh(admitted, step, source)

    def step(self, given: Any) -> int | None:
        """Return a step as it can be kept; say so if one cannot."""
        problems: list[Problem] = []
        found = valid_step(given, problems)
        self._tell(problems)
        return found

    def line(self, metrics: Mapping[str, float], step: int | None, **marks: Any) -> None:
        """Write a line of the reports that the program caused."""
        self.is_used = True
        self._writer().write(metrics, step, **marks)

    def note(self, step: int | None = None, **marks: Any) -> None:
        """Write a line without metrics; it does not count as a use by the program."""
        self._writer().write({}, step, **marks)

    def take_sample(self, sample: Mapping[str, float], n_steps: int) -> None:
        """Take a sample of gradients: the summary is reported, all of it is shown beside the program's own metrics."""
        found = {name: sample[name] for name in (NORM, SPREAD) if name in sample}
        self._writer().write(found, n_steps, api="watch")
        if self._events is not None:
            self._events.scalars(sample, n_steps)
        self._run_mirror.add(sample)

    def use(self, target: str) -> None:
        """Note that the program opened a run or a writer of its own."""
        self._mirroring.use(target)

    def has_place(self, names: Collection[str], place: str) -> None:
        """Note in which directory this process writes series."""
        self._places.update(dict.fromkeys(names, place))

    def shown(self, metrics: Mapping[str, float]) -> Mapping[str, float]:
        """Return metrics by the names that their series have among those of all processes of the trial.

        A process knows its own directories only. What the others write is in the reports, which say what all of it is called.
        """
        if self._places.keys().isdisjoint(metrics) or self._writer().is_alone:
            return metrics
        if self._all_reports is None:
            self._all_reports = ReportTail(self._launch.dir.reports_path, self._launch.attempt)
        self._all_reports.read()
        return {self._shown_name(name): value for name, value in metrics.items()}

    def mirror_row(self, row: WandbRow) -> None:
        """Mirror a complete row of the trial's W&B run."""
        self._mirror(row.metrics, row.given, WANDB, row.step)

    def mirror_rest(self) -> None:
        """Mirror the rows that waited."""
        for row in self._mirroring.rest():
            self._send(row)

    def event_file(self) -> EventFile:
        """Return the event file of the trial's TensorBoard run."""
        if self._events is None:
            self._events = trial_file(self._dir, self._launch.attempt)
        return self._events

    def show(self, values: list[Any], step: int) -> None:
        """Write media into the trial's TensorBoard run."""
        self.event_file().summary(values, step)

    def close(self) -> None:
        """Close the trial's TensorBoard run."""
        if self._events is not None:
            self._events.close()

    def _mirror(self, metrics: Mapping[str, float], step: int | None, source: str, shown: int) -> None:
        self._next_step = step_after(shown)
        for row in self._mirroring.take(metrics, step, source, shown):
            self._send(row)

    def _send(self, row: Row) -> None:
        if row.target == WANDB:
            self._run_mirror.mirror(self.shown(row.metrics), row.step)
        else:
            self.event_file().scalars(row.metrics, row.shown)

    def _shown_name(self, name: str) -> str:
        assert self._all_reports is not None
        place = self._places.get(name)
        return name if place is None else self._all_reports.series_name(place, name)

    def _writer(self) -> ReportWriter:
        if self._reports is None:
            self._reports = ReportWriter(self._launch.dir.reports_path, self._launch.attempt)
        return self._reports

    def _tell(self, problems: Sequence[Problem]) -> None:
        for problem in problems[:1]:
            self._guard.warn(problem)
