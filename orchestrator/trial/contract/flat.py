"""Nested names in one piece: how a config, a summary or a spec becomes columns, tags and lines."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

CONFIG, METRIC = "config.", "metric."
"""What the name of a parameter's or metric's column begins with where the bare name is another column's."""


def flat(data: Mapping[Any, Any], *, joint: str = ".", prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield names and values, those of nested mappings in their place; a mapping without items is a value itself."""
    for name, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, joint=joint, prefix=f"{prefix}{name}{joint}")
        else:
            yield f"{prefix}{name}", value


def told_apart(names: list[str], prefix: str, others: Collection[str]) -> list[str]:
    """Return the names of columns, each with its prefix where it could be taken for another's."""
    return [prefix + name if name in others or name.startswith((CONFIG, METRIC)) else name for name in names]
