"""Protocol Buffers as bytes: messages put together and taken apart field by field, without the library or a schema."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Union

Raw = Union[int, bytes]
"""A field's value: a number, or its bytes."""

_NARROW, _WIDE = struct.Struct("<f"), struct.Struct("<d")
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5

_SHORT = tuple(bytes([value]) for value in range(0x80))
"""Whole numbers that fit into one byte."""


def whole(number: int, value: int) -> bytes:
    """Return a field that holds a whole number, a boolean or a member of an enum."""
    return varint(number << 3 | _VARINT) + varint(value)


def double(number: int, value: float) -> bytes:
    """Return a field of 64 bits."""
    return varint(number << 3 | _DOUBLE) + _WIDE.pack(value)


def single(number: int, value: float) -> bytes:
    """Return a field of 32 bits; what is too large for them is infinite."""
    return varint(number << 3 | _FLOAT) + four_bytes(value)


def four_bytes(value: float) -> bytes:
    """Return a number in single precision; what is too large for that is infinite."""
    try:
        return _NARROW.pack(value)
    except OverflowError:
        return _NARROW.pack(float("inf") if value > 0 else float("-inf"))


def nested(number: int, *parts: bytes) -> bytes:
    """Return a field that holds bytes or another message, which may come in parts."""
    content = b"".join(parts)
    return varint(number << 3 | _BYTES) + varint(len(content)) + content


def text(number: int, value: str) -> bytes:
    """Return a field that holds text."""
    return nested(number, value.encode(errors="backslashreplace"))


def fields(message: bytes) -> Iterator[tuple[int, Raw, bytes]]:
    """Yield the number, the value and the bytes of each field of a message.

    Raises:
        ValueError: It is no message.
    """
    position = 0
    while position < len(message):
        begin = position
        key, position = _read_varint(message, position)
        value: Raw
        kind = key & 7
        if kind == _VARINT:
            value, position = _read_varint(message, position)
        else:
            if kind == _BYTES:
                length, position = _read_varint(message, position)
            elif kind in {_DOUBLE, _FLOAT}:
                length = 8 if kind == _DOUBLE else 4
            else:
                raise ValueError(f"a field of unknown kind {kind}")
            value, position = message[position : position + length], position + length
        if position > len(message):
            raise ValueError("a message is cut off")
        yield key >> 3, value, message[begin:position]


def varint(value: int) -> bytes:
    """Return a whole number in as few bytes as it needs, seven bits each."""
    if 0 <= value <= 0x7F:
        return _SHORT[value]
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(message):
            raise ValueError("a message is cut off")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value - (1 << 64) if value >> 63 else value, position
