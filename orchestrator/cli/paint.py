"""Colours on a terminal, and none elsewhere."""

import os
from collections.abc import Callable
from typing import Any, TextIO, TypeAlias

import typer

Paint: TypeAlias = Callable[[str, str], str]
"""Gives a piece of text the looks of its role."""

LOOKS: dict[str, dict[str, Any]] = {
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow", "bold": True},
    "ok": {"fg": "green", "bold": True},
    "fix": {"fg": "green"},
    "place": {"bold": True},
    "title": {"bold": True},
    "margin": {"fg": "bright_black"},
}


def painter(stream: TextIO) -> Paint:
    """Return what paints text for a stream: in colours on a terminal, not at all elsewhere and with ``NO_COLOR``."""
    if stream.isatty() and not os.environ.get("NO_COLOR"):
        return lambda role, text: typer.style(text, **LOOKS[role])
    return plain


def plain(_role: str, text: str) -> str:
    """Return text as it is."""
    return text
