"""Where a report goes besides the place its program sent it to: decided by what the program itself sends where.

What a program sends to two places is reported once and mirrored nowhere. So while a program uses both W&B and TensorBoard, a
row waits, until one of its names comes again: had the program wanted it in the other place, it would be there by now. A
program that uses only one of them has its rows mirrored at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from orchestrator.trial.contract.scalars import as_float32

WANDB, TENSORBOARD, MLFLOW, OWN = "wandb", "tensorboard", "mlflow", "own"
TARGETS = (WANDB, TENSORBOARD)
SOURCES = (*TARGETS, MLFLOW, OWN)

SERIES = frozenset({TENSORBOARD, MLFLOW})
"""Where what a program logs to W&B under the same name counts instead."""


class Row(NamedTuple):
    """Scalars of one step on their way to a place.

    Attributes:
        step: The step the program gave, or None.
        shown: The step they have where there must be one.
    """

    target: str
    metrics: Mapping[str, float]
    step: int | None
    shown: int


class _Waiting(NamedTuple):
    source: str
    metrics: Mapping[str, float]
    step: int | None
    shown: int


class Mirroring:
    """Decides what is new, and where it goes. Values in, values out."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._sources: set[str] = set()
        self._names: dict[str, set[str]] = {source: set() for source in SOURCES}
        self._mirrored: dict[str, set[str]] = {source: set() for source in SOURCES}
        self._last: dict[str, tuple[int | None, Mapping[str, float], str]] = {}
        self._waiting: list[_Waiting] = []

    def use(self, target: str) -> None:
        """Note that the program opened a run or a writer of its own."""
        self._used.add(target)

    def fresh(self, metrics: Mapping[str, float], step: int | None, source: str) -> Mapping[str, float]:
        """Return what of a call is new: another API has not brought the same value of the same name before.

        What W&B records is W&B's: nothing that was given to a `SummaryWriter` or to MLflow is left out of it, and what it has
        counts there.
        """
        self._names[source].update(metrics)
        if self._sources == {source}:  # most programs use one API
            self._last.update(dict.fromkeys(metrics, (step, metrics, source)))
            return metrics
        self._sources.add(source)
        return {name: value for name, value in metrics.items() if not self._is_repeated(name, step, value, source)}

    def take(self, metrics: Mapping[str, float], step: int | None, source: str, shown: int) -> list[Row]:
        """Return the rows to mirror now, in order, when a row of new values is complete."""
        mirrored = self._mirrored[source]
        again = not mirrored.isdisjoint(metrics)
        mirrored.update(metrics)
        is_complete = again or not self._used - {source}
        if is_complete and not self._waiting:
            return self._rows(metrics, step, source, shown) if metrics else []
        if metrics:
            self._waiting.append(_Waiting(source=source, metrics=metrics, step=step, shown=shown))
        return self.rest() if is_complete else []

    def alone(self) -> Mirroring:
        """Return what a process that the program forked knows: the rows that wait are its parent's."""
        found = Mirroring()
        found._used, found._sources = set(self._used), set(self._sources)
        found._names = {source: set(names) for source, names in self._names.items()}
        return found

    def rest(self) -> list[Row]:
        """Return the rows that waited."""
        waiting, self._waiting = self._waiting, []
        return [row for each in waiting for row in self._rows(each.metrics, each.step, each.source, each.shown)]

    def _rows(self, metrics: Mapping[str, float], step: int | None, source: str, shown: int) -> list[Row]:
        rows = []
        for target in TARGETS:
            if target == source:
                continue
            there = self._names[target]
            missing = {name: value for name, value in metrics.items() if name not in there} if there else metrics
            if missing:
                rows.append(Row(target, missing, step, shown))
        return rows

    def _is_repeated(self, name: str, step: int | None, value: float, source: str) -> bool:
        """Whether another API brought the same value before; event files keep it in single precision."""
        if source in SERIES and name in self._names[WANDB]:
            return True
        last = self._last.get(name)
        self._last[name] = (step, {name: value}, source)
        if last is None or last[2] == source or not _same(as_float32(last[1][name]), as_float32(value)):
            return False
        if source == WANDB and last[2] in SERIES:
            return False
        return last[0] == step or step is None or last[0] is None


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))
