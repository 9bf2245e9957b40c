"""Every combination of listed values in W&B's order, made one at a time: a grid may be too large to be written out."""

import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from orchestrator.errors import SearchSpaceError
from orchestrator.space.axis import Axis, is_number, shown
from orchestrator.space.discrete import Choice, Integer
from orchestrator.space.nesting import MISSING, value_at
from orchestrator.space.search_space import SearchSpace
from orchestrator.spec.model import Interval, Json, Kind, Leaf


class Column(Protocol):
    """The distinct values of one parameter, in the order in which the grid visits them."""

    @property
    def n(self) -> int:
        """The count of values."""
        ...

    def value(self, i: int) -> Json:
        """Return value `i`, in [0, n)."""
        ...

    def position(self, value: Json) -> int | None:
        """Return the i of a value, None if it is none of them."""
        ...


@dataclass(frozen=True)
class Listed:
    """Values as listed. Equal ones (1 and 1.0) are visited once: where the first stands, as the last is written."""

    choice: Choice

    @property
    def n(self) -> int:
        """The count of distinct values."""
        return len(self._values)

    def value(self, i: int) -> Json:
        """Return value `i`."""
        return self._values[i]

    def position(self, value: Json) -> int | None:
        """Return the i of a value, None if it is not listed."""
        return self._positions.get(self.choice.identify(value))

    @cached_property
    def _values(self) -> tuple[Json, ...]:
        return tuple({self.choice.identify(value): value for value in self.choice.values}.values())

    @cached_property
    def _positions(self) -> dict[Hashable, int]:
        return {self.choice.identify(value): i for i, value in enumerate(self._values)}


@dataclass(frozen=True, slots=True)
class Stepped:
    """``start + i step`` for i in [0, n), with the rounding of ``numpy.arange``."""

    start: int | float
    step: int | float
    n: int

    @classmethod
    def arange(cls, start: float, stop: float, q: float) -> "Stepped":
        """Return the values of ``numpy.arange(start, stop, q)``: `stop` is excluded; ints if all three are.

        Raises:
            OverflowError: There are more values than floats can tell apart.
        """
        if isinstance(start, int) and isinstance(stop, int) and isinstance(q, int):
            return cls(start, q, -((start - stop) // q))
        step = (start + q) - start
        if step == 0:
            raise OverflowError("the step is lost in rounding")
        return cls(float(start), step, math.ceil((stop - start) / q))

    def value(self, i: int) -> Json:
        """Return value `i`; the first is `start` itself, also where that is -0.0."""
        return self.start + i * self.step if i else self.start

    def position(self, value: Json) -> int | None:
        """Return the i of a value, None if it is none of them."""
        if not is_number(value) or not self.start <= value <= self.value(self.n - 1):
            return None
        i = self._nearest(value)
        return i if self.value(i) == value else None

    def _nearest(self, value: float) -> int:
        if isinstance(self.start, int) and isinstance(self.step, int):
            return (int(value) - self.start) // self.step
        return round((value - self.start) / self.step)


@dataclass(frozen=True, slots=True)
class Grid:
    """All configs of a grid search: parameters in alphabetical order at each level, the last one varying fastest."""

    space: SearchSpace
    columns: tuple[Column, ...]

    @classmethod
    def of(cls, space: SearchSpace) -> "Grid":
        """Return the grid over a space.

        Raises:
            SearchSpaceError: A parameter has a distribution that a grid cannot enumerate.
        """
        return cls(space, tuple(_column(axis, leaf) for axis, leaf in zip(space.axes, space.leaves, strict=True)))

    @property
    def size(self) -> int:
        """The number of configs; ``len(grid)`` is the same but limited to 2^63."""
        return math.prod(column.n for column in self.columns)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, i: int) -> dict[str, Json]:
        """Return config `i`, in [0, size).

        Raises:
            IndexError: `i` is outside that range.
        """
        if not 0 <= i < self.size:
            raise IndexError(f"grid index {i} is outside [0, {self.size})")
        values: list[Json] = []
        for column in reversed(self.columns):
            i, position = divmod(i, column.n)
            values.append(column.value(position))
        return self.space.assemble(values[::-1])

    def __iter__(self) -> Iterator[dict[str, Json]]:
        i = 0
        while i < self.size:
            yield self[i]
            i += 1

    def index(self, config: Mapping[str, Any]) -> int:
        """Return the i of a config; keys that the space does not know are ignored.

        Raises:
            SearchSpaceError: A value is missing or not on the grid; the message names the parameter and the value.
        """
        i = 0
        for axis, column in zip(self.space.axes, self.columns, strict=True):
            i = i * column.n + _position(axis, column, value_at(config, axis.path))
        return i

    def __contains__(self, config: Mapping[str, Any]) -> bool:
        try:
            self.index(config)
        except SearchSpaceError:
            return False
        return True


def _position(axis: Axis, column: Column, value: Json) -> int:
    position = None if value is MISSING else column.position(value)
    if position is None:
        problem = "is missing" if value is MISSING else f"{shown(value)} is not on the grid"
        raise SearchSpaceError(f"parameter {axis.name}: {problem} ({column.n} values, first {shown(column.value(0))})")
    return position


def _column(axis: Axis, leaf: Leaf) -> Column:
    if isinstance(axis, Choice) and axis.probabilities is None:
        return Listed(axis)
    if isinstance(axis, Integer):
        return Stepped(axis.low, 1, axis.n_values)
    if isinstance(leaf, Interval) and leaf.kind is Kind.Q_UNIFORM:
        return _arange(axis, leaf)
    raise SearchSpaceError(
        f"parameter {axis.name}: a grid cannot enumerate {axis.kind.value}; "
        "use values, int_uniform (min and max as whole numbers) or q_uniform, without probabilities"
    )


def _arange(axis: Axis, leaf: Interval) -> Stepped:
    try:
        return Stepped.arange(leaf.min, leaf.max, 1.0 if leaf.q is None else leaf.q)
    except OverflowError as error:
        raise SearchSpaceError(
            f"parameter {axis.name}: q = {leaf.q} makes more grid values than can be counted"
        ) from error
