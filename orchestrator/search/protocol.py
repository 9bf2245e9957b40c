"""The seam of the search: what a strategy is told, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeAlias, runtime_checkable

Config: TypeAlias = Mapping[str, Any]
"""A trial's config, nested as the spec nests it."""


class Outcome(StrEnum):
    """How an observed trial ended, as far as the search cares."""

    FINISHED = "finished"
    STOPPED = "stopped"  # early; its scores are what it showed until then
    FAILED = "failed"  # no usable score


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A trial that has ended.

    Attributes:
        number: The trial's number in the sweep; negative for trials of a prior sweep.
        scores: One score per objective, lower is better, all finite; empty when the trial failed or the sweep has none.
        order: Position in the order of completion, from 0.
    """

    number: int
    config: Config
    outcome: Outcome
    scores: tuple[float, ...] = ()
    order: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A trial that was launched and has not ended."""

    number: int
    config: Config


class Search(Protocol):
    """A strategy. A pure function of its constructor's arguments (spec, space, seed) and of what it is told here.

    Implementations may cache, but two instances given the same arguments answer the same, whatever they were asked
    before. Called from one thread at a time, not always the same one.
    """

    def suggest(self, number: int, observations: Sequence[Observation], pending: Sequence[Pending]) -> Config | None:
        """Return the config of trial `number`, or None when the space is exhausted.

        Args:
            number: The next trial's number; equals the count of trials already handed out.
            observations: Every ended trial, in order of completion, prior trials first.
            pending: Every trial that has not ended, by number.
        """
        ...


@runtime_checkable
class BatchSearch(Search, Protocol):
    """A strategy that can answer for several trials in little more time than for one."""

    def suggest_batch(
        self, number: int, observations: Sequence[Observation], pending: Sequence[Pending], n: int
    ) -> list[Config | None]:
        """Return the configs of the trials from `number` on: one to `n`, or None alone when the space is exhausted.

        The first is what `suggest` returns.
        """
        ...


def suggest_batch(
    search: Search, number: int, observations: Sequence[Observation], pending: Sequence[Pending], n: int
) -> list[Config | None]:
    """Return the configs of the trials from `number` on: at least one, at most `n`, as many as cost little more than one."""
    if n > 1 and isinstance(search, BatchSearch):
        return search.suggest_batch(number, observations, pending, n)
    return [search.suggest(number, observations, pending)]
