"""Parameters under their own names and values, for studies that the user's own code makes and looks into."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.space.axis import Axis
from orchestrator.space.discrete import Choice
from orchestrator.spec.model import Kind

if TYPE_CHECKING:
    import optuna

_LINEAR = {Kind.UNIFORM, Kind.Q_UNIFORM, Kind.INT_UNIFORM}
_LOG = {Kind.LOG_UNIFORM, Kind.LOG_UNIFORM_VALUES, Kind.INV_LOG_UNIFORM, Kind.INV_LOG_UNIFORM_VALUES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """One parameter as Optuna knows it, with the way from its values to Optuna's and back.

    Distributions that Optuna lacks (normal, beta, quantised logarithmic ones) are their quantile, uniform in [0, 1];
    wandb refuses them.
    """

    path: tuple[str, ...]
    distribution: "optuna.distributions.BaseDistribution"
    param: Callable[[Any], Any]
    value: Callable[[Any], Any]

    @classmethod
    def of(cls, axis: Axis) -> "Native":
        """Return the parameter of an axis."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if isinstance(axis, Choice):
            return cls._as_is(axis.path, CategoricalDistribution(axis.values))
        assert axis.low is not None
        assert axis.high is not None
        if axis.kind in _LOG:
            return cls._as_is(axis.path, FloatDistribution(axis.low, axis.high, log=True))
        if axis.kind not in _LINEAR:
            return cls(
                path=axis.path,
                distribution=FloatDistribution(0.0, 1.0),
                param=axis.cdf,
                value=lambda u: axis.ppf(np.array([u]))[0],
            )
        step = (axis.high - axis.low) / (axis.n_values - 1) if axis.n_values not in (None, 1) else None
        if axis.is_integer:
            return cls._as_is(axis.path, IntDistribution(int(axis.low), int(axis.high), step=round(step or 1)))
        return cls._as_is(axis.path, FloatDistribution(axis.low, axis.high, step=step))

    @classmethod
    def constant(cls, path: tuple[str, ...], value: Any) -> "Native":
        """Return a parameter that has one value."""
        from optuna.distributions import CategoricalDistribution

        return cls._as_is(path, CategoricalDistribution((value,)))

    @classmethod
    def _as_is(cls, path: tuple[str, ...], distribution: "optuna.distributions.BaseDistribution") -> "Native":
        return cls(path=path, distribution=distribution, param=lambda value: value, value=lambda value: value)
