"""Nested parameters as a flat list of leaves, and back: in W&B's orders, which differ."""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, TypeAlias

from orchestrator.spec.model import Json, Leaf, Nested, Parameter

Path: TypeAlias = tuple[str, ...]
"""The names that lead to a leaf."""

MISSING: Any = object()
"""What `value_at` returns where a config has no value; None is a value."""

_DELIMITER = ".wbnest[599c28ca25da]."
"""What W&B joins nested names with before it sorts them: '.' sorts after '-', so the order depends on it."""


def flatten(parameters: Mapping[str, Parameter], prefix: Path = ()) -> Iterator[tuple[Path, Leaf]]:
    """Yield (path, leaf), visiting the names of each level in alphabetical order: the order of W&B's grid."""
    for name in sorted(parameters):
        parameter = parameters[name]
        if isinstance(parameter, Nested):
            yield from flatten(parameter.parameters, (*prefix, name))
        else:
            yield (*prefix, name), parameter


def emission_order(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return paths in the order in which W&B writes a config: the order of ``${args}``.

    Names that are not nested come first, then the nested ones; both alphabetical, the latter by their joined path.
    """
    return tuple(sorted(paths, key=lambda path: (len(path) > 1, _DELIMITER.join(path))))


def nest(order: Iterable[Path], values: Mapping[Path, Json]) -> dict[str, Json]:
    """Return the config with `values` at their paths, keys in the given order; lists and mappings are copied."""
    config: dict[str, Json] = {}
    for path in order:
        level = config
        for name in path[:-1]:
            level = level.setdefault(name, {})
        value = values[path]
        level[path[-1]] = deepcopy(value) if isinstance(value, list | tuple | Mapping) else value
    return config


def value_at(config: Mapping[str, Any], path: Path) -> Json:
    """Return the value at a path of a nested config, `MISSING` if there is none."""
    level: Any = config
    for name in path:
        if not isinstance(level, Mapping) or name not in level:
            return MISSING
        level = level[name]
    return level
