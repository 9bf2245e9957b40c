"""Nested names in one piece: how a config, a summary or a spec becomes columns, tags and lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def flat(data: Mapping[Any, Any], *, joint: str = ".", prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield names and values, those of nested mappings in their place; a mapping without items is a value itself."""
    for name, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, joint=joint, prefix=f"{prefix}{name}{joint}")
        else:
            yield f"{prefix}{name}", value
