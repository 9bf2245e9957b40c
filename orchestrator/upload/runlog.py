"""The `.wandb` log of a run: written in wandb's format, and what of it goes up.

The format is LevelDB's log: a head of 7 bytes, then blocks of 32 KiB with chunks ``crc32, length, kind``; a record is
one or more chunks.
"""

import struct
import zlib
from pathlib import Path
from typing import Any

from orchestrator.trial.formats.wandb_log import WandbLog

BLOCK = 32_768
HEAD = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
_CHUNK_HEAD = struct.Struct("<IHB")
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4

KILLED_EXIT = 137
"""Exit code of a run whose process left none and is gone: as if by SIGKILL."""

__all__ = ["KILLED_EXIT", "LogWriter", "WandbLog", "exit_record", "step_of"]


class LogWriter:
    """Appends records to a new log."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._file.write(HEAD)
        self._position = len(HEAD)

    def write(self, record: Any) -> None:
        """Append a record (wandb's protobuf message)."""
        data, first = record.SerializeToString(), True
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
    import json

    for item in history.item:
        if item.key == "_step" or list(item.nested_key) == ["_step"]:
            return int(json.loads(item.value_json))
    return int(history.step.num) if history.HasField("step") else None
