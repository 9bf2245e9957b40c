"""The history of a trial: what its attempts reported, joined, without what was repeated or taken back. Values in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from orchestrator.trial.contract.events import Report


def joined(attempts: Iterable[Sequence[Report]]) -> list[Report]:
    """Return the rows of a trial, as the ledger counts them.

    An attempt replaces what it repeats: the values of a metric from the step on at which it first reports that metric; all of
    them where it gives no step. What a program takes back (a `SummaryWriter` that purges) is left out.

    Args:
        attempts: The reports of each attempt in order, the first attempt first.
    """
    history = _History()
    for reports in attempts:
        seen: set[str] = set()
        for report in reports:
            for name in report.purged:
                history.drop(name, report.step)
            for name in report.metrics.keys() - seen:
                history.drop(name, report.step)
            seen.update(report.metrics)
            history.add(report)
    return history.rows()


class _History:
    def __init__(self) -> None:
        self._reports: list[Report] = []
        self._metrics: list[dict[str, float]] = []
        self._places: dict[str, list[int]] = {}

    def add(self, report: Report) -> None:
        for name in report.metrics:
            self._places.setdefault(name, []).append(len(self._reports))
        self._reports.append(report)
        self._metrics.append(dict(report.metrics))

    def drop(self, name: str, step: int | None) -> None:
        """Drop a metric's values from the first one on that has this step, a later one or none."""
        places = self._places.get(name, [])
        steps = [self._reports[place].step for place in places]
        keep = 0 if step is None else next((i for i, s in enumerate(steps) if s is None or s >= step), len(places))
        for place in places[keep:]:
            del self._metrics[place][name]
        del places[keep:]

    def rows(self) -> list[Report]:
        kept = [(report, metrics) for report, metrics in zip(self._reports, self._metrics) if metrics]
        return [replace(report, index=i, metrics=metrics, purged=()) for i, (report, metrics) in enumerate(kept)]
