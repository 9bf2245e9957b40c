"""Parameters with a finite list of values or a range of whole numbers: 3 of W&B's kinds."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from orchestrator.space.axis import Axis, is_number, shown
from orchestrator.space.continuous import FloatArray
from orchestrator.space.identity import identity
from orchestrator.spec.model import Json

N_EXACT = 2**53
"""Up to here every whole number is a float; larger ranges are counted with Python's integers."""

N_SHOWN = 8
"""Values of a list that a message shows."""


@dataclass(frozen=True, kw_only=True)
class Choice(Axis):
    """Values as listed, equally likely or with probabilities.

    Attributes:
        values: As listed; W&B draws by position, so a value that is listed twice is twice as likely.
        probabilities: One per value, or None for equal ones.
    """

    values: tuple[Json, ...]
    probabilities: tuple[float, ...] | None = None

    @property
    def is_categorical(self) -> bool:
        """True."""
        return True

    @cached_property
    def is_numeric(self) -> bool:
        """Whether all values are ints or finite floats."""
        return all(is_number(value) for value in self.values)

    @cached_property
    def is_integer(self) -> bool:
        """Whether all values are ints."""
        return self.is_numeric and all(isinstance(value, int) for value in self.values)

    @cached_property
    def n_values(self) -> int:
        """The count of distinct values with a positive probability."""
        weights = self.probabilities or (1.0,) * len(self.values)
        return len({self.identify(value) for value, p in zip(self.values, weights, strict=True) if p > 0})

    @property
    def allowed(self) -> str:
        """The list, shortened."""
        listed = ", ".join(shown(value) for value in self.values[:N_SHOWN])
        return f"one of {listed}" + (f", ... {len(self.values)} values" if len(self.values) > N_SHOWN else "")

    def ppf(self, u: FloatArray) -> list[Json]:
        """Return ``values[ceil(u n) - 1]``; with probabilities, the first whose cumulative probability exceeds u."""
        if self.probabilities is None:
            return [self.values[k - 1] for k in _ranks(u, len(self.values))]
        last = max(i for i, p in enumerate(self.probabilities) if p > 0)
        indices = np.minimum(np.searchsorted(self._cumulated, u, side="right"), last)
        return [self.values[i] for i in indices.tolist()]

    def contains(self, value: Json) -> bool:
        """Return whether the value is listed."""
        return self.identify(value) in self._positions

    def identify(self, value: Json) -> Hashable:
        """Return a value's identity; keys that no listed mapping has are ignored, since programs add their own."""
        if self._known_keys and isinstance(value, Mapping):
            return identity({key: item for key, item in value.items() if key in self._known_keys})
        return identity(value)

    def _encode(self, value: Any) -> float:
        """Return ``(i + 1) / n`` for the first such value; with probabilities, the middle of its step.

        W&B has no usable encoding with probabilities: its bayes search raises an error there.
        """
        i = self._positions[self.identify(value)]
        if self.probabilities is None:
            return (i + 1) / len(self.values)
        return float(self._cumulated[i]) - self.probabilities[i] / 2

    @cached_property
    def _known_keys(self) -> frozenset[Any]:
        return frozenset(key for value in self.values if isinstance(value, Mapping) for key in value)

    @cached_property
    def _positions(self) -> dict[Hashable, int]:
        return {self.identify(value): i for i, value in reversed(list(enumerate(self.values)))}

    @cached_property
    def _cumulated(self) -> FloatArray:
        return np.cumsum(np.asarray(self.probabilities, dtype=np.float64))


@dataclass(frozen=True, kw_only=True)
class Integer(Axis):
    """The whole numbers from `low` to `high`, both included, of any size."""

    low: int
    high: int

    @property
    def is_integer(self) -> bool:
        """True."""
        return True

    @property
    def n_values(self) -> int:
        """``high - low + 1``."""
        return self.high - self.low + 1

    @property
    def allowed(self) -> str:
        """The range in words."""
        return f"whole numbers from {self.low} to {self.high}"

    def ppf(self, u: FloatArray) -> list[Json]:
        """Return ``low - 1 + ceil(u (high - low + 1))``."""
        return [self.low - 1 + k for k in _ranks(u, self.n_values)]

    def contains(self, value: Json) -> bool:
        """Return whether the value is a whole number in the range."""
        return is_number(value) and self.low <= value <= self.high and value == int(value)

    def _encode(self, value: Any) -> float:
        return (int(value) - self.low + 1) / self.n_values


def _ranks(u: FloatArray, n: int) -> list[int]:
    """Return the smallest k in 1..n with k / n >= u, as scipy's ``randint.ppf`` finds it, for each u of [n_points]."""
    if n > N_EXACT:
        return [max(1, _ceil_of_product(x, n)) for x in u.tolist()]
    k = np.ceil(u * n)
    k = np.where((k - 1) / n >= u, k - 1, k)
    ranks: list[int] = np.clip(k, 1, n).astype(np.int64).tolist()
    return ranks


def _ceil_of_product(u: float, n: int) -> int:
    numerator, denominator = u.as_integer_ratio()
    return -(-numerator * n // denominator)
