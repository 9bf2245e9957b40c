"""What a script reads of `wandb.config`, and the defaults that it gives there: W&B fills it in, not the command line."""

import ast
from collections.abc import Iterator
from typing import Any

from orchestrator.arguments.model import Argument, Arguments
from orchestrator.arguments.sources import UNKNOWN, Module, Place, Sources, keywords, literal

CONFIG = "wandb.config"
INIT = "wandb.init"
METHODS = frozenset({"update", "get", "keys", "items", "values", "setdefaults", "as_dict", "persist", "update_locked"})
"""What `wandb.config` has itself."""


def read(sources: Sources) -> Arguments | None:
    """Return the names that are read of the config, or given in it; None where there are none."""
    runs, configs = _names(sources)
    found: dict[str, Any] = {}
    for place in sources.places:
        for name, value in _in(place, runs, configs):
            if found.get(name) is None:
                found[name] = value
    known = tuple(Argument(name=name, options=(name,), default=value) for name, value in found.items())
    return Arguments(library="wandb.config", known=known, others=("",), sure=False) if known else None


def _names(sources: Sources) -> tuple[set[str], set[str]]:
    """The variables that hold runs, and those that hold configs."""
    runs: set[str] = set()
    configs: set[str] = set()
    for place in sources.places:
        for target, value in _assigned(place.node):
            if isinstance(value, ast.Call) and place.module.origin(value.func) == INIT:
                runs.add(target)
            elif _is_config(place.module, value, runs, configs):
                configs.add(target)
    return runs, configs


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign):
        yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
        yield node.optional_vars.id, node.context_expr


def _is_config(module: Module, node: ast.expr, runs: set[str], configs: set[str]) -> bool:
    if module.origin(node) == CONFIG or (isinstance(node, ast.Name) and node.id in configs):
        return True
    return (
        isinstance(node, ast.Attribute)
        and node.attr == "config"
        and isinstance(node.value, ast.Name)
        and node.value.id in runs
    )


def _in(place: Place, runs: set[str], configs: set[str]) -> Iterator[tuple[str, Any]]:
    """The names, with their defaults, that a node reads or gives."""
    node, module = place.node, place.module
    if isinstance(node, ast.Attribute) and node.attr not in METHODS and _is_config(module, node.value, runs, configs):
        yield node.attr, None
    elif isinstance(node, ast.Subscript) and _is_config(module, node.value, runs, configs):
        name = literal(module, node.slice)
        if isinstance(name, str):
            yield name, None
    elif isinstance(node, ast.Call):
        yield from _in_call(module, node, runs, configs)


def _in_call(module: Module, call: ast.Call, runs: set[str], configs: set[str]) -> Iterator[tuple[str, Any]]:
    if module.origin(call.func) == INIT:
        yield from _in_dict(module, keywords(call).get("config"))
    elif isinstance(call.func, ast.Attribute) and _is_config(module, call.func.value, runs, configs):
        first = call.args[0] if call.args else None
        if call.func.attr in {"update", "setdefaults"}:
            yield from _in_dict(module, first)
        elif call.func.attr == "get" and isinstance(name := literal(module, first), str):
            yield name, _or_none(module, call.args[1] if len(call.args) > 1 else None)


def _in_dict(module: Module, node: ast.expr | None) -> Iterator[tuple[str, Any]]:
    if isinstance(node, ast.Name):
        node = module.constants.get(node.id)
    if isinstance(node, ast.Call) and module.origin(node.func) == "dict":
        yield from ((name, _or_none(module, value)) for name, value in keywords(node).items() if name)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            name = literal(module, key)
            if isinstance(name, str):
                yield name, _or_none(module, value)


def _or_none(module: Module, node: ast.expr | None) -> Any:
    value = literal(module, node)
    return None if value is UNKNOWN else value
