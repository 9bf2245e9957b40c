"""`reports.jsonl`: what a trial logs, appended by the trial itself as it happens. Its own durable record.

One line per call: ``{"attempt": 0, "t": 1769990400.25, "step": 3, "m": {"loss": 0.5, "acc": NaN}}``. NaN and infinities
are written as Python's JSON does (``NaN``, ``Infinity``). One line is one `write` to a file opened for appending, so the lines
of several processes never interleave, and a process killed at any moment leaves at most one torn last line.

A line as above is a row. Marks say what else it is; `rows` makes rows of it:

* ``"api": "wandb"``: a call on the trial's W&B run, with its ``commit``, the names that it took out of the row (``gone``),
  those that came out of nested mappings (``nested``), and ``mirrored`` where the call was ours. With ``"op"`` it is no row, but
  ``begin`` (``start``: first step, ``file``: its log), ``define`` (of a metric), ``summary`` (what the program put there),
  ``preempting``, ``alert`` (``name``: its title and text) or ``finish`` (``code``).
  ``process`` is the one that began the run, where the trial started that.
* ``"api": "disabled"``: the same on a run that the program disabled itself, in ``process``, which ``leads`` or was started.
* ``"api": "tensorboard"``: scalars of a `SummaryWriter`, in ``place`` where that is not the trial's directory; a later line
  replaces the value that a tag has at a step. With ``"op"`` it is ``purge`` (of ``names``, from ``step`` on) or ``split``
  (what had the name ``tag`` is called ``name`` from its beginning).
* ``"api": "mlflow"``: metrics of MLflow, which are the same.
* ``"api": "watch"``: a sample of gradients, no row of the program's.
* ``"api": "file"``: a ``path`` that is captured from inside, and not to be read from outside.

A report's index is its place among its attempt's rows.
"""

from __future__ import annotations

import functools
import json
import os
import stat
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.layout import REPORTS
from orchestrator.trial.contract.bounds import (
    LONGEST_LINE,
    MOST_NAMES,
    Names,
    Problem,
    as_index,
    as_marks,
    as_metrics,
    as_moment,
    as_object,
    one_line,
    shown,
    valid_step,
)
from orchestrator.trial.contract.events import Report
from orchestrator.trial.contract.rows import Row, Rows, RunEnd
from orchestrator.trial.contract.scalars import as_json

BEGINNING = b'{"attempt": '
"""How the line of a report begins: one that a kill tore apart does, too."""

_JSON = json.JSONEncoder().encode

LONGEST_INDEX = 10
"""Digits that no number of an attempt has."""

LONGEST_ALERT = 1000
"""Characters of an alert that are kept."""

MOST_ALERTS = 20
"""Alerts of a trial that are told at a time."""

MOST_PROBLEMS = 10
"""Problems that are kept: they are alike, most of the time."""


