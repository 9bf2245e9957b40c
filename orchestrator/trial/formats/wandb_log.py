"""The `.wandb` format: blocks of 32 KiB that hold chunks of records, read while they grow."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK = 32_768


_PART = 1024 * _BLOCK  # read at once: logs may be larger than memory


_CHUNK_HEAD = struct.Struct("<IHB")


_FILE_HEAD = 7


_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


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
