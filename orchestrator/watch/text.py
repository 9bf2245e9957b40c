"""How values become text in a terminal: durations, numbers, configs, sparklines, and nothing that could drive it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.reporting.wording import clean, duration, number
from orchestrator.trial.contract.flat import flat

__all__ = ["BARS", "brief", "clean", "duration", "number", "sparkline", "table"]

BARS = "▁▂▃▄▅▆▇█"


def brief(config: Mapping[str, Any], *, width: int = 60) -> str:
    """Return ``lr=0.0031 batch_size=64 ...`` in at most `width` characters; nested names are joined with '.'."""
    parts = [f"{clean(name)}={number(v) if isinstance(v, float) else clean(str(v))}" for name, v in flat(config)]
    line = " ".join(parts)
    return line if len(line) <= width else line[: width - 1] + "…"


def sparkline(values: Sequence[float], *, width: int = 12) -> str:
    """Return the last `width` values as bars between their minimum and maximum; what is not finite is a blank."""
    shown = list(values)[-width:]
    finite = [v for v in shown if math.isfinite(v)]
    if not finite:
        return " " * len(shown)
    low, span = min(finite), max(finite) - min(finite)
    return "".join(" " if not math.isfinite(v) else BARS[_level(v - low, span)] for v in shown)


def _level(height: float, span: float) -> int:
    return len(BARS) // 2 if not 0 < span < math.inf else min(len(BARS) - 1, int(height / span * len(BARS)))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned columns; the last one is not padded. Empty when there are no rows."""
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]]
    return "\n".join(line.rstrip() for line in lines)
