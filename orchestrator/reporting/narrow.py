"""A spec around the winners of a sweep: what to search next, as W&B's YAML."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction
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
        low_i, high_i = (parameter.min + Fraction(end) * (parameter.max - parameter.min) for end in ends)
        return replace(parameter, min=math.floor(low_i), max=math.ceil(high_i))
    # Every other kind is uniform in the numbers that its spec bounds: values, or exponents.
    if not parameter.kind.value.endswith("log_uniform_values"):
        inverted = parameter.kind is Kind.INV_LOG_UNIFORM
        shares = (1 - ends[1], 1 - ends[0]) if inverted else ends
        low, high = _rounded(*((1 - share) * parameter.min + share * parameter.max for share in shares))
    else:
        low, high = _rounded(*(parameter.min ** (1 - share) * parameter.max**share for share in ends))
    low, high = max(parameter.min, low), min(parameter.max, high)
    return replace(parameter, min=low, max=high) if low < high else parameter


def _gaussian(parameter: Gaussian, values: Sequence[float]) -> Gaussian:
    """The same distribution, around the winners that are not 0 or infinite where its samples leave the floats."""
    if "log" in parameter.kind.value:
        values = [math.log(value) for value in values if value > 0]
    numbers = [value for value in values if math.isfinite(value)]
    try:
        mu, spread = statistics.fmean(numbers), statistics.pstdev(numbers) * (1 + MARGIN)
    except (OverflowError, statistics.StatisticsError):
        return parameter
    sigma = min(parameter.sigma, max(spread, LEAST * parameter.sigma))
    return replace(parameter, mu=float(f"{mu:.3g}"), sigma=float(f"{sigma:.3g}"))


def _rounded(low: float, high: float) -> tuple[float, float]:
    """Two bounds in three digits of their distance, or of themselves where they are decades apart; outwards."""
    if low > 0 and high / low > 10:
        return float(f"{low:.2e}"), float(f"{high:.2e}")
    if not 0 < high - low < math.inf:
        return low, high
    unit = Decimal(f"1e{math.floor(math.log10(high - low)) - 2}")
    floor, ceiling = Decimal(low) / unit, Decimal(high) / unit
    return float(floor.to_integral(ROUND_FLOOR) * unit), float(ceiling.to_integral(ROUND_CEILING) * unit)


def _varies(parameter: Parameter) -> bool:
    if isinstance(parameter, Nested):
        return any(_varies(inner) for inner in parameter.parameters.values())
    return not isinstance(parameter, Constant)
