"""The seam of the search: what a strategy is told, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
class Shown:
    """What a trial showed of one objective, however it ended: scores, lower is better, finite.

    Attributes:
        latest: Its last report; None when it has the score in its summary alone.
    """

    best: float
    worst: float
    latest: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A trial that has ended.

    Attributes:
        number: The trial's number in the sweep; negative for trials of a prior sweep.
        scores: One score per objective, lower is better, all finite; empty when the trial failed or the sweep has none.
        order: Position in the order of completion, from 0.
        shown: By objective, None for one that it never reported; empty where nobody asks for it.
    """

    number: int
    config: Config
    outcome: Outcome
    scores: tuple[float, ...] = ()
    order: int = 0
    shown: tuple[Shown | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A trial that was launched and has not ended.

    Attributes:
        running: Whether a worker has it.
        shown: As in an observation, so far.
    """

    number: int
    config: Config
    running: bool = False
    shown: tuple[Shown | None, ...] = ()


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


Row: TypeAlias = tuple[int, float]
"""A step and the value of the first objective there, as the user knows it; NaN and infinities too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The sweep that a search is made for, as far as a user's own code may ask.

    Attributes:
        cwd: The directory that the user's files are looked for in; None for the current one.
        rehearsal: Whether nothing may be left behind: the search is looked at (`check`, `plan`) and not run.
        memory: Of a sweep that goes on, what its search wanted kept (`Memory.search`).
    """

    id: str = ""
    name: str = ""
    entity: str = ""
    project: str = ""
    cwd: str | None = None
    rehearsal: bool = False
    memory: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a keeper wants kept in the ledger, as text that only it can read.

    Attributes:
        trials: By the trial's number in the sweep, those that changed.
        search: Its own state, None when that is as it was.
    """

    trials: Mapping[int, str] = field(default_factory=dict)
    search: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A trial as the ledger has it.

    Attributes:
        record: What the keeper wanted kept of it; None for a trial that it never saw.
        rows: What it has reported so far.
        over: Whether it has ended.
    """

    number: int
    config: Config
    record: str | None
    rows: Sequence[Row] = ()
    over: bool = False


class NotYet(Exception):  # noqa: N818 - nothing is wrong
    """A keeper wants results of running trials before it proposes more."""


@runtime_checkable
class Keeper(Search, Protocol):
    """A strategy that keeps a study: it knows each trial by its number and is told what happens to it.

    Everything it is told may be told twice. `restore` comes first, if at all; then what it answers follows from what the
    ledger holds. Called from one thread at a time.

    `suggest` may raise `NotYet`, and is then asked again when a trial has ended.

    Attributes:
        over: Why nothing more is proposed, in words; None while there is no such reason.
    """

    over: str | None

    def restore(self, memory: str | None, trials: Sequence[Remembered]) -> None:
        """Take up the study where a ledger left it."""
        ...

    def report(self, number: int, rows: Sequence[Row]) -> str | None:
        """Take rows of a running trial; return why it should end now, None when it may go on."""
        ...

    def tell(self, observation: Observation) -> None:
        """Take the end of a trial."""
        ...

    def again(self, number: int) -> None:
        """Let a trial that is over begin once more, with the same config: its next end is told as well."""
        ...

    def forget(self, number: int) -> None:
        """Give up a proposal that will never be run."""
        ...

    def abandon(self) -> None:
        """Leave nothing behind: the sweep has not begun and never will."""
        ...

    def remember(self) -> Memory:
        """Return what has changed since the last call."""
        ...

    def remarks(self) -> Sequence[str]:
        """Return what the user should know, once each."""
        ...
