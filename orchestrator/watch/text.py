"""How values become text in a terminal: configs, sparklines, tables, as wide as it is."""

import math
import os
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from orchestrator.ledger.records import TrialRecord, says_more
from orchestrator.printable import clean
from orchestrator.reporting.wording import number
from orchestrator.trial.contract.flat import flat

BARS = "▁▂▃▄▅▆▇█"


WIDTH_ELSEWHERE = 120
"""Columns of what is no terminal: a file, a pipe."""


def terminal_width() -> int:
    """Return the columns there are: COLUMNS, else the terminal's."""
    return shutil.get_terminal_size((WIDTH_ELSEWHERE, 24)).columns


class Sized(Protocol):
    """What may go to a terminal."""

    def fileno(self) -> int:
        """Return its descriptor."""


def stale_size(stream: Sized) -> tuple[str, ...]:
    """Return the variables that say how large the terminal was once, which what is redrawn in it must not go by.

    None where the terminal does not say its size itself.
    """
    try:
        says_itself = all(os.get_terminal_size(stream.fileno()))
    except (OSError, ValueError):  # it is no terminal, or closed
        says_itself = False
    return ("COLUMNS", "LINES") if says_itself else ()


def cut(text: str, width: int) -> str:
    """Return the text in at most `width` characters; an ellipsis stands for what is left out."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def folded(text: str, *, indent: int = 2, hanging: int = 4) -> list[str]:
    """Return a sentence as lines that fit the terminal, the first and further ones indented. None of an empty one."""
    return textwrap.wrap(
        text,
        max(40, terminal_width()),
        initial_indent=" " * indent,
        subsequent_indent=" " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


FLAT = 0.02
"""A curve that moves by less than this share of its values is drawn flat."""

DIGITS = 5
"""Of a number, unless two configs need more to be told apart."""


def row_of(trial: TrialRecord) -> str:
    """Return the row that a trial's value is of, with the script's step where that is more than a count of rows."""
    if trial.step is None:
        return "-" if trial.value is None else "summary"
    own_step = trial.own_step if says_more(trial.own_step, trial.step) else None
    return f"{trial.step}" if own_step is None else f"{trial.step} (step {own_step})"


def brief(config: Mapping[str, Any], *, width: int = 60, digits: int = DIGITS) -> str:
    """Return ``lr=0.0031 batch_size=64 ...`` in at most `width` characters; nested names are joined with '.'."""
    shown = [(clean(name), number(v, digits) if isinstance(v, float) else clean(str(v))) for name, v in flat(config)]
    line = " ".join(f"{name}={value}" for name, value in shown)
    return cut(line, width)


def briefs(configs: Sequence[Mapping[str, Any]], *, width: int = 60) -> list[str]:
    """Return `brief` of each, in as many digits as tell apart what differs."""
    digits = next((d for d in range(DIGITS, 17) if _are_told_apart(configs, d)), 17)
    return [brief(config, width=width, digits=digits) for config in configs]


def _are_told_apart(configs: Sequence[Mapping[str, Any]], digits: int) -> bool:
    as_shown = {brief(config, width=10_000, digits=digits) for config in configs}
    return len(as_shown) == len({brief(config, width=10_000, digits=17) for config in configs})


def sparkline(values: Sequence[float], *, width: int = 12) -> str:
    """Return a curve as at most `width` bars; what is not finite is a blank."""
    return sparklines([values], width=width)[0]


def sparklines(curves: Sequence[Sequence[float]], *, width: int = 12) -> list[str]:
    """Return curves as bars on one scale: each can be compared with the others, and one that hardly moves looks flat.

    The scale is where most values lie; the bars of others are the lowest and the highest.
    """
    shown = [_thinned(curve, width) for curve in curves]
    finite = sorted(v for curve in shown for v in curve if math.isfinite(v))
    if not finite:
        return [" " * len(curve) for curve in shown]
    low, span = _scale(finite)
    return ["".join(" " if not math.isfinite(v) else BARS[_level(v - low, span)] for v in curve) for curve in shown]


def _thinned(values: Sequence[float], width: int) -> list[float]:
    """As many values as there is room for, evenly, the last one among them."""
    n = len(values)
    return list(values) if n <= width else [values[(i + 1) * n // width - 1] for i in range(width)]


def _scale(ordered: Sequence[float]) -> tuple[float, float]:
    """The low end and the span of the bars."""
    q1, q3 = (ordered[round(q * (len(ordered) - 1))] for q in (0.25, 0.75))
    reach = 3 * (q3 - q1) or math.inf
    low, high = max(ordered[0], q1 - reach), min(ordered[-1], q3 + reach)
    least = FLAT * max(abs(low), abs(high))
    if high - low >= least:
        return low, high - low
    return (low + high) / 2 - least * (len(BARS) // 2 + 0.5) / len(BARS), least  # around the middle of the middle bar


def _level(height: float, span: float) -> int:
    if not 0 < span < math.inf:
        return len(BARS) // 2
    return max(0, min(len(BARS) - 1, int(min(1.0, max(0.0, height / span)) * len(BARS))))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned columns; the last one is not padded. Empty when there are no rows."""
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]]
    return "\n".join(line.rstrip() for line in lines)
