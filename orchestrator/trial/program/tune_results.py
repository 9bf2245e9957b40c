"""What Ray Tune makes of a result: the keys it fills in by itself, and when a result is a trial's last."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from orchestrator.trial.contract.flat import flat
from orchestrator.trial.contract.scalars import flat_scalars, scalar

ITERATION, TIME_TOTAL_S, TIMESTEPS_TOTAL, EPISODES_TOTAL = COUNTED = (
    "training_iteration", "time_total_s", "timesteps_total", "episodes_total",
)  # fmt: skip
"""What a further attempt counts on from its checkpoint."""

AUTOMATIC = frozenset(
    {
        *COUNTED, "trial_id", "date", "timestamp", "pid", "hostname", "node_ip", "time_since_restore", "time_this_iter_s",
        "iterations_since_restore", "timesteps_since_restore", "checkpoint_dir_name",
    }
)  # fmt: skip
"""What Tune adds to a result by itself: a metric only where the program reports it too, or the sweep asks for it."""

SIGNS = frozenset({"done", "should_checkpoint", "config", "__duplicate__"})
"""What a result says to Tune: no metrics."""


class Progress:
    """The counts of a trial whose program calls `tune.report`: a class counts by itself.

    Args:
        counts: Those of the checkpoint that it goes on from.
    """

    def __init__(self, counts: Mapping[str, float]) -> None:
        self._iteration = int(counts.get(ITERATION, 0))
        self._time_total_s = counts.get(TIME_TOTAL_S, 0.0)
        self._totals = {name: counts.get(name) for name in (TIMESTEPS_TOTAL, EPISODES_TOTAL)}
        self._since_s = time.monotonic()

    def complete(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Count one more result; return it with what Tune fills in: of the program's own counts some stay, as with Tune."""
        now_s = time.monotonic()
        took_s = scalar(metrics.get("time_this_iter_s"))
        took_s = now_s - self._since_s if took_s is None else took_s
        self._since_s = now_s
        self._iteration += 1
        self._time_total_s += took_s
        for total in self._totals:
            more = scalar(metrics.get(total.replace("_total", "_this_iter")))
            if more is not None:
                self._totals[total] = (self._totals[total] or 0) + more
        known = {name: value for name, value in self._totals.items() if value is not None}
        return {ITERATION: self._iteration, **known, **metrics, TIME_TOTAL_S: self._time_total_s}


def counts_of(result: Mapping[str, Any]) -> dict[str, float]:
    """Return what is counted on from a checkpoint that was made with this result."""
    numbers = {name: number for name in COUNTED if (number := scalar(result.get(name))) is not None}
    return {
        name: int(number) if name != TIME_TOTAL_S and number.is_integer() else number
        for name, number in numbers.items()
    }


def metrics_of(result: Mapping[str, Any], reported: Collection[str], wanted: str | None) -> dict[str, float]:
    """Return a result's metrics by flat name, nested ones joined with ``/`` as Tune does.

    Args:
        result: A complete result.
        reported: The keys that the program itself reported.
        wanted: The sweep's metric, which may be one that Tune fills in.
    """
    kept = {name: value for name, value in result.items() if name in reported and name not in SIGNS}
    if wanted is not None and wanted in AUTOMATIC and wanted in result:
        kept[wanted] = result[wanted]
    return _flat(kept)


def reached(result: Mapping[str, Any], stop: Mapping[str, float]) -> bool:
    """Return whether a result is its trial's last: it says `done`, or a value is at or above its limit in `stop`."""
    values = _flat(result)
    return bool(result.get("done")) or any(values[name] >= limit for name, limit in stop.items() if name in values)


def step_of(result: Mapping[str, Any], before: int) -> int:
    """Return the step of a result: its iteration; one of the program's own that does not rise is counted for it.

    Args:
        result: A complete result.
        before: The step of the result before it.
    """
    number = scalar(result.get(ITERATION))
    own = None if number is None or not number.is_integer() else int(number)
    return own if own is not None and own > before else before + 1


def _flat(data: Mapping[Any, Any]) -> dict[str, float]:
    return flat_scalars(dict(flat(data, joint="/")))
