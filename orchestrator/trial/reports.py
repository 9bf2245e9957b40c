"""`reports.jsonl`: every report of a trial, appended by the trial itself as it happens. Its own durable record.

One line per report: ``{"attempt": 0, "t": 1769990400.25, "step": 3, "m": {"loss": 0.5, "acc": NaN}}``. NaN and infinities
are written as Python's JSON does (``NaN``, ``Infinity``). One line is one `write` to a file opened for appending, so the lines
of several processes never interleave, and a process killed at any moment leaves at most one torn last line. A report's
index is its place among its attempt's lines.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.trial.events import Report

FILE = "reports.jsonl"


class ReportWriter:
    """Appends the reports of one attempt."""

    def __init__(self, path: Path, attempt: int) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._attempt = attempt
        if _is_torn(path):
            os.write(self._descriptor, b"\n")

    def write(self, metrics: Mapping[str, float], step: int | None = None, moment: float | None = None) -> None:
        """Append one report, of this moment or an earlier one (Unix time in seconds)."""
        line = {"attempt": self._attempt, "t": moment or time.time(), "step": step, "m": metrics}
        os.write(self._descriptor, (json.dumps(line) + "\n").encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class ReportTail:
    """Reads the reports of one attempt as they are appended; each once, in order."""

    def __init__(self, path: Path, attempt: int) -> None:
        self._path = path
        self._attempt = attempt
        self._descriptor: int | None = None
        self._rest = b""
        self._index = 0

    def read(self) -> list[Report]:
        """Return the reports that were appended since the last call."""
        if self._descriptor is None:
            try:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return []
        reports: list[Report] = []
        while chunk := os.read(self._descriptor, 1 << 20):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            reports += [report for line in lines if (report := self._report(line)) is not None]
        return reports

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _report(self, line: bytes) -> Report | None:
        """The report of a line; None for another attempt's and for one that was torn by a kill."""
        try:
            data: dict[str, Any] = json.loads(line)
            if data["attempt"] != self._attempt:
                return None
            report = Report(index=self._index, time=data["t"], step=data["step"], metrics=data["m"])
        except (ValueError, KeyError, TypeError):
            return None
        self._index += 1
        return report


def _is_torn(path: Path) -> bool:
    """Whether an earlier attempt was killed in the middle of a line."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return False
        file.seek(size - 1)
        return file.read(1) != b"\n"
