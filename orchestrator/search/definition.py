"""What a trial of an Optuna study is asked for: by the user's define-by-run function, or by the sweep's parameters."""

import re
import reprlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.search.native import Native
from orchestrator.search.protocol import Config
from orchestrator.search.user_file import refused
from orchestrator.space import SearchSpace
from orchestrator.space.nesting import MISSING, value_at
from orchestrator.spec.model import Nested, Parameter, SweepSpec

if TYPE_CHECKING:
    import optuna

    from orchestrator.search.user_file import SuggestParams

_SCALARS = str | int | float | None
"""Values that a categorical parameter of Optuna may have in any storage."""

SURROGATE = re.compile("[\ud800-\udfff]")
"""What a text that is no Unicode has in it, which no file can hold."""


class Definition:
    """The search space as a study's trials see it.

    Args:
        spec: The sweep.
        space: Its search space.
        suggest: The user's function; None when the sweep's parameters are the space.
    """

    def __init__(self, spec: SweepSpec, space: SearchSpace, suggest: "SuggestParams | None") -> None:
        self._space = space
        self._suggest = suggest
        self._natives = _natives(spec, space)

    @property
    def is_the_users(self) -> bool:
        """Whether a function of the user's defines it."""
        return self._suggest is not None

    def config(self, trial: "optuna.Trial | optuna.trial.FixedTrial") -> Config:
        """Let the space be defined by a trial, and return the config."""
        if self._suggest is not None:
            config = self._suggest(trial)
            if not isinstance(config, Mapping):
                raise refused("search_space", f"returned {type(config).__name__}, it must return a dict", colon=False)
            return {str(name): _json(value, str(name)) for name, value in config.items()}
        for name, native in self._natives.items():
            trial._suggest(name, native.distribution)  # noqa: SLF001 - as `Study.ask(fixed_distributions)` does
        params = trial.params
        return self._space.assemble(
            [self._natives[name].value(params[name]) for name in (".".join(axis.path) for axis in self._space.axes)]
        )

    def params(self, config: Config) -> dict[str, Any]:
        """Return the params of a trial that make a config; what it leaves out is the sampler's."""
        if self._suggest is not None:
            return dict(config)
        values = {name: value_at(config, native.path) for name, native in self._natives.items()}
        return {name: self._natives[name].param(value) for name, value in values.items() if value is not MISSING}


def _natives(spec: SweepSpec, space: SearchSpace) -> dict[str, Native]:
    """Return the sweep's parameters as Optuna's, in the order in which the spec has them."""
    by_path = {axis.path: Native.of(axis) for axis in space.axes}
    by_path |= {path: Native.constant(path, v) for path, v in space.constants.items() if isinstance(v, _SCALARS)}
    return {".".join(path): by_path[path] for path in _paths(spec.parameters) if path in by_path}


def _paths(parameters: Mapping[str, Parameter], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    paths: list[tuple[str, ...]] = []
    for name, parameter in parameters.items():
        path = (*above, name)
        paths += _paths(parameter.parameters, path) if isinstance(parameter, Nested) else [path]
    return paths


def _json(value: Any, where: str) -> Any:
    """Return a value as the ledger and W&B keep it.

    Raises:
        SearchSpaceError: They cannot.
    """
    match value:
        case Mapping():
            return {str(name): _json(item, f"{where}.{name}") for name, item in value.items()}
        case list() | tuple():
            return [_json(item, f"{where}[{i}]") for i, item in enumerate(value)]
        case np.ndarray():
            return _json(value.tolist(), where)
        case None:
            return None
        case bool() | np.bool_():
            return bool(value)
        case int() | np.integer() if abs(int(value)) <= sys.float_info.max:
            return int(value)  # what is written has no subclasses (`IntEnum`)
        case float() | np.floating():
            return float(value)
        case str() if not SURROGATE.search(value):
            return str.__str__(value)
    raise refused(
        "search_space",
        f"returned {where}: {reprlib.repr(value)}, a {type(value).__name__}; a config holds numbers, text, true, false, None, "
        "lists and dicts of these",
        colon=False,
    )
