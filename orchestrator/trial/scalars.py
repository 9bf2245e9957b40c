"""Metrics as programs hand them over, turned into floats by flat name."""

import math
import struct
from collections.abc import Mapping
from typing import Any


def flat_scalars(data: Mapping[Any, Any], prefix: str = "") -> dict[str, float]:
    """Return the scalars of a row by flat name: nested mappings are joined with '.', what is no number is left out."""
    found: dict[str, float] = {}
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= flat_scalars(value, f"{name}.")
            continue
        number = scalar(value)
        if number is not None:
            found[name] = number
    return found


def scalar(value: Any) -> float | None:
    """Return a number as a float, arrays and tensors of one element included; None for anything else."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float):
        return _as_float(value)
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and all(n == 1 for n in shape) and hasattr(value, "item"):
        item = value.item()
        return _as_float(item) if isinstance(item, bool | int | float) else None
    return None


def as_float32(value: float) -> float:
    """Return the value that single precision keeps, as event files do."""
    if not math.isfinite(value):
        return value
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def shortest(value: float) -> float:
    """Return the shortest decimal that single precision reads as `value`: what was meant by 0.10000000149011612."""
    if not math.isfinite(value):
        return value
    return next((short for digits in (6, 7, 8) if as_float32(short := float(f"{value:.{digits}g}")) == value), value)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
