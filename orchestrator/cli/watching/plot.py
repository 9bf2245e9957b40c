"""Curves as text: lines of braille dots with axes, each curve in a colour and with its name."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.text import Text

from orchestrator.reporting.wording import number

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot of a braille character, by line and column."""

BRAILLE = 0x2800
REACH = 3.0
"""Values further beyond the quartiles than this many times their distance are drawn at the edge: diverged trials."""

NARROWEST = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A line: its points from left to right, and the colour that it has."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class _Range:
    low: float
    high: float

    def place(self, value: float, n: int) -> int:
        """Which of n dots stands for a value; what lies outside is at the edge."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return max(0, min(n - 1, round(share * (n - 1))))


def plot(curves: Sequence[Curve], *, width: int, height: int, muted: str, along: str) -> Text:
    """Return the curves in at most `height` lines of `width` cells; the last line says what runs along.

    What is not finite is a gap.
    """
    drawn = [(c, [(x, y) for x, y in c.points if math.isfinite(x)]) for c in curves]
    finite = sorted(y for _, points in drawn for _, y in points if math.isfinite(y))
    if not finite:
        return Text("nothing to draw yet", style=muted)
    heights = _heights(finite)
    along_range = _Range(
        min(x for _, points in drawn for x, _ in points), max(x for _, points in drawn for x, _ in points)
    )
    top, bottom = number(heights.high, 4), number(heights.low, 4)
    margin = max(len(top), len(bottom)) + 1
    n_columns, n_lines = max(NARROWEST, width - margin - 1), max(2, height - 2)
    canvas = _Canvas(n_columns, n_lines)
    for curve, points in drawn:
        canvas.draw([(along_range.place(x, 2 * n_columns), y) for x, y in points], heights, curve.colour)
    lines = [_legend(curves, width, muted)]
    for i, line in enumerate(canvas.lines()):
        label = top if i == 0 else bottom if i == n_lines - 1 else ""
        lines.append(Text.assemble((f"{label:>{margin - 1}} ", muted), ("│", muted), line))
    low, high = number(along_range.low, 6), number(along_range.high, 6)
    middle = along.center(max(0, n_columns - len(low) - len(high)))
    lines.append(Text(" " * (margin + 1) + low + middle + high, style=muted))
    for line in lines:
        line.truncate(width)
    return Text("\n").join(lines[:height] if height > 2 else lines[:1])


def _heights(ordered: Sequence[float]) -> _Range:
    q1, q3 = (ordered[round(q * (len(ordered) - 1))] for q in (0.25, 0.75))
    reach = REACH * (q3 - q1) or math.inf
    return _Range(max(ordered[0], q1 - reach), min(ordered[-1], q3 + reach))


def _legend(curves: Sequence[Curve], width: int, muted: str) -> Text:
    line = Text()
    for curve in curves:
        last = next((y for _, y in reversed(curve.points) if math.isfinite(y)), None)
        line.append("● ", style=curve.colour).append(f"{curve.name} ").append(f"{number(last, 4)}  ", style=muted)
    line.truncate(width, overflow="ellipsis")
    return line


class _Canvas:
    """Braille characters, each in the colour of what was drawn there last."""

    def __init__(self, n_columns: int, n_lines: int) -> None:
        self._n_lines = n_lines
        self._bits = [[0] * n_columns for _ in range(n_lines)]
        self._colours = [[""] * n_columns for _ in range(n_lines)]

    def draw(self, points: Sequence[tuple[int, float]], heights: _Range, colour: str) -> None:
        """Draw a line through points, given by their dots to the right and their values."""
        n_dots, before = 4 * self._n_lines, None
        for x, y in points:
            if not math.isfinite(y):
                before = None
                continue
            now = (x, n_dots - 1 - heights.place(y, n_dots))
            self._line(before or now, now, colour)
            before = now

    def _line(self, start: tuple[int, int], end: tuple[int, int], colour: str) -> None:
        (x0, y0), (x1, y1) = start, end
        n = max(abs(x1 - x0), abs(y1 - y0), 1)
        for i in range(n + 1):
            x, y = round(x0 + (x1 - x0) * i / n), round(y0 + (y1 - y0) * i / n)
            self._bits[y // 4][x // 2] |= DOTS[y % 4][x % 2]
            self._colours[y // 4][x // 2] = colour

    def lines(self) -> list[Text]:
        """Return what was drawn."""
        return [
            Text.assemble(*_runs("".join(chr(BRAILLE + b) if b else " " for b in bits), colours))
            for bits, colours in zip(self._bits, self._colours, strict=True)
        ]


def _runs(text: str, colours: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the parts of a text that have one colour: what each part costs to show adds up."""
    first = 0
    for colour, cells in groupby(colours):
        last = first + len(list(cells))
        yield text[first:last], colour
        first = last
