"""The Python API of `sweep`, where `sweep` itself is installed elsewhere: in an environment of its own.

This package is nothing but the way there. It finds the `sweep` command, and `orchestrator` is then the command's own
package, as far as it depends on the standard library alone; `sweep`, `agent` and `load` let the command do the rest.
"""

import glob
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

VARIABLE = "SWEEP_TOOL"
"""The environment variable that names the command, its environment's folder, or its interpreter."""

ASK = (
    "import importlib.util, json, sys; found = importlib.util.find_spec('orchestrator'); "
    "print(json.dumps([sys.executable, found and found.origin]))"
)
PATIENCE_S = 60.0

INSTALL = (
    "Install it: uv tool install sweep-orchestrator, or pipx install sweep-orchestrator. "
    f"Or name it: {VARIABLE}=PATH of the `sweep` command, of its environment or of its interpreter."
)


def _find() -> "tuple[str, str]":
    """Return the command's interpreter and the path of its package."""
    looked = []
    for name, path in _places():
        python = _interpreter(path)
        if python is None:
            looked.append(f"{name}: {path} is no `sweep` command")
        else:
            answer = _ask(python)
            if isinstance(answer, list):
                return answer[0], answer[1]
            looked.append(f"{name}: {path} {answer}")
        if name == VARIABLE:
            break
    where = "; ".join(looked) or "it is neither on PATH nor where uv and pipx put commands"
    raise ImportError(f"orchestrator drives the `sweep` command, which was not found: {where}.\n  {INSTALL}")


def _places() -> "Iterator[tuple[str, str]]":
    """Yield the places where the command may be, in order."""
    named = os.environ.get(VARIABLE)
    if named:
        yield VARIABLE, os.path.expanduser(named)
    on_path = shutil.which("sweep")
    if on_path:
        yield "PATH", on_path
    home = os.path.expanduser("~")
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    folders = [os.environ.get(name) for name in ("UV_TOOL_BIN_DIR", "PIPX_BIN_DIR", "XDG_BIN_HOME")]
    folders.append(os.path.join(home, ".local", "bin"))
    tools = os.environ.get("UV_TOOL_DIR") or os.path.join(data, "uv", "tools")
    for pattern in (tools, os.path.join(data, "pipx", "venvs"), os.path.join(home, ".local", "pipx", "venvs")):
        folders += glob.glob(os.path.join(glob.escape(pattern), "sweep-orchestrator", "bin"))
    for folder in folders:
        if folder and os.access(os.path.join(folder, "sweep"), os.X_OK):
            yield folder, os.path.join(folder, "sweep")


def _interpreter(path: str) -> "str | None":
    """Return the interpreter that a path stands for: an environment's, itself, or that of a command's first lines."""
    if os.path.isdir(path):
        inside = os.path.join(path, "bin", "python")
        return inside if os.path.exists(inside) else None
    if re.match(r"python[0-9.]*$", os.path.basename(path)):
        return path
    try:
        with open(path, "rb") as file:
            head = file.read(1024).decode("utf-8", "replace")
    except OSError:
        return None
    found = re.match(r"#!(/\S*python[0-9.]*)\s", head) or re.match(r"#!/bin/sh\n'''exec' (?:\"([^\"]+)\"|(\S+)) ", head)
    return next((part for part in found.groups() if part), None) if found else None


def _ask(python: str) -> "list[str] | str":
    """Return the command's interpreter and package, or what is wrong with it, to follow its path."""
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        done = subprocess.run(
            [python, "-I", "-c", ASK],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
        answer = json.loads(done.stdout.decode())
    except (OSError, subprocess.SubprocessError) as error:
        return f"does not run: {error}"
    except ValueError:
        return "does not say what it has"
    if not answer[1]:
        return "has no sweep-orchestrator"
    if not os.path.exists(os.path.join(os.path.dirname(answer[1]), "api", "driving.py")):
        return "has no sweep-orchestrator that can be driven (an older one, or this client itself)"
    return list(answer)


def _become() -> None:
    """Put the command's package in this one's place."""
    python, path = _find()
    spec = importlib.util.spec_from_file_location(__name__, path, submodule_search_locations=[os.path.dirname(path)])
    module = importlib.util.module_from_spec(spec)
    sys.modules[__name__] = module
    spec.loader.exec_module(module)
    vars(module)["_tool"] = python


_become()
