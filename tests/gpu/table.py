"""The table of all checks, as text and as data: pure."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.gpu.judging import Limits, judge
from tests.gpu.plan import Planned

WIDTH = 118
DRY_RUN = "DRY RUN ON THE CPU: the checks were tried, with NVML faked. This proves nothing about any GPU."


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a check came to.

    Attributes:
        took_s: Seconds it ran; None when it did not begin.
        problem: Why it did not come to its end, None if it did.
    """

    planned: Planned
    figures: Mapping[str, Any]
    took_s: float | None = None
    problem: str | None = None


def result(row: Row, limits: Limits) -> dict[str, Any]:
    """Return a row as data, judged."""
    verdict = judge(row.planned.name, row.figures, limits)
    failures = [*([row.problem] if row.problem else []), *verdict.failures]
    return {
        "name": row.planned.name,
        "item": row.planned.item,
        "title": row.planned.title,
        "passed": not failures,
        "seconds": row.took_s,
        "failures": failures,
        "shown": list(verdict.shown),
        "figures": dict(row.figures),
    }


def text(results: Sequence[Mapping[str, Any]], *, card: str, is_dry: bool, took_s: float) -> str:
    """Return the table for people."""
    lines = [DRY_RUN if is_dry else f"Checks on {card}", ""]
    for r in sorted(results, key=lambda r: r["item"]):
        took = "" if r["seconds"] is None else f"{r['seconds']:.0f} s"
        lines.append(f"{'pass' if r['passed'] else 'FAIL'}  {r['item']}  {r['name']:15} {took:>6}  {r['title']}")
        lines += _below([f"failed: {failure}" for failure in r["failures"]] + _shown(r))
    n_passed = sum(r["passed"] for r in results)
    lines += ["", f"{n_passed} of {len(results)} checks passed in {took_s:.0f} s"]
    return "\n".join([*lines, *([DRY_RUN] if is_dry else [])]) + "\n"


def _shown(r: Mapping[str, Any]) -> list[str]:
    return [line for line in r["shown"] if line not in r["failures"]]


def _below(lines: list[str]) -> list[str]:
    indent = " " * 33
    return [
        part
        for line in lines
        for part in textwrap.wrap(line, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ")
    ]
