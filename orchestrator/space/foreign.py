"""Search spaces of other libraries as the parameters of a spec: W&B's dicts, Optuna's distributions, Ray Tune's domains.

They are known by their shape and the names of their classes, so that neither library has to be there.
"""

from collections.abc import Mapping
from typing import Any

from orchestrator.errors import SearchSpaceError


def parameters_of(space: Any) -> dict[str, Any]:
    """Return the `parameters` block that a space in Python means.

    Args:
        space: W&B's sweep dict or its `parameters`, Optuna's distributions or Ray Tune's space by name.

    Raises:
        SearchSpaceError: It is none of them, or has a part that no spec can say.
    """
    if not isinstance(space, Mapping) or not space:
        raise SearchSpaceError(
            f"a {type(space).__name__} is no search space here.\n"
            "  It has to be a dict by parameter: W&B's, Optuna's distributions, or a space of Ray Tune."
        )
    inner = space.get("parameters", space)
    return {str(name): _parameter(str(name), value) for name, value in inner.items()}


def _parameter(name: str, value: Any) -> dict[str, Any]:
    kind = type(value).__name__
    if kind.endswith("Distribution"):
        return _of_optuna(name, value, kind)
    if hasattr(value, "sampler") and hasattr(value, "get_sampler"):
        return _of_ray(name, value, kind)
    if isinstance(value, Mapping):
        return _of_mapping(name, value)
    if isinstance(value, list | tuple | set):
        return {"values": list(value)}
    return {"value": value}


def _of_mapping(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    if set(value) == {"grid_search"}:
        return {"values": list(value["grid_search"])}
    if {"value", "values", "min", "max", "distribution", "mu", "sigma"} & set(value):
        return {str(key): list(item) if isinstance(item, tuple) else item for key, item in value.items()}
    inner = value.get("parameters", value)
    return {"parameters": {str(key): _parameter(f"{name}.{key}", item) for key, item in inner.items()}}


def _of_optuna(name: str, value: Any, kind: str) -> dict[str, Any]:
    if kind == "CategoricalDistribution":
        return {"values": list(value.choices)}
    if not hasattr(value, "low") or not hasattr(value, "high"):
        raise _unknown(name, kind)
    is_log = getattr(value, "log", False) or kind.startswith("LogUniform") or kind == "IntLogUniformDistribution"
    is_int = kind.startswith("Int")
    step = getattr(value, "step", None) or getattr(value, "q", None)
    return _interval(value.low, value.high, step=step, is_log=is_log, is_int=is_int)


def _of_ray(name: str, value: Any, kind: str) -> dict[str, Any]:
    sampler, step = value.get_sampler(), None
    if hasattr(sampler, "q"):
        sampler, step = sampler.get_sampler(), sampler.q
    how = type(sampler).__name__.strip("_")
    if kind == "Categorical":
        return {"values": list(value.categories)}
    if kind not in {"Float", "Integer"} or how not in {"Uniform", "LogUniform", "Normal"}:
        raise _unknown(name, f"{how} {kind}")
    if how == "Normal":
        found = {"distribution": "q_normal" if step else "normal", "mu": sampler.mean, "sigma": sampler.sd}
        return found | ({"q": step} if step else {})
    is_int = kind == "Integer"
    upper = (
        value.upper - 1 if is_int and step is None else value.upper
    )  # Ray leaves the end out, but for quantised ones
    return _interval(value.lower, upper, step=step, is_log=how == "LogUniform", is_int=is_int)


def _interval(low: float, high: float, *, step: float | None, is_log: bool, is_int: bool) -> dict[str, Any]:
    if low == high:
        return {"value": low}
    bounds = {"min": low, "max": high}
    if is_log:
        q = step or (1 if is_int else None)
        return {"distribution": "q_log_uniform_values" if q else "log_uniform_values", **bounds} | (
            {"q": q} if q else {}
        )
    if step and not (is_int and step == 1):
        return {"distribution": "q_uniform", **bounds, "q": step}
    return {"distribution": "int_uniform" if is_int else "uniform", **bounds}


def _unknown(name: str, kind: str) -> SearchSpaceError:
    return SearchSpaceError(
        f"{name}: no spec can say {kind}.\n  Write it by hand: min and max, values, or a distribution of W&B's."
    )
