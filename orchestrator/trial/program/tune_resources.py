"""What a Ray Tune program says that a trial takes: `tune.with_resources`, or a class's `default_resource_request`.

It is asked for in a process of its own, in the trials' Python: a sweep's controller imports nothing of the user's.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.trial.contract.function_file import mentioned, resources_in
from orchestrator.trial.side import boot

PATIENCE_S = 120.0
SIGNS = ("with_resources", "default_resource_request")
SIGNS_OF_FUNCTION = ("_resources", "default_resource_request")
MOST_FILES = 200
"""Of the user's own that are looked into for these."""

_IMPORT = re.compile(r"^\s*(?:from\s+([.\w]+)\s+)?import\s+([.\w]+)", re.MULTILINE)


def asked_for(program: str | None, cwd: str, python: str = sys.executable) -> dict[str, float] | None:
    """Return the resources by Ray's names that a program asks for; None for one that asks for none, or cannot say.

    Args:
        program: ``package.module:object``; anything else asks for none.
        cwd: The directory that trials run in.
        python: The interpreter that they run in.
    """
    module, colon, _ = (program or "").partition(":")
    seen: set[Path] = set()
    if not colon or not any(_mentions(source, Path(cwd), seen) for source in _sources(Path(cwd), module)):
        return None
    return _answer(str(program), cwd, python)


def function_asks_for(path: Path, cwd: str) -> dict[str, float] | None:
    """Return what the function in a file of `function_file` asks for; None for one that asks for none, or cannot say.

    Args:
        path: The file.
        cwd: The directory that trials run in.
    """
    noted = resources_in(path)
    if noted is not None:
        return noted or None
    texts, _ = mentioned(path)
    return None if texts.isdisjoint(SIGNS_OF_FUNCTION) else _answer(str(path.absolute()), cwd, sys.executable)


def _answer(program: str, cwd: str, python: str) -> dict[str, float] | None:
    command = [python, "-c", boot("orchestrator.trial.program.tune_resources", "main"), program]
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
        found: dict[str, float] | None = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, OSError, ValueError, IndexError):
        return None  # the trial will say what is wrong with the program
    return found


def _mentions(source: Path, root: Path, seen: set[Path]) -> bool:
    """Whether a file, or one of the user's own that it imports, has something to say about resources."""
    if source in seen or len(seen) >= MOST_FILES:
        return False
    seen.add(source)
    text = _text(source)
    return any(sign in text for sign in SIGNS) or any(
        _mentions(path, root, seen) for path in _imported(text, root, source.parent)
    )


def _imported(text: str, *roots: Path) -> Iterator[Path]:
    for base, name in _IMPORT.findall(text):
        package = base.lstrip(".")
        for root in roots:
            for module in filter(None, (package, f"{package}.{name}".lstrip("."))):
                yield from _sources(root, module)


def _sources(root: Path, module: str) -> list[Path]:
    path = root.joinpath(*module.split("."))
    return [found for found in (path.with_suffix(".py"), path / "__init__.py") if found.is_file()]


def known_resources_of(trainable: Any) -> Mapping[str, float] | None:
    """Return what a trainable asks for; None for nothing, and where it cannot say without a config."""
    try:
        return resources_of(trainable)
    except Exception:  # noqa: BLE001 - it is the user's, and the trial will say what is wrong with it
        return None


def resources_of(trainable: Any) -> Mapping[str, float] | None:
    """Return what a trainable asks for, all bundles together; None for nothing."""
    asks = getattr(trainable, "default_resource_request", None) if inspect.isclass(trainable) else None
    request = asks({}) if asks is not None else getattr(trainable, "_resources", None)
    if callable(request) and not hasattr(request, "required_resources"):
        request = request({})
    required: Mapping[str, float] | None = getattr(request, "required_resources", None)
    return required


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _trainable(program: str) -> Any:
    if Path(program).is_absolute():
        return pickle.loads(Path(program).read_bytes())  # noqa: S301 - the sweep's trials run it
    module, _, name = program.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    trainable: Any = importlib.import_module(module)
    for part in name.split("."):
        trainable = getattr(trainable, part)
    return trainable


def main() -> None:
    """Print what the program that is the first argument asks for, as JSON."""
    found = resources_of(_trainable(sys.argv[1]))
    print(json.dumps(None if found is None else dict(found)))  # noqa: T201 - for `asked_for`


if __name__ == "__main__":
    main()
