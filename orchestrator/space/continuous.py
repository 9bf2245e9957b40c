"""The continuous distributions under W&B's 18 kinds, each as a quantile function and its inverse.

Every class here has

* ``ppf(u)``: [n] -> [n], the quantile function, non-decreasing, for u in [0, 1];
* ``cdf(x)``: [n] -> [n], its inverse, in [0, 1];
* ``low``, ``high``: the support; ``ppf`` never leaves it.

W&B's own formulas (engine ``sweeps`` 0.3.0, ``params.py``) with three repairs for the ends of the float range: results
are clipped to the support that rounding could leave, a range wider than the largest float is interpolated without
overflow, and normal, log-normal and beta treat the ends of [0, 1] as the smallest and largest u that W&B can draw.

``scipy.special`` is imported where it is used: 0.35 s of every command, most of which meet none of the three.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]

U_MIN = 2.0**-53
"""The smallest and, as 1 - U_MIN, the largest u of normal, log-normal and beta: 8.2 standard deviations of a normal.

Beyond it the quantile functions are infinite, or NaN (scipy's ``betaincinv(2, 2, 5e-324)``).
"""


U_END = 1e-14
"""So close to 0 and 1 is what rounding makes of them: no draw comes here, a search that goes to a bound does."""


class Continuous(Protocol):
    """A continuous distribution; see the module."""

    @property
    def low(self) -> float:
        """The infimum of the support."""
        ...

    @property
    def high(self) -> float:
        """The supremum of the support."""
        ...

    def ppf(self, u: FloatArray) -> FloatArray:
        """Return the values at quantiles `u`, [n] -> [n]."""
        ...

    def cdf(self, x: FloatArray) -> FloatArray:
        """Return the quantiles of the values `x`, [n] -> [n]."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """``low + u (high - low)``."""

    low: float
    high: float

    def ppf(self, u: FloatArray) -> FloatArray:
        """Return ``low + u (high - low)``; at the ends exactly `low` and `high`."""
        return _ended(u, self.low, _interpolate(u, self.low, self.high), self.high)

    def cdf(self, x: FloatArray) -> FloatArray:
        """Return ``(x - low) / (high - low)``, clipped to [0, 1]."""
        return _fraction(x, self.low, self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogUniform:
    """``exp(a + u (b - a))``: ln X is uniform on [`a`, `b`].

    Attributes:
        low: ``exp(a)``, or exactly the bound that its author wrote.
        high: ``exp(b)``, likewise; infinite when b > 709.78, as W&B's own result is.
    """

    a: float
    b: float
    low: float
    high: float

    @classmethod
    def between(cls, low: float, high: float) -> "LogUniform":
        """Return the distribution on [low, high], with ``0 < low < high``."""
        return cls(a=math.log(low), b=math.log(high), low=low, high=high)

    @classmethod
    def of_exponents(cls, a: float, b: float) -> "LogUniform":
        """Return the distribution on [e^a, e^b]."""
        low, high = _exp(np.array([a, b], dtype=np.float64)).tolist()
        return cls(a=a, b=b, low=low, high=high)

    def ppf(self, u: FloatArray) -> FloatArray:
        """Return ``exp(a + u (b - a))``; at 0 and 1 exactly `low` and `high`, which the exponential may miss by a digit."""
        x = np.clip(_exp(_interpolate(u, self.a, self.b)), self.low, self.high)
        return _ended(u, self.low, x, self.high)

    def cdf(self, x: FloatArray) -> FloatArray:
        """Return ``(ln x - a) / (b - a)``, clipped to [0, 1]."""
        return _fraction(_log(x), self.a, self.b)


@dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """``mu + sigma Phi^-1(u)``, sigma > 0."""

    mu: float
    sigma: float
    low: ClassVar[float] = -math.inf
    high: ClassVar[float] = math.inf

    def ppf(self, u: FloatArray) -> FloatArray:
        """Return ``mu + sigma Phi^-1(u)``; infinite only where that leaves the floats, as W&B's result."""
        from scipy.special import ndtri

        z = ndtri(_open(u))
        with np.errstate(over="ignore"):
            return np.asarray(self.mu + self.sigma * z, dtype=np.float64)

    def cdf(self, x: FloatArray) -> FloatArray:
        """Return ``Phi((x - mu) / sigma)``."""
        from scipy.special import ndtr

        with np.errstate(over="ignore"):
            return np.asarray(ndtr((x - self.mu) / self.sigma), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormal:
    """``exp(mu + sigma Phi^-1(u))``, sigma > 0: ln X is `exponent`."""

    exponent: Normal
    low: ClassVar[float] = 0.0
    high: ClassVar[float] = math.inf

    def ppf(self, u: FloatArray) -> FloatArray:
        """Return ``exp(mu + sigma Phi^-1(u))``; 0 or infinite where that leaves the floats, as W&B's result."""
        return _exp(self.exponent.ppf(u))

    def cdf(self, x: FloatArray) -> FloatArray:
        """Return ``Phi((ln x - mu) / sigma)``."""
        return self.exponent.cdf(_log(x))


@dataclass(frozen=True, slots=True, kw_only=True)
class BetaOnUnit:
    """The beta distribution on [0, 1], a > 0 and b > 0."""

    a: float
    b: float
    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0

    def ppf(self, u: FloatArray) -> FloatArray:
        """Return the inverse of the regularised incomplete beta function at `u`."""
        from scipy.special import betaincinv

        return np.asarray(betaincinv(self.a, self.b, _open(u)), dtype=np.float64)

    def cdf(self, x: FloatArray) -> FloatArray:
        """Return the regularised incomplete beta function at `x`."""
        from scipy.special import betainc

        return np.asarray(betainc(self.a, self.b, x), dtype=np.float64)


def _open(u: FloatArray) -> FloatArray:
    return np.clip(u, U_MIN, 1 - U_MIN)


def _ended(u: FloatArray, low: float, x: FloatArray, high: float) -> FloatArray:
    """The values, but the bounds where nothing but rounding keeps u from its ends: 0.5, not 0.49999999999999994."""
    return np.where(u <= U_END, low, np.where(u >= 1 - U_END, high, x))


def _interpolate(u: FloatArray, low: float, high: float) -> FloatArray:
    span = high - low
    x = u * span + low if math.isfinite(span) else low * (1 - u) + high * u
    return np.clip(x, low, high)


def _fraction(x: FloatArray, low: float, high: float) -> FloatArray:
    """Return where x lies between low and high, in [0, 1]; 0 where the two are the same float."""
    half = 0.5 * high - 0.5 * low
    if half == 0:
        return np.zeros_like(x)
    return np.clip((0.5 * x - 0.5 * low) / half, 0.0, 1.0)


def _exp(x: FloatArray) -> FloatArray:
    with np.errstate(over="ignore", under="ignore"):
        return np.exp(x)


def _log(x: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore"):
        return np.log(x)
