"""The search space of a spec: configs as points of the unit cube, and back.

| symbol | shape | meaning |
|---|---|---|
| n | | points |
| d | | axes: parameters that vary, nested ones flattened; constants are none |
| u | [n] | one axis's coordinates, in [0, 1] |
| point | [d] | one config's coordinates, axes in alphabetical order at each level of nesting |
| points | [n, d] | |
| path | | the names that lead to a parameter: ``("opt", "lr")`` |
| ppf | [n] -> [n] | quantile function: from u to values |
| cdf | [n] -> [n] | its inverse: W&B's encoding of values |
| q | | step of the quantised kinds |
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from orchestrator.errors import SearchSpaceError
from orchestrator.space.axis import Axis, shown
from orchestrator.space.continuous import BetaOnUnit, Continuous, FloatArray, LogNormal, LogUniform, Normal, Uniform
from orchestrator.space.discrete import Choice, Integer
from orchestrator.space.identity import identity
from orchestrator.space.nesting import MISSING, Path, emission_order, flatten, nest, value_at
from orchestrator.space.real import Quantised, Real
from orchestrator.spec.model import Beta, Categorical, Constant, Gaussian, Interval, Json, Kind, Leaf, Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """What can be tried. Immutable; every method is a pure function.

    Attributes:
        axes: One per parameter that varies, in alphabetical order at each level of nesting.
        leaves: The spec's parameters of the axes, in the same order.
        constants: Values of the parameters that do not vary.
        order: Paths of all parameters in the order in which configs have them.
    """

    axes: tuple[Axis, ...]
    leaves: tuple[Leaf, ...]
    constants: Mapping[Path, Json]
    order: tuple[Path, ...]

    @classmethod
    def of(cls, parameters: Mapping[str, Parameter]) -> "SearchSpace":
        """Return the space of a spec's parameters; of none, a space with one empty config.

        Raises:
            SearchSpaceError: A beta distribution is too narrow to be computed.
        """
        flat = list(flatten(parameters))
        varying = [(path, leaf) for path, leaf in flat if not isinstance(leaf, Constant)]
        return cls(
            axes=tuple(_axis(path, leaf) for path, leaf in varying),
            leaves=tuple(leaf for _, leaf in varying),
            constants={path: leaf.value for path, leaf in flat if isinstance(leaf, Constant)},
            order=emission_order(path for path, _ in flat),
        )

    @property
    def n_axes(self) -> int:
        """The number of axes, d."""
        return len(self.axes)

    @property
    def cardinality(self) -> int | None:
        """The number of distinct configs that can be drawn; None if it is not finite."""
        product = 1
        for axis in self.axes:
            if axis.n_values is None:
                return None
            product *= axis.n_values
        return product

    def config(self, point: FloatArray) -> dict[str, Json]:
        """Return the config at `point`, [d] in [0, 1], nested and with constants, its keys in W&B's order.

        Raises:
            SearchSpaceError: The point has another shape or lies outside the unit cube.
        """
        return self.configs(np.asarray(point, dtype=np.float64)[np.newaxis])[0]

    def configs(self, points: FloatArray) -> list[dict[str, Json]]:
        """Return the configs at `points`, [n, d] in [0, 1].

        Raises:
            SearchSpaceError: The points have another shape or lie outside the unit cube.
        """
        points = self._checked(np.asarray(points, dtype=np.float64))
        columns = [axis.ppf(points[:, i]) for i, axis in enumerate(self.axes)]
        return [self.assemble([column[row] for column in columns]) for row in range(len(points))]

    def assemble(self, values: Sequence[Json]) -> dict[str, Json]:
        """Return the config with one value per axis, [d], in the order of the axes."""
        at = {axis.path: value for axis, value in zip(self.axes, values, strict=True)}
        return nest(self.order, {**self.constants, **at})

    def point(self, config: Mapping[str, Any]) -> FloatArray:
        """Return the point of a config, [d]: W&B's encoding of each value.

        Constants may be absent from the config, and keys that the space does not know are ignored: programs add theirs.

        Raises:
            SearchSpaceError: A value is missing or outside the space; the message names the parameter and the value.
        """
        self._check_constants(config)
        return np.array([axis.cdf(_present(config, axis)) for axis in self.axes], dtype=np.float64)

    def points(self, configs: Sequence[Mapping[str, Any]]) -> FloatArray:
        """Return the points of configs, [n, d]; raises as `point` does."""
        return np.array([self.point(config) for config in configs], dtype=np.float64).reshape(len(configs), self.n_axes)

    def contains(self, config: Mapping[str, Any]) -> bool:
        """Return whether `point` accepts the config."""
        try:
            self.point(config)
        except SearchSpaceError:
            return False
        return True

    def key(self, config: Mapping[str, Any]) -> Hashable:
        """Return the identity of a config, inside the space or not: equal for configs that W&B treats as the same."""
        values = ((axis, value_at(config, axis.path)) for axis in self.axes)
        return tuple(None if value is MISSING else axis.identify(value) for axis, value in values)

    def _checked(self, points: FloatArray) -> FloatArray:
        if points.ndim != 2 or points.shape[1] != self.n_axes:
            raise SearchSpaceError(f"points must have {self.n_axes} coordinates, got shape {points.shape[1:]}")
        if not np.all((points >= 0) & (points <= 1)):
            raise SearchSpaceError("points must lie in the unit cube: every coordinate a number from 0 to 1")
        return points

    def _check_constants(self, config: Mapping[str, Any]) -> None:
        for path, constant in self.constants.items():
            value = value_at(config, path)
            if value is not MISSING and identity(value) != identity(constant):
                raise SearchSpaceError(
                    f"parameter {'.'.join(path)}: {shown(value)} is outside the search space (always {shown(constant)})"
                )


def _present(config: Mapping[str, Any], axis: Axis) -> Json:
    value = value_at(config, axis.path)
    if value is MISSING:
        raise SearchSpaceError(f"parameter {axis.name} is missing; allowed: {axis.allowed}")
    return value


def _axis(path: Path, leaf: Leaf) -> Axis:
    if isinstance(leaf, Categorical):
        return _choice(path, leaf)
    assert not isinstance(leaf, Constant)
    if leaf.kind is Kind.INT_UNIFORM:
        assert isinstance(leaf, Interval)
        return Integer(path=path, kind=leaf.kind, low=int(leaf.min), high=int(leaf.max))
    distribution = _distribution(path, leaf)
    if leaf.kind.value.startswith("q_"):
        return Quantised.of(path, leaf.kind, distribution, 1.0 if leaf.q is None else leaf.q)
    return Real.of(path, leaf.kind, distribution)


def _choice(path: Path, leaf: Categorical) -> Choice:
    axis = Choice(path=path, kind=leaf.kind, low=None, high=None, values=leaf.values, probabilities=leaf.probabilities)
    if not axis.is_numeric:
        return axis
    return replace(axis, low=min(leaf.values), high=max(leaf.values))


def _beta(path: Path, leaf: Beta) -> Continuous:
    distribution = BetaOnUnit(a=leaf.a, b=leaf.b)
    if np.isnan(distribution.ppf(np.array([0.0, 0.5, 1.0]))).any():
        raise SearchSpaceError(
            f"parameter {'.'.join(path)}: a beta distribution with a = {leaf.a:g} and b = {leaf.b:g} is too narrow to "
            "be computed; use values below 1e9, or a constant"
        )
    return distribution


def _distribution(path: Path, leaf: Interval | Gaussian | Beta) -> Continuous:
    """Return the distribution of a kind without its rounding."""
    if isinstance(leaf, Beta):
        return _beta(path, leaf)
    if isinstance(leaf, Gaussian):
        normal = Normal(mu=leaf.mu, sigma=leaf.sigma)
        return LogNormal(exponent=normal) if "log" in leaf.kind.value else normal
    low, high = float(leaf.min), float(leaf.max)
    match leaf.kind.value.removeprefix("q_"):
        case "uniform":
            return Uniform(low=low, high=high)
        case "log_uniform":
            return LogUniform.of_exponents(low, high)
        case "inv_log_uniform":
            return LogUniform.of_exponents(-high, -low)
        case _:  # log_uniform_values, and inv_log_uniform_values, which is the same distribution
            return LogUniform.between(low, high)
