"""What is wrong with a spec: findings with their place, reason and fix, and how they are printed."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.errors import SweepError


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
    _found: dict[tuple[str, str], Finding] = field(default_factory=dict)

    def add(self, finding: Finding) -> None:
        """Take a finding; a second one with the same place and message is dropped."""
        self._found.setdefault((finding.where, finding.message), finding)

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


def render(path: str, findings: Iterable[Finding], lines: Sequence[str] = ()) -> str:
    """Return findings as text for people, one block each, with the line and a caret where the text is known."""
    return "\n\n".join(_block(path, finding, lines) for finding in findings)


def near_miss(word: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed word that `word` was probably meant to be, or None."""
    by_lower = {name.lower(): name for name in allowed}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def _block(path: str, finding: Finding, lines: Sequence[str]) -> str:
    location = printable(finding.where)
    text = [f"{_place(path, finding.mark)}: {finding.severity}: {location}{': ' if location else ''}{finding.message}"]
    mark = finding.mark
    if mark is not None and mark.option is None and 0 < mark.line <= len(lines):
        line = printable(lines[mark.line - 1].rstrip())
        gutter = f"{mark.line:5} | "
        text.append(gutter + line[:160])
        text.append(" " * (len(gutter) - 2) + "| " + " " * (mark.column - 1) + "^")
    if finding.hint:
        text.append(f"      = {finding.hint}")
    if finding.fix:
        text.append(f"      = write: {finding.fix}")
    return "\n".join(text)


def _place(path: str, mark: Mark | None) -> str:
    if mark is None:
        return path
    return mark.option or f"{path}:{mark.line}:{mark.column}"


def printable(text: str) -> str:
    """Return text with every character that could drive a terminal as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
