"""The page's one script: the modules of `scripts/`, each after what it imports, without imports, exports and types."""

import re
from collections.abc import Sequence
from pathlib import Path

SCRIPTS = Path(__file__).parent / "scripts"

MODULES = (
    "format",
    "scale",
    "theme",
    "dom",
    "trials",
    "columns",
    "state",
    "filter",
    "table",
    "detail",
    "canvas",
    "chart",
    "frame",
    "points",
    "history",
    "curves",
    "parallel",
    "slices",
    "contour",
    "tradeoff",
    "timeline",
    "importance",
    "parts",
    "around",
    "start",
)
"""In the order of the page. They share one scope there: no two have a top-level name in common."""

_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_TYPES = re.compile(r"^ */\*\*(?:(?!\*/).)*\*/\n", re.MULTILINE | re.DOTALL)
_EXPORT = re.compile(r"^export (?=const |let |function |async |class )", re.MULTILINE)


def script(names: Sequence[str] | None = None, *, more: Sequence[Path] = ()) -> str:
    """Return one script of the modules by these names, else of all, and of further files; strict, as modules are."""
    ours = [source(name) for name in (MODULES if names is None else names)]
    further = [path.read_text(encoding="utf-8") for path in more]
    return '"use strict";\n' + "\n".join(map(_classic, [*ours, *further]))


def source(name: str) -> str:
    """Return a module as it was written."""
    return (SCRIPTS / f"{name}.js").read_text(encoding="utf-8")


def _classic(text: str) -> str:
    return _EXPORT.sub("", _IMPORT.sub("", _TYPES.sub("", text)))
