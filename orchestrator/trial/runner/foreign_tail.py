"""Metrics of programs that cannot be captured from inside: read from the W&B log and the TensorBoard events they write."""

import math
import os
import stat
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.layout import TrialDir
from orchestrator.trial.contract.bounds import Names, Problem, as_moment, valid_step
from orchestrator.trial.contract.reports import ReportWriter
from orchestrator.trial.contract.scalars import flat_row, scalar
from orchestrator.trial.formats.eventfile import OWN, PREFIX, scalars_in
from orchestrator.trial.formats.records import RecordTail
from orchestrator.trial.formats.wandb_log import WandbLog
from orchestrator.trial.formats.wandb_messages import Entry, entry_of

EVENTS = f"**/{PREFIX}*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line for the reports: metrics and marks, and the file that it was read from."""

    path: str
    metrics: Mapping[str, float]
    step: int | None = None
    moment: float | None = None
    marks: Mapping[str, Any] = field(default_factory=dict)


class ForeignTail:
    """Follows the `.wandb` logs and event files below a trial's directory, and copies them to the trial's reports.

    Of W&B runs only those with the trial's id are the trial's. Files that are captured from inside are left alone.

    Args:
        trial_dir: The trial's directory.
        attempt: The attempt.
        run_id: The id of the trial's W&B run; None takes every run for it.
        always: Names of metrics that are never one too many.
    """

    def __init__(
        self, trial_dir: TrialDir, attempt: int, *, run_id: str | None = None, always: Collection[str] = ()
    ) -> None:
        self._run_id = run_id
        self._place = trial_dir
        self._reports = ReportWriter(trial_dir.reports_path, attempt)
        self._logs: dict[Path, WandbLog] = {}
        self._events: dict[Path, RecordTail] = {}
        self._since = time.time()
        self._names: set[str] = set()
        self._bounds = Names(always)
        self._broken: set[Path] = set()
        self.problems: list[Problem] = []

    def read(self) -> list[Line]:
        """Return what was logged since the last call. A file that cannot be read further is left alone from then on."""
        lines: list[Line] = []
        for path, news in [
            *self._files(self._place.wandb_log_paths(self._run_id or "*"), self._wandb_lines),
            *self._files(sorted(self._place.path.glob(EVENTS)), self._event_lines),
        ]:
            try:
                lines.extend(news(path))
            except FileNotFoundError:
                continue
            except Exception as error:  # noqa: BLE001 - a damaged file makes other people's readers raise anything
                self._broken.add(path)
                self.problems.append(f"{path.name} cannot be read further: {type(error).__name__}: {error}")
        return lines

    def copy(self, lines: list[Line], known: set[str], captured: Collection[str] = ()) -> bool:
        """Append lines to the reports, except names that came there another way; return whether there was anything.

        Args:
            lines: What `read` returned.
            known: Names in the reports by now.
            captured: Files that are captured from inside, as far as the reports say.
        """
        of_others = known - self._names
        found = False
        for line in lines:
            valid = self._bounds.admit(line.metrics, self.problems)
            fresh = {name: value for name, value in valid.items() if name not in of_others}
            if line.path in captured or (line.metrics and not fresh):
                continue
            found = True
            self._names.update(fresh)
            self._write(fresh, valid_step(line.step, self.problems), as_moment(line.moment), line.marks)
        return found

    def _write(
        self, metrics: Mapping[str, float], step: int | None, moment: float | None, marks: Mapping[str, Any]
    ) -> None:
        try:
            self._reports.write(metrics, step, moment, **marks)
        except OSError as error:
            self.problems.append(f"reports cannot be written: {error.strerror}")

    def close(self) -> None:
        """Close the reports."""
        self._reports.close()

    def _files(
        self, paths: Sequence[Path], news: Callable[[Path], Iterator[Line]]
    ) -> list[tuple[Path, Callable[[Path], Iterator[Line]]]]:
        """The files of a kind that were written to since this began, each with what reads its news."""
        found = [path for path in paths if path not in self._broken]
        return [(path, news) for path in found if _changed_s(path) >= self._since - 1]

    def _wandb_lines(self, path: Path) -> Iterator[Line]:
        real = os.path.realpath(path)
        if path not in self._logs:
            self._logs[path] = WandbLog(path)
            yield Line(path=real, metrics={}, marks={"api": "wandb", "op": "begin"})
        for record in self._logs[path].payloads():
            line = _wandb_line(entry_of(record), real)
            if line is not None:
                yield line

    def _event_lines(self, path: Path) -> Iterator[Line]:
        if path.name.endswith(OWN) or path.is_relative_to(self._place.wandb_path):  # W&B's client copied or linked it
            return
        real = Path(os.path.realpath(path))  # a link to a file that is here as well is the same file
        for record in self._events.setdefault(real, RecordTail(real)).read():
            event = scalars_in(record)
            if event.metrics:
                marks = {"api": "tensorboard"}
                yield Line(path=str(real), metrics=event.metrics, step=event.step, moment=event.time, marks=marks)


def _changed_s(path: Path) -> float:
    """When a file was written to last; never for one that is not there any more, or is no file."""
    try:
        status = path.stat()
    except OSError:
        return -math.inf
    return status.st_mtime if stat.S_ISREG(status.st_mode) else -math.inf


def _wandb_line(entry: Entry, path: str) -> Line | None:
    """The line that a record of a W&B run comes to: a whole row, what is put into the summary, how the run ends."""
    match entry.kind:
        case "history":
            return _history_line(entry, path)
        case "summary":
            return _summary_line(entry, path)
        case "preempting":
            return Line(path=path, metrics={}, marks={"api": "wandb", "op": "preempting"})
        case "exit":
            return Line(path=path, metrics={}, marks={"api": "wandb", "op": "finish", "code": entry.code})
    return None


def _history_line(entry: Entry, path: str) -> Line:
    row = dict(entry.values)
    moment, step = row.pop("_timestamp", None), row.pop("_step", None)
    row.pop("_runtime", None)
    media = tuple(
        name.removesuffix("_type") for name in row if name.endswith("._type")
    )  # an image's width is no metric
    metrics = {
        name: number
        for name, value in row.items()
        if not name.startswith(media) and (number := scalar(value)) is not None
    }
    marks = {"api": "wandb", "commit": True}
    return Line(path=path, metrics=metrics, step=step, moment=moment or time.time(), marks=marks)


def _summary_line(entry: Entry, path: str) -> Line | None:
    """What a summary has that is no row's: rows bring their ``_step`` along, and what W&B keeps of a metric by request."""
    is_of_row = "_step" in entry.values
    numbers: dict[str, float] = {}
    for name, value in entry.values.items():
        if isinstance(value, dict):
            numbers |= flat_row(value, f"{name}.")[0]
        elif not is_of_row and not name.startswith("_") and (number := scalar(value)) is not None:
            numbers[name] = number
    if not (numbers or entry.removed):
        return None
    removed = list(entry.removed)
    marks = {"api": "wandb", "op": "summary", "gone": removed, "removed": removed}
    return Line(path=path, metrics=numbers, marks=marks)
