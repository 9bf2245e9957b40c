"""Configs that their author wants tried before the search begins: ``orchestrator.first``."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.search.draws import uniform_points
from orchestrator.search.protocol import Config, Observation, Pending, Search, suggest_batch
from orchestrator.space import SearchSpace
from orchestrator.space.nesting import MISSING, value_at


class FirstThen:
    """Hands out the given configs in their order, then asks `then`, whose numbers start at 0 after them."""

    def __init__(self, configs: Sequence[Config], then: Search) -> None:
        self._configs = tuple(configs)
        self._then = then

    def suggest(self, number: int, observations: Sequence[Observation], pending: Sequence[Pending]) -> Config | None:
        """Return the config of trial `number`."""
        return self.suggest_batch(number, observations, pending, 1)[0]

    def suggest_batch(
        self, number: int, observations: Sequence[Observation], pending: Sequence[Pending], n: int
    ) -> list[Config | None]:
        """Return the configs of the trials from `number` on."""
        if number < len(self._configs):
            return [copy.deepcopy(config) for config in self._configs[number : number + n]]
        return suggest_batch(self._then, number - len(self._configs), observations, pending, n)


def completed(partial: Sequence[Mapping[str, Any]], space: SearchSpace, seed: int) -> list[Config]:
    """Return whole configs: what the author left out of one is drawn, the same for the same seed."""
    points = uniform_points(space.n_axes, seed)
    drawn = [space.config(points(number)) for number in range(len(partial))]
    return [
        space.assemble([_value(config, backup, axis.path) for axis in space.axes])
        for config, backup in zip(partial, drawn, strict=True)
    ]


def _value(config: Mapping[str, Any], backup: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value = value_at(config, path)
    return value_at(backup, path) if value is MISSING else value
