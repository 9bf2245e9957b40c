"""Commands that run a program in an environment of their choice, `uv run` and its like: which Python that is.

A wrapper is run once, with the question instead of the program. Then what it named is started warm, in the environment
variables that it sets, and the wrapper itself not again.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import ProgramError
from orchestrator.interpreters.finding import MEND, PYTHON, Found
from orchestrator.interpreters.probe import UnfitError, ask, interpreter_of

WRAPPERS = frozenset({"uv", "poetry", "pdm", "pixi", "conda", "mamba", "micromamba"})
PATIENCE_S = 900.0
"""The first `uv run` may make the environment."""

NOT_TAKEN = re.compile("_|SHLVL|PWD|OLDPWD|PS1|UV_RUN_RECURSION_DEPTH")
"""Variables of the process that asked, and not of the environment."""

_INLINE = re.compile(rb"^# /// script\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A command line that is a wrapper's: its own words, and those of Python that it wraps."""

    wrapper: tuple[str, ...]
    python: str


def wrapped(argv: Sequence[str], cwd: str | os.PathLike[str]) -> Wrapped | None:
    """Return how a command line divides; None for one that wraps no Python program, or wraps it in a way of its own."""
    if len(argv) < 3 or Path(argv[0]).name not in WRAPPERS or argv[1] != "run":
        return None
    for n, word in enumerate(argv[2:], start=2):
        if PYTHON.fullmatch(word):
            return Wrapped(tuple(argv[:n]), word)
        if word.endswith(".py"):
            is_uvs = Path(argv[0]).name in {"uv", "pdm"} and not _brings_its_own(Path(cwd, word))
            return Wrapped(tuple(argv[:n]), "") if is_uvs and argv[n - 1] not in {"-s", "--script"} else None
        if word in {"-m", "--module", "-s", "--script"}:
            return None
    return None


def ask_wrapper(found: Wrapped, *, cwd: str, environ: Mapping[str, str]) -> Found:
    """Return the interpreter that a wrapper runs programs in.

    Raises:
        ProgramError: It does not run one that trials can run in.
    """
    name = f"{Path(found.wrapper[0]).name} run"
    python = found.python or "python"
    try:
        answer = ask([*found.wrapper, python], cwd=cwd, environ=environ, patience_s=PATIENCE_S, more=("environ",))
        interpreter = interpreter_of(answer, python)
    except UnfitError as error:
        asked = " ".join((*found.wrapper, python))
        raise ProgramError(f"no Python for the trials: `{asked}` {error}\n  {MEND}") from error
    changed = {
        variable: value
        for variable, value in interpreter.environ.items()
        if environ.get(variable) != value and not NOT_TAKEN.fullmatch(variable)
    }
    return Found(python=interpreter, why=f"by `{name}`", at=interpreter.path, wrapper=found.wrapper, environ=changed)


def _brings_its_own(script: Path) -> bool:
    """Whether a script says itself what it needs, which `uv run` makes an environment of its own for."""
    try:
        return _INLINE.search(script.read_bytes()) is not None
    except OSError:
        return False
