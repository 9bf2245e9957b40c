"""What every varying parameter offers: its values, and how they lie on the unit interval."""

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from numbers import Integral
from numbers import Real as RealNumber
from typing import Any

from orchestrator.errors import SearchSpaceError
from orchestrator.space.continuous import FloatArray
from orchestrator.space.identity import identity
from orchestrator.spec.model import Json, Kind

TOLERANCE = 1e-9
"""Relative distance at which a float still counts as a bound, and share of q at which it counts as a multiple."""

MAX_SHOWN = 60
"""Characters of a value that messages and tables show."""

_LOG_KINDS = frozenset(kind for kind in Kind if "log" in kind.value)


@dataclass(frozen=True, kw_only=True)
class Axis(ABC):
    """A parameter that varies, with what a sampler needs to know about it.

    ``ppf`` is W&B's own formula for the kind; ``cdf`` goes back, so that ``ppf(cdf(v)) == v`` wherever floats can tell
    the values apart. Values are plain Python ints and floats, or what the spec listed.

    Attributes:
        path: The names that lead to it through the nested config.
        kind: Its distribution, by W&B's name.
        low: The smallest value or infimum; -inf if there is none, None where the values are not all numbers.
        high: The largest value or supremum; inf if there is none, None where the values are not all numbers.
    """

    path: tuple[str, ...]
    kind: Kind
    low: int | float | None
    high: int | float | None

    @property
    def name(self) -> str:
        """The path joined with '.', for people: only `path` tells ``o.lr`` and nested ``o: {lr}`` apart."""
        return ".".join(self.path)

    @property
    def is_log(self) -> bool:
        """Whether the values spread over decades: the log-uniform and log-normal kinds."""
        return self.kind in _LOG_KINDS

    @property
    def is_categorical(self) -> bool:
        """Whether the values are a list in the spec."""
        return False

    @property
    def is_numeric(self) -> bool:
        """Whether every value is an int or a float (a bool is neither)."""
        return True

    @property
    @abstractmethod
    def is_integer(self) -> bool:
        """Whether every value is an int."""

    @property
    @abstractmethod
    def n_values(self) -> int | None:
        """The count of distinct values that can be drawn; None if it is not finite."""

    @property
    @abstractmethod
    def allowed(self) -> str:
        """The values in words, for messages and tables."""

    @abstractmethod
    def ppf(self, u: FloatArray) -> list[Json]:
        """Return the values at `u`: [n] floats in [0, 1] -> n values."""

    @abstractmethod
    def contains(self, value: Json) -> bool:
        """Return whether `value` is one of the axis's values; ``2.0`` and ``2`` are the same."""

    @abstractmethod
    def _encode(self, value: Any) -> float:
        """Return the u of a value that `contains` accepts."""

    def cdf(self, value: Json) -> float:
        """Return W&B's encoding of `value`, in [0, 1].

        Raises:
            SearchSpaceError: The value is not one of the axis's values.
        """
        if not self.contains(value):
            raise SearchSpaceError(
                f"parameter {self.name}: {shown(value)} is outside the search space ({self.allowed})"
            )
        return self._encode(value)

    def identify(self, value: Json) -> Hashable:
        """Return the identity of a value of this parameter, inside the axis or not."""
        return identity(value)


def is_number(value: Json) -> bool:
    """Return whether a value is an int or a finite float, of Python or numpy, and no bool."""
    if isinstance(value, Integral):
        return not isinstance(value, bool)
    return isinstance(value, RealNumber) and math.isfinite(value)


def is_within(value: float, low: float, high: float) -> bool:
    """Return whether a number lies in [low, high], give or take rounding at finite bounds."""
    if abs(value) > sys.float_info.max:
        return False
    return low <= value <= high or any(math.isclose(value, bound, rel_tol=TOLERANCE) for bound in (low, high))


def shown(value: Json) -> str:
    """Return a value as messages and tables show it, shortened."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def range_in_words(low: float, high: float) -> str:
    """Return ``from 0.1 to 1``, or what is left of it without ends."""
    if math.isinf(low) and math.isinf(high):
        return "any number"
    if math.isinf(high):
        return f"from {low:.6g}"
    return f"from {low:.6g} to {high:.6g}"
