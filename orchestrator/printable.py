"""What of a text may be shown: nothing in it can drive a terminal, hide or turn around what is read."""

from __future__ import annotations

import unicodedata

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def clean(text: str) -> str:
    """Return text without control characters (escape sequences, bells, bidirectional overrides): each becomes ``?``."""
    if text.isprintable():
        return text
    return "".join("?" if unicodedata.category(c) in _UNSEEN and c != "\t" else c for c in text)


def clean_lines(text: str) -> str:
    """Return text of several lines, each of them clean."""
    return text if text.isprintable() else "\n".join(map(clean, text.split("\n")))
