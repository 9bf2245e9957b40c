"""The trial's side: the part of this package that runs in the interpreter of a program, whatever is installed there.

It depends on the standard library alone, and on Python 3.9 or newer. Nothing of it is installed: the interpreter is told
where it lies, and finds `orchestrator` there and nothing else.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent.parent
"""Where the package lies."""

TOP = ("__init__", "api/__init__", "api/driver", "confined", "errors", "layout", "printable", "wandb")
"""What it uses of the modules above `trial`."""

TOOLS_OWN = "trial/runner/"
"""What of `trial` only the tool uses, in its own interpreter."""

CLOUDPICKLE = "cloudpickle"

TOOL = "SWEEP_TOOL_PYTHON"
"""Variable of trials that run in another Python than the tool: the interpreter that has all of this package."""


def files() -> list[str]:
    """Return the files of the trial's side, relative to the directory that `orchestrator` lies in."""
    found = [f"{name}.py" for name in TOP]
    inner = (path.relative_to(PACKAGE).as_posix() for path in PACKAGE.joinpath("trial").rglob("*.py"))
    found += [path for path in inner if not path.startswith(TOOLS_OWN)]
    return sorted(f"{PACKAGE.name}/{path}" for path in found)


def boot(module: str, function: str) -> str:
    """Return what ``python -c`` executes to call a function of the trial's side, whatever is installed in that Python.

    Nothing is imported before the working directory is off the path.
    """
    return (
        "import sys; getattr(sys.flags, 'safe_path', False) or sys.path.pop(0); import importlib.util as util; "
        f"spec = util.spec_from_file_location('{PACKAGE.name}', {str(PACKAGE / '__init__.py')!r}); "
        "package = sys.modules[spec.name] = util.module_from_spec(spec); spec.loader.exec_module(package); "
        f"from {module} import {function}; {function}()"
    )


def cloudpickle() -> Any:
    """Return cloudpickle: this interpreter's own, else the one beside our package, which is nothing but Python.

    Raises:
        ModuleNotFoundError: There is neither.
    """
    try:
        return importlib.import_module(CLOUDPICKLE)
    except ModuleNotFoundError:
        path = PACKAGE.parent / CLOUDPICKLE / "__init__.py"
        spec = importlib.util.spec_from_file_location(CLOUDPICKLE, path)
        if not path.is_file() or spec is None or spec.loader is None:
            raise
    module = sys.modules[CLOUDPICKLE] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def is_path_safe() -> bool:
    """Return whether this Python looks for no modules beside its script: ``python -P``, which there is since 3.11."""
    return getattr(sys.flags, "safe_path", False)
