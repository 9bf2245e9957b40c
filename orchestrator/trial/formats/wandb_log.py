"""The `.wandb` format, read while it grows and written.

It is LevelDB's log: a head of 7 bytes, then blocks of 32 KiB with chunks ``crc32, length, kind``; a record is one or more
chunks.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK = 32_768
_PART = 1024 * BLOCK  # read at once: logs may be larger than memory
_FILE_HEAD = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
_CHUNK_HEAD = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


class WandbLog:
    """Reads a growing `.wandb` file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = len(_FILE_HEAD)
        self._parts: list[bytes] = []

    def read(self) -> Iterator[Any]:
        """Yield the records that are complete and new, as wandb's messages."""
        return map(_record, self.payloads())

    def payloads(self) -> Iterator[bytes]:
        """Yield the records that are complete and new, as they were written."""
        begin = -1
        while begin < self._offset:
            begin = self._offset
            with self._path.open("rb") as file:
                file.seek(begin)
                data = file.read(_PART)
            yield from self._records(data)
            if len(data) < _PART:
                return

    def _records(self, data: bytes) -> Iterator[bytes]:
        """Yield the records that end in the bytes from the offset on, and move the offset behind what was understood."""
        position = 0
        while True:
            left_in_block = BLOCK - (self._offset + position) % BLOCK
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
                yield b"".join(self._parts)
        self._offset += min(position, len(data))


class LogWriter:
    """Appends records to a new log."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._file.write(_FILE_HEAD)
        self._position = len(_FILE_HEAD)

    def write(self, record: Any) -> None:
        """Append a record: wandb's message."""
        self.append(record.SerializeToString())

    def append(self, data: bytes) -> None:
        """Append a record as it is written."""
        first = True
        while True:
            room = BLOCK - self._position % BLOCK
            if room < _CHUNK_HEAD.size:
                self._put(b"\0" * room)
                continue
            part, data = data[: room - _CHUNK_HEAD.size], data[room - _CHUNK_HEAD.size :]
            kind = (_FIRST if data else _WHOLE) if first else (_MIDDLE if data else _LAST)
            checksum = zlib.crc32(bytes([kind]) + part)
            self._put(_CHUNK_HEAD.pack(checksum, len(part), kind) + part)
            first = False
            if not data:
                return

    def flush(self) -> None:
        """Let readers see what was written."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._position += len(data)


def exit_record(exit_code: int) -> Any:
    """Return the record that ends a run."""
    from wandb.proto import wandb_internal_pb2

    return wandb_internal_pb2.Record(exit=wandb_internal_pb2.RunExitRecord(exit_code=exit_code))


def step_of(history: Any) -> int | None:
    """Return the step of a row."""
    for item in history.item:
        if item.key == "_step" or list(item.nested_key) == ["_step"]:
            return int(json.loads(item.value_json))
    return int(history.step.num) if history.HasField("step") else None


def _record(data: bytes) -> Any:
    from wandb.proto import wandb_internal_pb2

    record = wandb_internal_pb2.Record()
    record.ParseFromString(data)
    return record
