"""A spec around the winners of a sweep: what to search next, as W&B's YAML."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.errors import SweepError
from orchestrator.ledger.records import TrialRecord
from orchestrator.reporting.facts import Facts
from orchestrator.reporting.wording import counted
from orchestrator.space.axis import Axis
from orchestrator.space.nesting import MISSING, Path, value_at
from orchestrator.spec import dump
from orchestrator.spec.model import Categorical, Constant, Gaussian, Interval, Kind, Nested, Parameter, SweepSpec

SHARE = 0.1
"""Share of the trials that count as winners, but at least `FEWEST`."""

FEWEST = 5
MARGIN = 0.25
"""How far a range goes on beyond its winners, in shares of their spread on the scale that is searched."""

LEAST = 0.05
"""And at least this share of the old range."""


def narrowed(facts: Facts) -> str:
    """Return YAML of a spec whose ranges lie around the winners, inside the old ones.

    Ranges shrink to the winners and a margin, lists to the values that winners have, normal distributions to the
    winners' mean and spread. What all winners agree on becomes fixed, unless nothing would be left to search.

    Raises:
        SweepError: No trial has a score yet.
    """
    results = facts.results
    if not results.ranked:
        raise SweepError(f"sweep {results.record.sweep_id}: no trial has a score yet, so there are no winners")
    winners = results.leaders(max(FEWEST, math.ceil(SHARE * len(results.ranked))))
    axes = {axis.path: axis for axis in facts.space.axes}
    parameters = _parameters(results.spec.parameters, (), axes, winners)
    if not any(_varies(parameter) for parameter in parameters.values()):
        parameters = dict(results.spec.parameters)
    spec = replace(results.spec, parameters=parameters, name=_name(results.spec))
    return f"# Around the best {counted(len(winners), 'trial')} of {results.label}.\n{dump(spec)}"


def _name(spec: SweepSpec) -> str | None:
    return None if spec.name is None else f"{spec.name.removesuffix('-narrowed')}-narrowed"


def _parameters(
    parameters: Mapping[str, Parameter], prefix: Path, axes: Mapping[Path, Axis], winners: Sequence[TrialRecord]
) -> dict[str, Parameter]:
    found: dict[str, Parameter] = {}
    for name, parameter in parameters.items():
        path = (*prefix, name)
        if isinstance(parameter, Nested):
            found[name] = Nested(parameters=_parameters(parameter.parameters, path, axes, winners))
        else:
            found[name] = _narrow(parameter, axes[path], winners) if path in axes else parameter
    return found


def _narrow(parameter: Parameter, axis: Axis, winners: Sequence[TrialRecord]) -> Parameter:
    values = [value_at(trial.config, axis.path) for trial in winners]
    inside = [value for value in values if value is not MISSING and axis.contains(value)]
    if not inside:
        return parameter
    match parameter:
        case Categorical():
            return _listed(parameter, axis, inside)
        case Interval():
            return _interval(parameter, axis, inside)
        case Gaussian():
            return _gaussian(parameter, inside)
    return parameter


def _listed(parameter: Categorical, axis: Axis, values: Sequence[Any]) -> Parameter:
    kept = {axis.identify(value) for value in values}
    listed = tuple(value for value in parameter.values if axis.identify(value) in kept)
    return Constant(value=listed[0]) if len(listed) == 1 else Categorical(values=listed)


def _interval(parameter: Interval, axis: Axis, values: Sequence[Any]) -> Interval:
    us = [axis.cdf(value) for value in values]
    margin = max(LEAST, MARGIN * (max(us) - min(us)))
    ends = [max(0.0, min(us) - margin), min(1.0, max(us) + margin)]
    if parameter.kind is Kind.INT_UNIFORM:
        width = parameter.max - parameter.min
        ints = math.floor(parameter.min + ends[0] * width), math.ceil(parameter.min + ends[1] * width)
        return replace(parameter, min=ints[0], max=ints[1])
    # Every other kind is uniform in the numbers that its spec bounds: values, or exponents.
    width = parameter.max - parameter.min
    if not parameter.kind.value.endswith("log_uniform_values"):
        inverted = parameter.kind is Kind.INV_LOG_UNIFORM
        low_u, high_u = (1 - ends[1], 1 - ends[0]) if inverted else (ends[0], ends[1])
        low, high = _rounded(parameter.min + low_u * width, parameter.min + high_u * width)
    else:
        ratio = parameter.max / parameter.min
        low, high = _rounded(parameter.min * ratio ** ends[0], parameter.min * ratio ** ends[1])
    return replace(parameter, min=max(parameter.min, low), max=min(parameter.max, high))


def _gaussian(parameter: Gaussian, values: Sequence[float]) -> Gaussian:
    numbers = [math.log(value) for value in values] if "log" in parameter.kind.value else list(values)
    spread = statistics.pstdev(numbers) * (1 + MARGIN)
    sigma = min(parameter.sigma, max(spread, LEAST * parameter.sigma))
    return replace(parameter, mu=float(f"{statistics.fmean(numbers):.3g}"), sigma=float(f"{sigma:.3g}"))


def _rounded(low: float, high: float) -> tuple[float, float]:
    """Two bounds in three digits of their distance, or of themselves where they are decades apart; outwards."""
    digits = 2 - math.floor(math.log10(high - low))
    if low > 0 and high / low > 10:
        return float(f"{low:.2e}"), float(f"{high:.2e}")
    scale = 10.0**digits
    return math.floor(low * scale) / scale, math.ceil(high * scale) / scale


def _varies(parameter: Parameter) -> bool:
    if isinstance(parameter, Nested):
        return any(_varies(inner) for inner in parameter.parameters.values())
    return not isinstance(parameter, Constant)
