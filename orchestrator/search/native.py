"""Parameters under their own names and values, for studies that the user's own code makes and looks into."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.space.axis import Axis
from orchestrator.space.discrete import Choice
from orchestrator.spec.model import Categorical, Constant, Kind, Metric, Nested, Parameter, SweepSpec

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

    distribution: "optuna.distributions.BaseDistribution"
    param: Callable[[Any], Any]
    value: Callable[[Any], Any]

    @classmethod
    def of(cls, axis: Axis) -> "Native":
        """Return the parameter of an axis."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if isinstance(axis, Choice):
            return cls._as_is(CategoricalDistribution(axis.values))
        assert axis.low is not None
        assert axis.high is not None
        if axis.kind in _LOG:
            return cls._as_is(FloatDistribution(axis.low, axis.high, log=True))
        if axis.kind not in _LINEAR:
            return cls(
                distribution=FloatDistribution(0.0, 1.0), param=axis.cdf, value=lambda u: axis.ppf(np.array([u]))[0]
            )
        step = (axis.high - axis.low) / (axis.n_values - 1) if axis.n_values not in (None, 1) else None
        if axis.is_integer:
            return cls._as_is(IntDistribution(int(axis.low), int(axis.high), step=round(step or 1)))
        return cls._as_is(FloatDistribution(axis.low, axis.high, step=step))

    @classmethod
    def _as_is(cls, distribution: "optuna.distributions.BaseDistribution") -> "Native":
        return cls(distribution=distribution, param=lambda value: value, value=lambda value: value)


def as_wandb(spec: SweepSpec) -> dict[str, Any]:
    """Return the parts of a spec that a search may look at, in W&B's own spelling."""
    config: dict[str, Any] = {"method": spec.method.value, "parameters": _parameters(spec.parameters)}
    if spec.metrics:
        config["metrics"] = [_metric(metric) for metric in spec.metrics]
    elif spec.metric is not None:
        config["metric"] = _metric(spec.metric)
    if spec.run_cap is not None:
        config["run_cap"] = spec.run_cap
    return config


def _parameters(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    return {name: _parameter(parameter) for name, parameter in parameters.items()}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    if isinstance(parameter, Nested):
        return {"parameters": _parameters(parameter.parameters)}
    if isinstance(parameter, Constant):
        return {"value": parameter.value}
    if isinstance(parameter, Categorical):
        given = {"values": list(parameter.values), "probabilities": parameter.probabilities}
        return {name: item for name, item in given.items() if item is not None}
    names = (
        name for name in ("min", "max", "mu", "sigma", "a", "b", "q") if getattr(parameter, name, None) is not None
    )
    return {"distribution": parameter.kind.value, **{name: getattr(parameter, name) for name in names}}


def _metric(metric: Metric) -> dict[str, Any]:
    return {"name": metric.name, "goal": metric.goal.value}
