"""Every metric of some trials as lines: positions and values."""

import math
from collections.abc import Sequence
from typing import Any

from orchestrator.ledger.reader import LedgerReader
from orchestrator.printable import clean
from orchestrator.trial.contract.resource_use import Look, Use

MOST_METRICS = 200
"""Metrics of a trial that have a chart: some log one per layer."""

MOST_LOOKS = 400
"""Points of a curve of what a trial used, and less than half of them where there are more."""

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


def use_charts(seen: Sequence[Look]) -> list[dict[str, Any]]:
    """Return a chart per number of what a trial's latest attempt used, by the seconds since it began, with one line each."""
    latest = [look.now for look in seen if look.attempt == seen[-1].attempt]
    latest = latest[:: 1 + len(latest) // MOST_LOOKS]
    found: dict[str, Line] = {}
    for use in latest:
        for name, value in _uses(use).items():
            seconds, values = found.setdefault(name, ([], []))
            seconds.append(round(use.seconds))
            values.append(float(f"{value:.4g}"))
    return [{"name": name, "lines": [line]} for name, line in found.items()]


def _uses(use: Use) -> dict[str, float]:
    found: dict[str, float | None] = {"CPU cores": use.cpus, "memory (RSS), GiB": use.rss_bytes / 2**30}
    for gpu in use.gpus:
        name = f"GPU {clean(gpu.gpu)}"
        found[f"{name} busy, %"] = None if gpu.busy is None else 100 * gpu.busy
        found[f"{name} memory{' in all' if gpu.own_bytes is None else ''}, GiB"] = gpu.memory_bytes / 2**30
        found[f"{name} power, W"] = gpu.power_w
    return {name: value for name, value in found.items() if value is not None}
