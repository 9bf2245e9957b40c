"""A function as a file: how what is defined in a script or a notebook reaches the process of a trial.

What its script or notebook defines travels inside the file, as code; what it imports is imported again where it runs, from
the same places. So the script itself is not run again in a trial, whether it guards its last lines or not.
"""

from __future__ import annotations

import json
import os
import pickletools
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator import confined
from orchestrator.errors import ProgramError
from orchestrator.trial import side


class _Function:
    """Pickles as a call of `restore`: the places to import from are there before anything is imported."""

    def __init__(self, places: Sequence[str], code: bytes, resources: str) -> None:
        self._arguments = (tuple(places), code, resources)

    def __reduce__(self) -> tuple[Any, ...]:
        return restore, self._arguments


def write(path: Path, function: Callable[..., Any], resources: Mapping[str, float] | None = None) -> None:
    """Write a function, with whatever its script or notebook defined that it needs.

    Args:
        path: The file.
        function: What trials run.
        resources: What it says that a trial takes, by Ray's names: one that is imported again has lost that.

    Raises:
        ProgramError: It refers to something that cannot leave this process.
    """
    confined.replace(path, dumped(function, resources))


def dumped(function: Callable[..., Any], resources: Mapping[str, float] | None = None) -> bytes:
    """Return what the file of a function holds; arguments and errors are those of `write`."""
    if not callable(function):
        raise ProgramError(f"function={function!r:.80} cannot be called; give the function itself, without parentheses")
    cloudpickle = side.cloudpickle()
    try:
        code = cloudpickle.dumps(function)
    except Exception as error:
        name = getattr(function, "__qualname__", repr(function))
        raise ProgramError(
            f"the function {name} cannot be sent to the trials: {type(error).__name__}: {error}\n"
            "  It refers to something that lives in this process only (a lock, an open file, a connection, a generator).\n"
            "  Create that inside the function."
        ) from error
    return bytes(cloudpickle.dumps(_Function(_places(), code, json.dumps(dict(resources or {})))))


def restore(places: Sequence[str], code: bytes, resources: str = "") -> Any:
    """Return the function; `places` is where its process imported from, `resources` is for who reads the file unopened."""
    del resources
    sys.path[:0] = [place for place in places if place not in sys.path]
    return side.cloudpickle().loads(code)


def mentioned(path: Path) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return every text in a function's file, the names of the modules it imports among them, and where it imports from.

    Nothing is executed or imported to find out.
    """
    texts: set[str] = set()
    places: list[str] = []
    for _, argument, _ in pickletools.genops(path.read_bytes()):
        if isinstance(argument, str):
            places.append(argument)
        elif isinstance(argument, bytes):
            texts |= {inner for _, inner, _ in pickletools.genops(argument) if isinstance(inner, str)}
    return frozenset(texts), tuple(place for place in places if os.path.isabs(place))


def resources_in(path: Path) -> dict[str, float] | None:
    """Return the resources that were written with a function; None in a file of an earlier version."""
    texts = [argument for _, argument, _ in pickletools.genops(path.read_bytes()) if isinstance(argument, str)]
    noted = next((text for text in texts if text.startswith("{")), None)
    return None if noted is None else json.loads(noted)


def _places() -> list[str]:
    """Where this process imports from beyond what every process of this interpreter does."""
    own = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    own.add(os.path.join(os.path.realpath(sysconfig.get_path("stdlib")), "lib-dynload"))
    places = [os.path.abspath(place) for place in sys.path if os.path.isdir(place or ".")]
    return [place for place in places if os.path.realpath(place) not in own]
