"""How values become text for people: numbers, durations, shell words, and nothing that could drive a terminal."""

import shlex
import string
from collections.abc import Sequence

from orchestrator.printable import clean

_ACTIVE = frozenset('"$`\\!')
"""What means something inside double quotes."""

_PLAIN = frozenset(string.ascii_letters + string.digits + " =-_./,:+")
"""What needs no escape in bash's ``$'...'``."""


def duration(seconds: float | None) -> str:
    """Return a duration for people: ``0.4s``, ``12s``, ``4m12s``, ``3h05m``, ``2d04h``; ``-`` for None."""
    if seconds is None:
        return "-"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def gib(size: float) -> str:
    """Return bytes in GiB, in three digits."""
    return f"{size / 2**30:.3g}"


def memory(size: float) -> str:
    """Return bytes with their unit: ``109 MiB``, ``1.25 GiB``."""
    return f"{gib(size)} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def amount(n_bytes: float) -> str:
    """Return what files come to: ``1,204.5 MiB``."""
    return f"{n_bytes / 2**20:,.1f} MiB"


def number(value: float | None, digits: int = 5) -> str:
    """Return a number in so many significant digits at most; ``-`` for None."""
    return "-" if value is None else f"{value:.{digits}g}"


def short(value: object) -> str:
    """Return a config's value in a sentence."""
    return number(value) if isinstance(value, float) else clean(str(value))


def in_cell(value: object, width: int) -> str:
    """Return a value in a table; ``-`` for None, and what is longer than `width` cut."""
    text = "-" if value is None else short(value)
    return text if len(text) <= width else f"{text[: width - 1]}…"


def counted(n: int, what: str) -> str:
    """Return ``1 trial``, ``2 trials``."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def listed(names: Sequence[str], *, most: int = 5) -> str:
    """Return ``a, b and 3 more``."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def trials_named(numbers: Sequence[int], *, most: int = 8) -> str:
    """Return ``trial 3``, ``trials 3, 5 and 12 more``."""
    return f"trial{'' if len(numbers) == 1 else 's'} {listed([str(n) for n in numbers], most=most)}"


def command_line(argv: Sequence[str]) -> str:
    """Return argv as one line for a shell, quoted to be read: double quotes around single ones where that is enough.

    Control characters take bash's ``$'...'`` form, so that the line can be shown and pasted.
    """
    return " ".join(_shell_word(word) for word in argv)


def _shell_word(word: str) -> str:
    if clean(word) == word:
        return f'"{word}"' if "'" in word and not _ACTIVE.intersection(word) else shlex.quote(word)
    escaped = "".join(c if c in _PLAIN else f"\\U{ord(c):08x}" for c in word)
    return f"$'{escaped}'"
