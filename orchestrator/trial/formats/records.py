"""TensorFlow's record files: each record with its length and two checksums."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")


def record(payload: bytes) -> bytes:
    """Return a record as a file has it."""
    length = _LENGTH.pack(len(payload))
    return length + _CHECKSUM.pack(_masked(length)) + payload + _CHECKSUM.pack(_masked(payload))


def records(path: Path) -> Iterator[bytes]:
    """Yield the records of a file; of one that a kill cut off, or that is damaged, those before that."""
    with path.open("rb") as file:
        while True:
            head = file.read(_LENGTH.size + _CHECKSUM.size)
            if len(head) < _LENGTH.size + _CHECKSUM.size or _masked(head[:8]) != _CHECKSUM.unpack(head[8:])[0]:
                return
            (length,) = _LENGTH.unpack(head[:8])
            payload, tail = file.read(length), file.read(_CHECKSUM.size)
            if len(tail) < _CHECKSUM.size or _masked(payload) != _CHECKSUM.unpack(tail)[0]:
                return
            yield payload


def _table() -> tuple[int, ...]:
    found = []
    for number in range(256):
        value = number
        for _ in range(8):
            value = value >> 1 ^ 0x82F63B78 if value & 1 else value >> 1
        found.append(value)
    return tuple(found)


_TABLE = _table()


def _masked(data: bytes, table: tuple[int, ...] = _TABLE) -> int:
    """CRC-32C, turned as TensorFlow turns it."""
    value = 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    value ^= 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF
