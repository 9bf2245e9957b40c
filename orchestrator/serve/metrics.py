"""Every metric of some trials as lines: positions and values."""

import math
from collections.abc import Sequence
from typing import Any

from orchestrator.ledger.reader import LedgerReader
from orchestrator.printable import clean

MOST_METRICS = 200
"""Metrics of a trial that have a chart: some log one per layer."""

Line = tuple[list[int], list[float | None]]
"""Positions from 1, and the value at each; None for what is no finite number."""


def lines_of(reader: LedgerReader, trial: int) -> dict[str, Line]:
    """Return what is kept of every metric that a trial reported, by name.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    found: dict[str, Line] = {}
    for row in reader.metric_rows(trial):
        name = clean(row.name)
        if name not in found and len(found) >= MOST_METRICS:
            continue
        positions, values = found.setdefault(name, ([], []))
        positions.append(row.report + 1)
        values.append(float(f"{row.value:.5g}") if math.isfinite(row.value) else None)
    return found


def charts(lines: Sequence[dict[str, Line]], first: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return a chart per metric, with a line per trial or none; the objectives' first, then by name."""
    names = sorted({name for each in lines for name in each}, key=lambda name: (name not in first, name))
    return [{"name": name, "lines": [each.get(name) for each in lines]} for name in names]
