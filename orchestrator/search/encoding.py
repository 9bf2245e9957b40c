"""Configs as points that a model can learn from: numbers keep their order and distances, only names are categories.

Notation: d is the number of parameters that vary, n a number of configs. A *feature* is a parameter's coordinate: in
[0, 1] for numbers, the position in the list for categories. X [n, d] are the features of n configs.
"""

import itertools
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.search.protocol import Config
from orchestrator.space.axis import Axis
from orchestrator.space.discrete import Choice
from orchestrator.space.nesting import MISSING, value_at
from orchestrator.space.search_space import SearchSpace

FloatArray = npt.NDArray[np.float64]

MAX_GRID = 256
"""A range of more values than this is treated as continuous, and the result is rounded."""

TAIL = 1 / 512
"""Share of an infinite range that is left out at its end: values beyond 2.9 standard deviations of a normal."""

UNEVEN = 0.2
"""Largest distance of a value from its rank at which a scale still counts as the one its author thinks in."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One parameter's coordinate.

    Attributes:
        values: What the parameter can be, by position in `grid`; empty for a continuous one.
        grid: The features of `values`, ascending; None for a continuous one.
        is_category: Whether two different values are as far apart as any other two.
    """

    axis: Axis
    values: tuple[Any, ...] = ()
    grid: FloatArray | None = None
    is_category: bool = False

    @classmethod
    def of(cls, axis: Axis) -> "Feature":
        """Choose the coordinate of a parameter."""
        if axis.is_categorical and not axis.is_numeric:
            values = distinct_values(axis)
            return cls(axis=axis, values=values, grid=np.arange(len(values), dtype=np.float64), is_category=True)
        if axis.is_categorical:
            values = tuple(sorted(distinct_values(axis)))
            return cls(axis=axis, values=values, grid=spacing(values))
        if axis.n_values is None or axis.n_values > MAX_GRID:
            return cls(axis=axis)
        values = distinct_values(axis)
        is_log = axis.is_log and values[0] > 0
        return cls(axis=axis, values=values, grid=_spread(np.log(values) if is_log else np.array(values, dtype=float)))

    def encode(self, value: Any) -> float:
        """Return the feature of a value; NaN for one that the parameter cannot have."""
        if self.grid is None:
            return self.axis.cdf(value) if value is not MISSING and self.axis.contains(value) else math.nan
        position = self._positions.get(self.axis.identify(value))
        return math.nan if position is None else float(self.grid[position])

    def decode(self, feature: float) -> Any:
        """Return the value nearest to a feature."""
        if self.grid is None:
            return self.axis.ppf(np.clip([feature], *self._ends))[0]
        return self.values[int(np.argmin(np.abs(self.grid - feature)))]

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """The smallest and the largest feature: the end of an infinite range is no value worth trying."""
        assert self.axis.low is not None
        assert self.axis.high is not None
        return TAIL * math.isinf(self.axis.low), 1 - TAIL * math.isinf(self.axis.high)

    @cached_property
    def _positions(self) -> Mapping[Hashable, int]:
        return {self.axis.identify(value): i for i, value in enumerate(self.values)}


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """A search space as a model sees it."""

    space: SearchSpace
    features: tuple[Feature, ...]

    @classmethod
    def of(cls, space: SearchSpace) -> "Encoding":
        """Return the encoding of a space."""
        return cls(space=space, features=tuple(Feature.of(axis) for axis in space.axes))

    @property
    def is_finite(self) -> bool:
        """Whether every feature has a grid."""
        return all(feature.grid is not None for feature in self.features)

    def encode(self, config: Config) -> FloatArray:
        """Return the features of a config, [d]; NaN where a value is missing or outside the space."""
        return np.array([feature.encode(value_at(config, feature.axis.path)) for feature in self.features])

    def decode(self, x: FloatArray) -> Config:
        """Return the config nearest to features `x`, [d]."""
        return self.space.assemble([feature.decode(float(u)) for feature, u in zip(self.features, x, strict=True)])


def distinct_values(axis: Axis) -> tuple[Any, ...]:
    """Return every value that a finite axis can take: lists in their order, ranges ascending."""
    assert axis.n_values is not None
    if isinstance(axis, Choice):
        weights = axis.probabilities or (1.0,) * len(axis.values)
        drawn = (value for value, weight in zip(axis.values, weights, strict=True) if weight > 0)
        return tuple({axis.identify(value): value for value in drawn}.values())
    assert axis.low is not None
    assert axis.high is not None
    if axis.n_values == 1:
        return (axis.low,)
    if isinstance(axis.low, int) and isinstance(axis.high, int):
        return tuple(range(axis.low, axis.high + 1, (axis.high - axis.low) // (axis.n_values - 1)))
    numbers = np.linspace(axis.low, axis.high, axis.n_values).tolist()
    return tuple(dict.fromkeys(axis.ppf(np.array([axis.cdf(number) for number in numbers]))))


def every_config(space: SearchSpace) -> Iterator[Config]:
    """Yield every config of a finite space."""
    for values in itertools.product(*(distinct_values(axis) for axis in space.axes)):
        yield space.assemble(values)


def spacing(values: Sequence[float]) -> FloatArray:
    """Return coordinates in [0, 1] for ascending numbers, [n] -> [n]: linear, logarithmic, or evenly by rank.

    A list such as 0.1, 0.2, 0.3 was written on a linear scale, 16, 32, 64, 128 on a logarithmic one. The scale on which
    the list is nearly even is kept, with its small differences; a list that is even on neither is taken by rank.
    """
    numbers = np.array(values, dtype=np.float64)
    rank = _spread(np.arange(len(numbers), dtype=np.float64))
    scales = [_spread(numbers)]
    if numbers[0] > 0:
        scales.append(_spread(np.log(numbers)))
    errors = [float(np.abs(scale - rank).max()) for scale in scales]
    best = int(np.argmin(errors))
    return scales[best] if errors[best] <= UNEVEN else rank


def _spread(numbers: FloatArray) -> FloatArray:
    """Return ascending numbers mapped linearly to [0, 1]; evenly where the floats cannot tell them apart."""
    if len(numbers) == 1:
        return np.array([0.5])
    scaled = (numbers / 2 - numbers[0] / 2) / (numbers[-1] / 2 - numbers[0] / 2)
    if np.all(np.diff(scaled) > 0):
        return np.asarray(scaled, dtype=np.float64)
    return np.linspace(0.0, 1.0, len(numbers))
