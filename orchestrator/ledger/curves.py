"""The objectives' values of a trial, in memory beside the ledger: what the best and the rules are computed from."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestrator.search.protocol import Shown
from orchestrator.stopping.protocol import Curve

if TYPE_CHECKING:
    from orchestrator.spec.model import SweepSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """How a metric becomes a score: `sign` is -1 where higher is better; `last` takes the last value, not the best."""

    name: str
    sign: float
    last: bool


def objectives_of(spec: "SweepSpec") -> tuple[Objective, ...]:
    """Return how the spec's metrics become scores."""
    last = spec.options.objective == "last"
    return tuple(Objective(name=metric.name, sign=metric.goal.sign, last=last) for metric in spec.objectives)


@dataclass(slots=True)
class Values:
    """The values of one objective in one trial, in order.

    A new attempt replaces the values from its first step on. So a trial that starts over begins anew, and one that goes
    on from a checkpoint continues its curve.

    Attributes:
        scores: The finite values, turned so that lower is better.
        standing: The score that stands for the trial, and which value it was (from 1, None for the summary's); None without
            a finite value.
        summary: The score in the summary that the program made itself, as W&B counts it too; no part of the curve.
        diverged_at: Position of the first value that was not finite, from 0.
    """

    objective: Objective
    scores: list[float] = field(default_factory=list)
    standing: tuple[float, int | None] | None = None
    summary: float | None = None
    diverged_at: int | None = None
    _steps: list[int | None] = field(default_factory=list)
    _values: list[float] = field(default_factory=list)

    def add(self, step: int | None, value: float) -> int:
        """Append a value and return its position, from 0."""
        position = len(self._values)
        self._steps.append(step)
        self._values.append(value)
        if not math.isfinite(value):
            self.diverged_at = position if self.diverged_at is None else self.diverged_at
            return position
        score = self.objective.sign * value
        self.scores.append(score)
        if self.objective.last or self.standing is None or score < self.standing[0]:
            self.standing = (score, position + 1)
        return position

    def summarize(self, value: float | None) -> None:
        """Take the value in the trial's summary, now that no further one comes: the last, and maybe the best. None for none."""
        if self.summary is not None:
            self.rewind_to(len(self._values))
        self.summary = None if value is None or not math.isfinite(value) else self.objective.sign * value
        if self.summary is not None and (
            self.objective.last or self.standing is None or self.summary < self.standing[0]
        ):
            self.standing = (self.summary, None)

    def step_at(self, position: int | None) -> int | None:
        """Return the step that came with the n-th value, from 1; None where none did."""
        return None if position is None else self._steps[position - 1]

    def rewind(self, step: int | None) -> int:
        """Drop what a new attempt that begins at `step` repeats; return how many values are left."""
        keep = 0
        if step is not None:
            keep = next((i for i, s in enumerate(self._steps) if s is None or s >= step), len(self._steps))
        self.rewind_to(keep)
        return keep

    def rewind_to(self, keep: int) -> None:
        """Drop all but the first values, and the summary's."""
        kept = list(zip(self._steps[:keep], self._values[:keep], strict=True))
        self.scores, self.standing, self.diverged_at, self._steps, self._values = [], None, None, [], []
        self.summary = None
        for old_step, value in kept:
            self.add(old_step, value)

    def rows(self) -> list[tuple[int, float]]:
        """Return (step, value) of every value, as the user knows it; the position is the step where none was given."""
        steps = (position if step is None else step for position, step in enumerate(self._steps))
        return list(zip(steps, self._values, strict=True))

    def shown(self) -> Shown | None:
        """Return what a search may know of the trial besides its score; None without a finite value."""
        known = self.scores if self.summary is None else [*self.scores, self.summary]
        if not known:
            return None
        return Shown(best=min(known), worst=max(known), latest=self.scores[-1] if self.scores else None)

    def curve(self, *, running: bool) -> Curve:
        """Return what a stopping rule may know of the trial; its scores grow with this object."""
        return Curve(scores=self.scores, running=running, diverged_at=self.diverged_at)
