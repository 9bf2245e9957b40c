"""Arguments that Hydra reads: the keys of a config file, given as ``name=value``."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from orchestrator.arguments.model import Argument, Arguments, Style
from orchestrator.arguments.sources import UNKNOWN, Sources, keywords, literal

LONGEST = 200_000
MOST_FILES = 10


def read(sources: Sources) -> Arguments | None:
    """Return the keys of the script's config; with others where it is put together from what is not seen."""
    calls = sources.calls("hydra.main")
    if len(calls) != 1:
        return None
    assert isinstance(calls[0].node, ast.Call)
    given = dict(zip(("config_path", "config_name"), calls[0].node.args, strict=False)) | keywords(calls[0].node)
    folder, name = (literal(calls[0].module, given.get(key)) for key in ("config_path", "config_name"))
    anything = Arguments(
        library="hydra", known=(), style=Style.ASSIGNMENTS, others=("",), sure=not sources.changes_argv()
    )
    if not isinstance(folder, str) or not isinstance(name, str) or _is_structured(sources) or "" in given:
        return anything
    keys, others = _keys(calls[0].module.path.parent / folder, name, 0)
    known = tuple(Argument(name=key, options=(key,), default=default) for key, default in keys.items())
    return Arguments(
        library="hydra",
        known=known,
        style=Style.ASSIGNMENTS,
        others=(*others, "hydra."),
        sure=not sources.changes_argv(),
    )


def _is_structured(sources: Sources) -> bool:
    """Return whether parts of the config are made in Python."""
    origin = "hydra.core.config_store.ConfigStore"
    return any(origin in module.origins.values() for module in sources.modules)


def _keys(folder: Path, name: str, depth: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the dotted keys of a config with their values, and the names under which there may be others."""
    path = folder / (name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    data = _load(path)
    if data is UNKNOWN or depth > MOST_FILES:
        return {}, ("",)
    defaults = data.pop("defaults", [])
    keys = _dotted(data)
    others: list[str] = []
    for entry in defaults if isinstance(defaults, list) else [UNKNOWN]:
        if entry == "_self_":
            continue
        if isinstance(entry, str) and "/" not in entry and "@" not in entry:
            inner, more = _keys(folder, entry, depth + 1)
            keys = inner | keys
            others += more
        elif isinstance(entry, Mapping) and all(str(group).replace("_", "").isalnum() for group in entry):
            others += [word for group in entry for word in (str(group), f"{group}.")]
        elif not (isinstance(entry, Mapping) and all(str(g).startswith("override hydra/") for g in entry)):
            return keys, ("",)
    return keys, tuple(others)


def _load(path: Path) -> Any:
    try:
        with path.open(encoding="utf-8") as file:
            data = yaml.safe_load(file.read(LONGEST))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return UNKNOWN
    return data if isinstance(data, dict) else UNKNOWN


def _dotted(data: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in data.items():
        found[f"{prefix}{key}"] = value
        if isinstance(value, Mapping):
            found |= _dotted(value, f"{prefix}{key}.")
    return found
