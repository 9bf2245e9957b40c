"""Amounts of memory as people write them: ``8GiB``, ``500MB``, or a number of bytes."""

import re
from typing import Any

LARGEST = 2.0**63
"""What Ray and every operating system count memory with."""

_UNITS = {"": 1, "b": 1}
_UNITS |= {f"{prefix}{suffix}": 1000 ** (i + 1) for i, prefix in enumerate("kmgt") for suffix in ("", "b")}
_UNITS |= {f"{prefix}i{suffix}": 1024 ** (i + 1) for i, prefix in enumerate("kmgt") for suffix in ("", "b")}
_TEXT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)")


def parse_size(value: Any) -> int | None:
    """Return an amount of memory in bytes, greater than 0; None when the value is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    match = _TEXT.fullmatch(str(value).strip().lower())
    if match is None or match[2] not in _UNITS:
        return None
    size = float(match[1]) * _UNITS[match[2]]
    return int(size) if 1 <= size < LARGEST else None
