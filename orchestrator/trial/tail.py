"""Metrics of programs that cannot be captured from inside: read from the W&B log and the TensorBoard events they write."""

import json
import math
import stat
import struct
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.trial.bounds import Names, Problem, as_moment, valid_step
from orchestrator.trial.eventfile import OWN, PREFIX
from orchestrator.trial.reports import FILE, ReportWriter
from orchestrator.trial.scalars import scalar, shortest

EVENTS = f"**/{PREFIX}*"

_BLOCK = 32_768
_PART = 1024 * _BLOCK  # read at once: logs may be larger than memory
_CHUNK_HEAD = struct.Struct("<IHB")
_FILE_HEAD = 7
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


Row = tuple[float, int | None, dict[str, float]]
"""(Unix time, step, metrics)"""


class ForeignTail:
    """Follows every `.wandb` log and event file below a trial's directory, and copies them to the trial's reports."""

    def __init__(self, trial_dir: Path, attempt: int, *, always: Collection[str] = ()) -> None:
        self._dir = trial_dir
        self._reports = ReportWriter(trial_dir / FILE, attempt)
        self._logs: dict[Path, WandbLog] = {}
        self._events: dict[Path, Any] = {}
        self._since = time.time()
        self._names: set[str] = set()
        self._bounds = Names(always)
        self._broken: set[Path] = set()
        self.problems: list[Problem] = []

    def read(self) -> list[Row]:
        """Return what was logged since the last call. A file that cannot be read further is left alone from then on."""
        rows: list[Row] = []
        for path, news in [
            *self._files("wandb/*run-*/run-*.wandb", self._wandb_rows),
            *self._files(EVENTS, self._event_rows),
        ]:
            try:
                rows.extend(news(path))
            except FileNotFoundError:
                continue
            except Exception as error:  # noqa: BLE001 - a damaged file makes other people's readers raise anything
                self._broken.add(path)
                self.problems.append(f"{path.name} cannot be read further: {type(error).__name__}: {error}")
        return rows

    def copy(self, rows: list[Row], known: set[str]) -> bool:
        """Append rows to the reports, except names that came there another way; return whether there was anything.

        Args:
            rows: What `read` returned.
            known: Names in the reports by now.
        """
        captured = known - self._names
        found = False
        for moment, step, metrics in rows:
            valid = self._bounds.admit(metrics, self.problems)
            fresh = {name: value for name, value in valid.items() if name not in captured}
            if fresh:
                found = True
                self._names.update(fresh)
                self._write(fresh, valid_step(step, self.problems), as_moment(moment))
        return found

    def _write(self, metrics: Mapping[str, float], step: int | None, moment: float | None) -> None:
        try:
            self._reports.write(metrics, step, moment)
        except OSError as error:
            self.problems.append(f"reports cannot be written: {error.strerror}")

    def close(self) -> None:
        """Close the reports."""
        self._reports.close()

    def _files(
        self, pattern: str, news: Callable[[Path], Iterator[Row]]
    ) -> list[tuple[Path, Callable[[Path], Iterator[Row]]]]:
        """The files of a kind that were written to since this began, each with what reads its news."""
        found = [path for path in self._dir.glob(pattern) if path not in self._broken and not path.name.endswith(OWN)]
        return [(path, news) for path in found if _changed_s(path) >= self._since - 1]

    def _wandb_rows(self, path: Path) -> Iterator[Row]:
        log = self._logs.setdefault(path, WandbLog(path))
        for record in log.read():
            if record.WhichOneof("record_type") == "history":
                yield _history_row(record.history)

    def _event_rows(self, path: Path) -> Iterator[Row]:
        for event in self._event_loader(path).Load():
            metrics = {v.tag: n for v in event.summary.value if (n := _number(v)) is not None}
            if metrics:
                yield event.wall_time, int(event.step), metrics

    def _event_loader(self, path: Path) -> Any:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

        return self._events.setdefault(path, EventFileLoader(str(path)))


def _changed_s(path: Path) -> float:
    """When a file was written to last; never for one that is not there any more, or is no file."""
    try:
        status = path.stat()
    except OSError:
        return -math.inf
    return status.st_mtime if stat.S_ISREG(status.st_mode) else -math.inf


class WandbLog:
    """Reads a growing `.wandb` file: blocks of 32 KiB with chunks ``crc32, length, kind``, each record one or more chunks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = _FILE_HEAD
        self._parts: list[bytes] = []

    def read(self) -> Iterator[Any]:
        """Yield the records that are complete and new."""
        begin = -1
        while begin < self._offset:
            begin = self._offset
            with self._path.open("rb") as file:
                file.seek(begin)
                data = file.read(_PART)
            yield from self._records(data)
            if len(data) < _PART:
                return

    def _records(self, data: bytes) -> Iterator[Any]:
        """Yield the records that end in the bytes from the offset on, and move the offset behind what was understood."""
        position = 0
        while True:
            left_in_block = _BLOCK - (self._offset + position) % _BLOCK
            if left_in_block < _CHUNK_HEAD.size:
                position += left_in_block  # zero padding
                continue
            if len(data) < position + _CHUNK_HEAD.size:
                break
            checksum, length, kind = _CHUNK_HEAD.unpack_from(data, position)
            payload = data[position + _CHUNK_HEAD.size : position + _CHUNK_HEAD.size + length]
            if len(payload) < length or zlib.crc32(bytes([kind]) + payload) != checksum:
                break  # still being written
            position += _CHUNK_HEAD.size + length
            self._parts = [payload] if kind in {_WHOLE, _FIRST} else [*self._parts, payload]
            if kind in {_WHOLE, _LAST}:
                yield _record(b"".join(self._parts))
        self._offset += min(position, len(data))


def _record(data: bytes) -> Any:
    from wandb.proto import wandb_internal_pb2

    record = wandb_internal_pb2.Record()
    record.ParseFromString(data)
    return record


def _history_row(history: Any) -> Row:
    row: dict[str, Any] = {}
    for item in history.item:
        row[".".join(item.nested_key) or item.key] = json.loads(item.value_json) if item.value_json else None
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
    return moment or time.time(), step, metrics


def _number(value: Any) -> float | None:
    if value.HasField("simple_value"):
        return shortest(value.simple_value)
    if not value.HasField("tensor") or value.tensor.tensor_shape.dim:
        return None
    numbers = list(value.tensor.float_val) or list(value.tensor.double_val)
    return shortest(numbers[0]) if len(numbers) == 1 and value.metadata.plugin_data.plugin_name == "scalars" else None
