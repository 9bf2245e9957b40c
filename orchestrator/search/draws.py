"""Points that depend on a seed and a number only: independent draws, and a scrambled Sobol sequence."""

import copy
import itertools
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

import numpy as np

from orchestrator.search.encoding import FloatArray, distinct_values, every_config
from orchestrator.search.protocol import Config, Observation, Pending
from orchestrator.space import SearchSpace
from orchestrator.space.axis import Axis

N_ENUMERABLE = 20_000
"""A space of at most this many configs is written out once drawing finds little new in it."""

N_STALE = 64
"""So many repeats in a row count as finding little new."""

N_GIVE_UP = 100_000
"""So many repeats in a row count as exhausted, in a finite space too large to be written out."""

Points = Callable[[int], FloatArray]
"""The j-th point of an endless sequence, [d] in [0, 1]."""


def uniform_points(n_axes: int, seed: int) -> Points:
    """Return independent uniform points; the j-th depends on (seed, j) only."""
    return lambda j: np.random.default_rng([seed, j]).random(n_axes)


class SobolPoints:
    """A Sobol sequence scrambled by a seed: its first points cover the space more evenly than independent ones."""

    def __init__(self, n_axes: int, seed: int) -> None:
        self._n_axes = n_axes
        self._seed = seed
        self._block = np.empty((0, n_axes))

    def __call__(self, j: int) -> FloatArray:
        """Return the j-th point, [d] in [0, 1]."""
        if self._n_axes == 0:
            return np.empty(0)
        if j >= len(self._block):
            from scipy.stats import qmc

            engine = qmc.Sobol(self._n_axes, scramble=True, rng=np.random.default_rng([self._seed, 0]))
            self._block = engine.random_base2(max(6, j.bit_length()))
        return np.asarray(self._block[j], dtype=np.float64)


class DrawSearch:
    """Draws the trial's config from a sequence of points; in a finite space each config once.

    Attributes:
        first_keys: Configs that the sweep tries anyhow, before it draws.
    """

    def __init__(
        self, space: SearchSpace, points: Points, *, seed: int, allow_repeats: bool, first_keys: Collection[Hashable]
    ) -> None:
        self._space = space
        self._points = points
        self._seed = seed
        self._may_repeat = allow_repeats or space.cardinality is None
        self._first_keys = frozenset(first_keys)
        self._taken: frozenset[Hashable] = frozenset()
        self._distinct: Distinct | None = None

    def suggest(
        self,
        number: int,
        observations: Sequence[Observation],
        pending: Sequence[Pending],  # noqa: ARG002 - a draw depends on its number only
    ) -> Config | None:
        """Return the config of trial `number`: a function of the seed, the number and the prior trials."""
        if self._may_repeat:
            return self._space.config(self._points(number))
        prior = (self._space.key(o.config) for o in itertools.takewhile(lambda o: o.number < 0, observations))
        taken = self._first_keys.union(prior)
        if self._distinct is None or taken != self._taken:
            self._taken = taken
            self._distinct = Distinct(self._space, self._points, taken=taken, seed=self._seed)
        return self._distinct.config(number)


class Distinct:
    """The configs of a sequence of points, each once, in the order in which they first appear."""

    def __init__(self, space: SearchSpace, points: Points, *, taken: Collection[Hashable], seed: int) -> None:
        self._space = space
        self._points = points
        self._rng = np.random.default_rng([seed, 1])
        self._keys = set(taken)
        self._configs: list[Config] = []
        self._next_point = 0
        self._exhausted = False

    def config(self, k: int) -> Config | None:
        """Return the k-th config, None when there are fewer."""
        while len(self._configs) <= k and not self._exhausted:
            config = self._draw()
            if config is None:
                self._exhausted = True
                self._configs += self._rest()
            else:
                self._add(config)
        return copy.deepcopy(self._configs[k]) if k < len(self._configs) else None

    def _draw(self) -> Config | None:
        """Return the next new config, None when drawing is no way to find one."""
        enumerable = (self._space.cardinality or 0) <= N_ENUMERABLE
        for n_repeats in range(N_STALE if enumerable else N_GIVE_UP):
            # Values of a small probability would hardly ever be drawn: after a while all are equally likely.
            config = self._space.config(self._points(self._next_point)) if n_repeats < N_STALE else self._any_config()
            self._next_point += 1
            if self._space.key(config) not in self._keys:
                return config
        return None

    def _any_config(self) -> Config:
        return self._space.assemble([self._any_value(axis) for axis in self._space.axes])

    def _any_value(self, axis: Axis) -> Any:
        if not axis.is_categorical:
            return axis.ppf(self._rng.random(1))[0]
        values = distinct_values(axis)
        return values[self._rng.integers(len(values))]

    def _rest(self) -> list[Config]:
        """Return what is left of a small space, shuffled."""
        if (self._space.cardinality or 0) > N_ENUMERABLE:
            return []
        left = [config for config in every_config(self._space) if self._space.key(config) not in self._keys]
        return [left[i] for i in self._rng.permutation(len(left))]

    def _add(self, config: Config) -> None:
        self._keys.add(self._space.key(config))
        self._configs.append(config)
