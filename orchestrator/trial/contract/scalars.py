"""Metrics as programs hand them over, turned into floats by flat name. Nothing here raises, whatever they hand over."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from decimal import Decimal
from numbers import Rational
from typing import Any

DEEPEST = 100
"""How deep mappings may be nested: beyond, they hold no metrics. One that holds itself ends here."""

MOST_ITEMS = 100_000
"""Items of a row, nested ones included."""

_SINGLE = struct.Struct("f")

_ONLY_FLOAT, _ONLY_TEXT = frozenset({float}), frozenset({str})

PLAIN: frozenset[type] = frozenset({float, int})
"""Types of numbers that nothing has to be asked about."""


def flat_scalars(data: Any) -> dict[str, float]:
    """Return the scalars of a row by flat name: nested mappings are joined with '.', what is no number is left out."""
    return {name: number for name, value in flat_items(data)[0] if (number := scalar(value)) is not None}


def flat_items(data: Any) -> tuple[list[tuple[str, Any]], str | None]:
    """Return the items of a row by flat name, those of nested mappings in their place; and what was left out, if anything."""
    found: list[tuple[str, Any]] = []
    problem = None
    n_items = 0
    outermost = items_of(data)
    if len(outermost) <= MOST_ITEMS and all(type(name) is str and type(value) in PLAIN for name, value in outermost):
        return outermost, None
    levels = [("", iter(outermost))]
    while levels:
        prefix, items = levels[-1]
        item = next(items, None)
        if item is None:
            levels.pop()
            continue
        n_items += 1
        if n_items > MOST_ITEMS:
            return found, f"a row has more than {MOST_ITEMS} items; the others are left out"
        name, value = _name(prefix, item[0]), item[1]
        if name is None:
            problem = "a metric's name cannot be turned into text; it is left out"
        elif not _is_mapping(value):
            found.append((name, value))
        elif len(levels) < DEEPEST:
            levels.append((f"{name}.", iter(items_of(value))))
        else:
            problem = f"metrics are nested more than {DEEPEST} deep; those are left out"
    return found, problem


def flat_row(data: Any, prefix: str = "", depth: int = DEEPEST) -> tuple[dict[str, float], list[str]]:
    """Return the scalars of a row as W&B has converted it, by flat name, and the names of what is no number.

    An image's width or a histogram's bins are no metrics: what describes media is one thing that is no number.
    ``a.b`` is the b of a nested a, as in W&B's own dotted names, also where a name with a dot of its own stands beside it.
    """
    if type(data) is dict and not prefix and len(data) <= MOST_ITEMS:
        row = dict(data)  # another thread may be changing it
        if _ONLY_FLOAT.issuperset(map(type, row.values())) and _ONLY_TEXT.issuperset(map(type, row)):
            return row, []
    numbers: dict[str, float] = {}
    others: list[str] = []
    for key, value in items_of(data)[:MOST_ITEMS]:
        name = _name(prefix, key)
        if name is None:
            continue
        if type(value) is float:
            numbers.setdefault(name, value)
            continue
        if depth and _is_mapping(value) and "_type" not in value:
            inner, rest = flat_row(value, f"{name}.", depth - 1)
            numbers |= inner
            others += rest
            continue
        if name in numbers:
            continue
        number = scalar(value)
        if number is None:
            others.append(name)
        else:
            numbers[name] = number
    return numbers, others


def scalar(value: Any) -> float | None:
    """Return a number as a float, arrays and tensors of one element included; None for anything else."""
    if type(value) is float:
        return value
    try:
        return _scalar(value)
    except Exception:  # noqa: BLE001 - a program's own class may do anything when it is asked
        return None


def number_of(value: Any) -> float | None:
    """Return what `scalar` does, and Python's exact numbers as floats too, which W&B takes for text."""
    found = scalar(value)
    if found is not None or not isinstance(value, (Decimal, Rational)):
        return found
    try:
        return _as_float(value)  # type: ignore[arg-type]  # both have `__float__`
    except Exception:  # noqa: BLE001 - a signalling NaN; a program's own class
        return None


def as_json(value: float) -> str:
    """Return a number as `json.dumps` has it."""
    return repr(value) if value - value == 0.0 else json.dumps(value)


def as_float32(value: float) -> float:
    """Return the value that single precision keeps, as event files do."""
    if not math.isfinite(value):
        return value
    try:
        return float(_SINGLE.unpack(_SINGLE.pack(value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def shortest(value: float) -> float:
    """Return the shortest decimal that single precision reads as `value`: what was meant by 0.10000000149011612."""
    if not math.isfinite(value):
        return value
    for digits in ("%.6g", "%.7g", "%.8g"):
        short = float(digits % value)
        if as_float32(short) == value:
            return short
    return value


def _is_mapping(value: Any) -> bool:
    if type(value) in PLAIN:
        return False
    try:
        return isinstance(value, Mapping)
    except Exception:  # noqa: BLE001 - a program's own class
        return False


def items_of(data: Any) -> list[tuple[Any, Any]]:
    """Return the items of a mapping as it is now, none of one that cannot be read. Another thread may be changing it."""
    for _ in range(3):
        try:
            return [(key, value) for key, value in data.items()]
        except RuntimeError:  # changed while it was read
            continue
        except Exception:  # noqa: BLE001 - a program's own class
            return []
    return []


def _name(prefix: str, key: Any) -> str | None:
    try:
        return f"{prefix}{key}"
    except Exception:  # noqa: BLE001 - a program's own class
        return None


def _scalar(value: Any) -> float | None:
    if isinstance(value, (int, float)):
        return _as_float(value)
    shape = getattr(value, "shape", None)
    if not (isinstance(shape, tuple) and all(n == 1 for n in shape) and hasattr(value, "item")):
        return None
    item = value.item()
    if type(item) is type(value) and getattr(getattr(item, "dtype", None), "kind", "") == "f":
        return float(item)  # numpy's long double has no Python number to be
    return _as_float(item) if isinstance(item, (int, float)) else None


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
