"""What is wrong with a spec: findings with their place, reason and fix, and how they are printed."""

import difflib
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

from orchestrator.errors import SweepError

Word = TypeVar("Word", bound=str)

MAX_SHOWN = 100
"""Findings that are printed; a file that is no spec can have tens of thousands."""

LONGEST = 500
"""Characters of a message; a fix that is longer is left out."""

WIDTH = 108
"""Columns of a quoted line or hint with its margin."""

MARGIN = 8
"""Columns before a quoted line or hint."""


class Severity(StrEnum):
    """Whether a spec can be run in spite of a finding."""

    ERROR = "error"  # no honest reading of the spec can be run
    WARNING = "warning"  # it can be run, but W&B would not do what its author means


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the spec's text, line and column from 1; or an option of the command line."""

    line: int
    column: int
    option: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem.

    Attributes:
        where: Dotted location, e.g. ``parameters.lr.min``; empty for the whole file.
        message: What is wrong, with the value.
        hint: What is allowed, or what to do; None when the message says it.
        fix: The corrected piece of YAML; None when nobody can know it.
        mark: Where it is; None for a spec that came as a dict.
    """

    severity: Severity
    where: str
    message: str
    hint: str | None = None
    fix: str | None = None
    mark: Mark | None = None


@dataclass(slots=True)
class Findings:
    """The findings of one reading, in the order of the text, each root cause once."""

    path: str
    lines: Sequence[str] = ()
    _found: dict[tuple[str, str, Mark | None], Finding] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        """Take a finding, its text made fit to print; a second one with the same place and message is dropped."""
        finding = replace(
            finding,
            where=_fit(finding.where),
            message=_fit(finding.message),
            hint=None if finding.hint is None else _fit(finding.hint),
            fix=None if finding.fix is None or len(finding.fix) > LONGEST else printable(finding.fix),
        )
        self._found.setdefault((finding.where, finding.message, finding.mark), finding)

    def sorted(self) -> tuple[Finding, ...]:
        """Return the findings by position; those without one come first."""
        return tuple(sorted(self._found.values(), key=lambda f: (f.mark.line, f.mark.column) if f.mark else (0, 0)))


class SpecError(SweepError):
    """A spec cannot be run. The message shows every finding with its line.

    Attributes:
        findings: All of them, errors and warnings.
    """

    def __init__(self, message: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


def unpainted(_role: str, text: str) -> str:
    """Return text as it is: how findings look where there are no colours."""
    return text


def render(
    path: str,
    findings: Iterable[Finding],
    lines: Sequence[str] = (),
    *,
    width: int = WIDTH,
    paint: Callable[[str, str], str] = unpainted,
) -> str:
    """Return findings as text for people, one block each, with the line and a caret where the text is known.

    Args:
        path: What the spec is called.
        findings: In the order in which they are shown.
        lines: The spec's text.
        width: Columns of a quoted line or hint with its margin.
        paint: Gives a piece of text the looks of its role: ``error``, ``warning``, ``place``, ``margin``, ``fix``.
    """
    found = list(findings)
    blocks = [_block(printable(path), finding, lines, width, paint) for finding in found[:MAX_SHOWN]]
    if len(found) > MAX_SHOWN:
        blocks.append(f"... and {len(found) - MAX_SHOWN:,} more")
    return "\n\n".join(blocks)


def near_miss(word: str, allowed: Iterable[Word]) -> Word | None:
    """Return the allowed word that `word` was probably meant to be, or None."""
    by_lower = {name.lower(): name for name in allowed}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def _block(path: str, finding: Finding, lines: Sequence[str], width: int, paint: Callable[[str, str], str]) -> str:
    severity, mark = str(finding.severity), finding.mark
    head = [paint("place", _place(path, mark)), paint(severity, severity), finding.where, finding.message]
    text = [": ".join(part for part in head if part)]
    if mark is not None and mark.option is None and 0 < mark.line <= len(lines):
        line, caret = _excerpt(lines[mark.line - 1], mark.column, max(width - MARGIN, 20))
        text.append(paint("margin", f"{mark.line:5} | ") + line)
        text.append(paint("margin", "      | ") + paint(severity, caret))
    if finding.hint:
        wrapped = textwrap.wrap(finding.hint, max(width - MARGIN, 20), break_long_words=False, break_on_hyphens=False)
        text += [paint("margin", "        " if i else "      = ") + line for i, line in enumerate(wrapped)]
    if finding.fix:
        text.append(paint("margin", "      = ") + "write: " + paint("fix", finding.fix))
    return "\n".join(text)


def _excerpt(line: str, column: int, width: int) -> tuple[str, str]:
    """Return the line, of a long one the part around the column, and a caret for below it."""
    line = line.rstrip()
    start = max(0, min(column - 1 - width // 2, len(line) - width))
    cut = "..." if start else ""
    shown = line[start + len(cut) : start + width]
    if start + width < len(line):
        shown = shown[:-3] + "..."
    before = line[start + len(cut) : column - 1]
    return cut + printable(shown), " " * (len(cut) + _columns(printable(before))) + "^"


def _columns(text: str) -> int:
    """Return how many columns a terminal needs for a text."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def _place(path: str, mark: Mark | None) -> str:
    if mark is None:
        return path
    return mark.option or f"{path}:{mark.line}:{mark.column}"


def _fit(text: str) -> str:
    return printable(text if len(text) <= LONGEST else text[: LONGEST - 3] + "...")


def printable(text: str) -> str:
    """Return text with every character that could drive a terminal as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
