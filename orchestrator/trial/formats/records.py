"""TensorFlow's record files: each record with its length and two checksums."""

from __future__ import annotations

import array
import functools
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

ENOUGH = 16
"""Bytes for whose checksum larger tables are worth their while."""

_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")


def record(payload: bytes) -> bytes:
    """Return a record as a file has it."""
    return _head(len(payload)) + payload + _CHECKSUM.pack(_masked(payload))


def records(path: Path) -> Iterator[bytes]:
    """Yield the records of a file; of one that a kill cut off, or that is damaged, those before that."""
    with path.open("rb") as file:
        yield from _records(file)


def _records(file: BinaryIO) -> Iterator[bytes]:
    while True:
        head = file.read(_LENGTH.size + _CHECKSUM.size)
        if len(head) < _LENGTH.size + _CHECKSUM.size or _masked(head[:8]) != _CHECKSUM.unpack(head[8:])[0]:
            return
        (length,) = _LENGTH.unpack(head[:8])
        payload, tail = file.read(length), file.read(_CHECKSUM.size)
        if len(tail) < _CHECKSUM.size or _masked(payload) != _CHECKSUM.unpack(tail)[0]:
            return
        yield payload


class RecordTail:
    """Reads a file that grows: the records that are whole, and later those that have become so."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> Iterator[bytes]:
        """Yield the records that are whole and new; what is not whole is read anew next time."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for payload in _records(file):
                self._offset += _LENGTH.size + 2 * _CHECKSUM.size + len(payload)
                yield payload


class AlikeRecords:
    """Records that are alike but for a few bytes: their checksum is put together from what these alone add to it.

    Args:
        example: The payload of one.
        changing: The places of the bytes that are not the same in all.
    """

    def __init__(self, example: bytes, changing: Iterable[int]) -> None:
        places, last = list(changing), len(example) - 1
        bare = bytearray(example)
        for place in places:
            bare[place] = 0
        self._head = _head(len(example))
        self._bare = _remainder(bytes(bare))
        self._tables = [(place, _table_before(last - place)) for place in places]

    def record(self, payload: bytes) -> bytes:
        """Return the record of a payload that is like the example."""
        value = self._bare
        for place, table in self._tables:
            value ^= table[payload[place]]
        return self._head + payload + _CHECKSUM.pack(_turned(value))


@functools.lru_cache(maxsize=1024)
def _head(n_bytes: int) -> bytes:
    """What stands before a payload: its length, with a checksum of its own."""
    length = _LENGTH.pack(n_bytes)
    return length + _CHECKSUM.pack(_masked(length))


def _table() -> tuple[int, ...]:
    found = []
    for number in range(256):
        value = number
        for _ in range(8):
            value = value >> 1 ^ 0x82F63B78 if value & 1 else value >> 1
        found.append(value)
    return tuple(found)


_TABLE = _table()


@functools.cache
def _tables_of_pairs() -> tuple[array.array[int], array.array[int]]:
    """What two bytes do to the checksum with two more after them, and as the last two."""
    tables = [_TABLE]
    for _ in range(3):
        tables.append(tuple(_TABLE[value & 0xFF] ^ value >> 8 for value in tables[-1]))
    return _pairs(tables[3], tables[2]), _pairs(tables[1], tables[0])


def _pairs(first: tuple[int, ...], second: tuple[int, ...]) -> array.array[int]:
    """The table of two bytes, from those of each: 256 entries at a time, as one long number."""
    block = int.from_bytes(struct.pack("<256I", *first), "little")
    everywhere = int.from_bytes(b"\1\0\0\0" * 256, "little")
    found = array.array("I", b"".join((block ^ everywhere * each).to_bytes(1024, "little") for each in second))
    if sys.byteorder == "big":
        found.byteswap()
    return found


@functools.lru_cache(maxsize=1024)
def _table_before(n_bytes: int) -> tuple[int, ...]:
    """What a byte adds to the remainder with so many after it, which is a sum of what its bits add."""
    bits = [_TABLE[1 << bit] for bit in range(8)]
    for _ in range(n_bytes):
        bits = [_TABLE[value & 0xFF] ^ value >> 8 for value in bits]
    found = [0]
    for value in bits:
        found += [each ^ value for each in found]
    return tuple(found)


def _masked(data: bytes) -> int:
    """CRC-32C, turned as TensorFlow turns it."""
    return _turned(_remainder(data))


def _turned(remainder: int) -> int:
    value = remainder ^ 0xFFFFFFFF
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _remainder(data: bytes) -> int:
    """CRC-32C before its last turn; four bytes in one go."""
    value = 0xFFFFFFFF
    n_bytes = len(data)
    if n_bytes >= ENOUGH:
        far, near = _tables_of_pairs()
        for word in struct.unpack_from(f"<{n_bytes >> 2}I", data):
            value ^= word
            value = far[value & 0xFFFF] ^ near[value >> 16]
        data = data[n_bytes & ~3 :]
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ value >> 8
    return value
