"""Parameters over a continuous distribution, as it is or rounded to multiples of q: 14 of W&B's kinds."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.space.axis import TOLERANCE, Axis, is_number, is_within, range_in_words
from orchestrator.space.continuous import Continuous, FloatArray
from orchestrator.spec.model import Json, Kind

N_EXACT = 2**53
"""Beyond so many steps of q from zero, neighbouring floats are further apart than q."""


@dataclass(frozen=True, kw_only=True)
class Real(Axis):
    """The values of a continuous distribution; always floats, also where they are whole."""

    low: float
    high: float
    distribution: Continuous

    @classmethod
    def of(cls, path: tuple[str, ...], kind: Kind, distribution: Continuous) -> "Real":
        """Return the axis with the distribution's support."""
        return cls(path=path, kind=kind, low=distribution.low, high=distribution.high, distribution=distribution)

    @property
    def is_integer(self) -> bool:
        """False."""
        return False

    @property
    def n_values(self) -> None:
        """None: not finite."""
        return

    @property
    def allowed(self) -> str:
        """The range in words."""
        return range_in_words(self.low, self.high)

    def ppf(self, u: FloatArray) -> list[Json]:
        """Return the distribution's quantiles."""
        values: list[float] = self.distribution.ppf(u).tolist()
        return values

    def contains(self, value: Json) -> bool:
        """Return whether the value is a finite number in the support, give or take rounding."""
        return is_number(value) and is_within(value, self.low, self.high)

    def _encode(self, value: Any) -> float:
        return _quantile(self.distribution, value)


@dataclass(frozen=True, kw_only=True)
class Quantised(Axis):
    """Multiples of q: ``round(X / q) q`` of a continuous X; ints where q is an int; halves go to the even multiple.

    Only multiples inside the support of X are drawn, where W&B's engine also draws those just outside: of
    ``uniform(1, 10)`` with q = 4 it makes 0, 4 and 8, and this class 4 and 8. Where no multiple lies inside, the
    engine's own are kept.
    """

    low: int | float
    high: int | float
    distribution: Continuous
    q: int | float

    @classmethod
    def of(cls, path: tuple[str, ...], kind: Kind, distribution: Continuous, q: float) -> "Quantised":
        """Return the axis over the multiples of q in the distribution's support."""
        support = (distribution.low, distribution.high)
        low, high = _multiple(support[0], q, _ceil), _multiple(support[1], q, _floor)
        if low > high:
            low, high = (_multiple(bound, q, round) for bound in support)
        elif isinstance(q, float) and max(low, support[0]) <= min(high, support[1]):
            low, high = max(low, support[0]), min(high, support[1])
        return cls(path=path, kind=kind, low=low, high=high, distribution=distribution, q=q)

    @property
    def is_integer(self) -> bool:
        """Whether q is an int."""
        return isinstance(self.q, int)

    @property
    def n_values(self) -> int | None:
        """The count of multiples from `low` to `high`; None if there is no end."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return (self.high - self.low) // int(self.q) + 1
        steps = self.high / self.q - self.low / self.q
        return round(steps) + 1 if math.isfinite(steps) else None

    @property
    def allowed(self) -> str:
        """The range in words."""
        return f"multiples of {self.q!r}, {range_in_words(self.low, self.high)}"

    def ppf(self, u: FloatArray) -> list[Json]:
        """Return the distribution's quantiles, rounded to multiples inside the support."""
        rounded = (_multiple(x, self.q, round) for x in self.distribution.ppf(u).tolist())
        return [min(max(value, self.low), self.high) for value in rounded]

    def contains(self, value: Json) -> bool:
        """Return whether the value is a multiple of q in the range, give or take rounding."""
        if not is_number(value) or not is_within(value, self.low, self.high):
            return False
        nearest = min(max(_multiple(value, self.q, round), self.low), self.high)
        return math.isclose(value, nearest, rel_tol=1e-14, abs_tol=TOLERANCE * self.q)

    def _encode(self, value: Any) -> float:
        return _quantile(self.distribution, value)


def _quantile(distribution: Continuous, value: float) -> float:
    return float(distribution.cdf(np.array([value], dtype=np.float64))[0])


def _multiple(x: float, q: float, whole: Callable[[float], int]) -> int | float:
    """Return q times `whole` of x / q; an infinity, and a float too coarse to be rounded, as it is."""
    if math.isinf(x):
        return x
    ratio = x / q
    if abs(ratio) < N_EXACT:
        return whole(ratio) * q
    return int(x) // q * q if isinstance(q, int) else x


def _ceil(ratio: float) -> int:
    return _whole_if_close(ratio, math.ceil)


def _floor(ratio: float) -> int:
    return _whole_if_close(ratio, math.floor)


def _whole_if_close(ratio: float, otherwise: Callable[[float], int]) -> int:
    nearest = round(ratio)
    return nearest if math.isclose(ratio, nearest, rel_tol=1e-14, abs_tol=TOLERANCE) else otherwise(ratio)