class ReportWriter:
    """Appends the reports of one attempt."""

    def __init__(self, path: Path, attempt: int) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._n_bytes = 0
        self._head = f'{{"attempt": {attempt}, "t": '
        if _is_torn(path):
            os.write(self._descriptor, b"\n")

    def write(
        self, metrics: Mapping[str, float], step: int | None = None, moment: float | None = None, **marks: Any
    ) -> None:
        """Append one line, of this moment or an earlier one (Unix time in seconds). Names and step as `bounds` has them.

        Marks that are None are left out.
        """
        more = "".join([f', "{name}": {_mark(mark)}' for name, mark in marks.items() if mark is not None])
        total = sum(metrics.values())
        as_text = repr if total - total == 0.0 else as_json  # one that is not finite makes a sum that is not
        numbers = ", ".join([f"{_quoted(name)}: {as_text(value)}" for name, value in metrics.items()])
        when = as_json(moment or time.time())
        line = f'{self._head}{when}, "step": {"null" if step is None else step}, "m": {{{numbers}}}{more}}}\n'
        self._n_bytes += os.write(self._descriptor, line.encode())

    @property
    def is_alone(self) -> bool:
        """Whether all that is in the file was written here, and nothing by another process or an earlier attempt."""
        return os.fstat(self._descriptor).st_size == self._n_bytes

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class ReportTail:
    """Reads the reports of one attempt as they are appended; each once, in order, when its row is complete.

    Whatever else a program or a disk puts there changes nothing but `problems`.

    Args:
        path: The file; it need not be there yet.
        attempt: Whose reports.
        always: Names of metrics that are never one too many.

    Attributes:
        problems: What was left out, as far as that was not the tearing of a line by a kill: one sentence each, the first few.
    """

    def __init__(self, path: Path, attempt: int, *, always: Collection[str] = ()) -> None:
        self._path = path
        self._attempt = attempt
        self._names = Names(always)
        self._descriptor: int | None = None
        self._rest = b""
        self._skips = False
        self._index = 0
        self._rows = Rows()
        self._alerts: list[str] = []
        self.problems: list[Problem] = []

    @property
    def run_end(self) -> RunEnd:
        """What the program said of the end of its W&B run so far."""
        return self._rows.end

    @property
    def names(self) -> set[str]:
        """Every metric in the file so far, also in rows that are open."""
        return self._rows.names

    @property
    def apart(self) -> dict[str, tuple[str, ...]]:
        """Names that turned out to be several series, and what those are called."""
        return self._rows.apart

    @property
    def captured(self) -> set[str]:
        """Paths of logs and event files that are captured from inside."""
        return self._rows.files

    def read(self) -> list[Report]:
        """Return the reports that were completed since the last call."""
        if self._descriptor is None:
            self._descriptor = self._opened()
        if self._descriptor is None:
            return []
        reports = [report for line in self._data() for report in self._reports(self._rows.take(line))]
        del self.problems[MOST_PROBLEMS:]
        return reports

    def series_name(self, place: str, name: str) -> str:
        """Return what a series is called by now that a process calls `name`, and writes into a directory (as lines have it)."""
        return self._rows.series_name(place, name)

    def alerts(self) -> tuple[str, ...]:
        """Return the alerts since the last call; of a flood the first."""
        found, self._alerts = tuple(self._alerts[:MOST_ALERTS]), []
        return found

    def rest(self) -> list[Report]:
        """Return the reports that were open when the attempt ended."""
        return self._reports(self._rows.rest())

    def summary(self) -> dict[str, float]:
        """Return what the summary of the trial's W&B run has beyond the last value of each metric."""
        return self._rows.summary()

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int | None:
        """The file, opened; None while it is not there, or if it is no file: nobody waits at the end of a pipe."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        if not self.problems:
            self.problems.append(f"{REPORTS} is no file")
        return None

    def _lines(self, chunk: bytes) -> list[bytes]:
        """The lines that a further piece of the file makes whole, but for one that is too long to be a report."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if self._skips and lines:
            self._skips = False
            del lines[0]
        if self._skips or len(self._rest) > LONGEST_LINE:
            if not self._skips:
                self.problems.append(f"a line of {REPORTS} is longer than {LONGEST_LINE} bytes; it is left out")
            self._skips, self._rest = True, b""
        return lines

    def _data(self) -> Iterator[dict[str, Any]]:
        """The valid lines of the attempt that were appended since the last call."""
        assert self._descriptor is not None
        while chunk := os.read(self._descriptor, 1 << 20):
            yield from (data for line in self._lines(chunk) if (data := self._valid(line)) is not None)

    def _valid(self, line: bytes) -> dict[str, Any] | None:
        """The data of a line; None for another attempt's, for one that was torn by a kill, and for what is no report."""
        if _is_of_another(line, self._attempt):
            return None
        data = as_object(line)
        if data is None:
            if line and not line.startswith(BEGINNING):
                self.problems.append(f"a line of {REPORTS} is no report: {shown(line)}")
            return None
        attempt, moment = as_index(data.get("attempt")), as_moment(data.get("t"))
        metrics = as_metrics(data.get("m"), self.problems)
        if attempt is None or moment is None or metrics is None:
            self.problems.append(f"a line of {REPORTS} is no report: {shown(line)}")
            return None
        if attempt != self._attempt:
            return None
        if data.get("op") == "alert":
            self._alerts.append(one_line(str(data.get("name", "")), LONGEST_ALERT))
            return None
        step = valid_step(data.get("step"), self.problems)
        return as_marks(data) | {"t": moment, "step": step, "m": self._names.admit(metrics, self.problems)}

    def _reports(self, rows: list[Row]) -> list[Report]:
        found = [
            Report(
                index=i,
                time=row.time,
                step=row.step,
                metrics=row.metrics,
                part=row.part,
                purged=row.purged,
                voids=row.voids,
            )
            for i, row in enumerate(rows, self._index)
        ]
        self._index += len(found)
        return found


def _mark(value: Any) -> str:
    """A mark as JSON."""
    return _quoted(value) if type(value) is str else _JSON(value)


_quoted = functools.lru_cache(maxsize=MOST_NAMES)(json.encoder.encode_basestring_ascii)


def _is_of_another(line: bytes, attempt: int) -> bool:
    """Whether a line is plainly another attempt's: these need not be read."""
    if not line.startswith(BEGINNING):
        return False
    number = line[len(BEGINNING) : line.find(b",")]
    return number.isdigit() and len(number) < LONGEST_INDEX and number != str(attempt).encode()


def _is_torn(path: Path) -> bool:
    """Whether an earlier attempt was killed in the middle of a line."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return False
        file.seek(size - 1)
        return file.read(1) != b"\n"
