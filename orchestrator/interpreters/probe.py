"""Asks an interpreter what it is and which versions it has: a run of a tenth of a second, remembered until that changes."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.interpreters import cache, pyenv

OLDEST = (3, 9)
"""The oldest Python that trials run in."""

PATIENCE_S = 60.0
"""How long an interpreter may take to answer."""

LONGEST_WORDS = 500
"""Characters of what it said last that an error shows."""

MARK = "sweep-python "
DECIDING = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "HOME")
"""Variables that decide what an interpreter sees."""


class UnfitError(Exception):
    """An interpreter that trials cannot run in; the message is what follows its path in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python that trials can run in.

    Attributes:
        path: The interpreter itself, as it calls itself: a shim's answer is what it stands for.
        version: Such as (3, 10, 13).
        prefix: The environment that it belongs to.
        packages: Versions of what matters to trials, by name of the distribution.
        places: The folders that it imports from.
        is_own: Whether it is the one that the `sweep` command runs in.
        environ: Its variables, where it was asked for them.
    """

    path: str
    version: tuple[int, ...]
    prefix: str
    packages: Mapping[str, str]
    places: Sequence[str] = ()
    is_own: bool = False
    free_threaded: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def version_text(self) -> str:
        """The version as people write it; a build without the interpreter lock has a ``t``."""
        return ".".join(map(str, self.version)) + ("t" if self.free_threaded else "")


@functools.cache
def own() -> Interpreter:
    """Return the interpreter that this process runs in."""
    from orchestrator.interpreters import self_report

    places = [place for place in sys.path if os.path.isdir(place)]
    return Interpreter(
        path=sys.executable,
        version=tuple(sys.version_info[:3]),
        prefix=sys.prefix,
        packages=self_report.versions(places),
        places=places,
        is_own=True,
        free_threaded="t" in sys.abiflags,
    )


def is_own(path: str) -> bool:
    """Return whether a path is this process's interpreter, under any of the names that its environment has for it."""
    prefix = os.path.realpath(os.path.dirname(os.path.dirname(os.path.abspath(path))))
    if prefix != os.path.realpath(sys.prefix) or not os.path.exists(path):
        return False
    is_venv = os.path.exists(os.path.join(sys.prefix, "pyvenv.cfg"))
    return is_venv or os.path.realpath(path) == os.path.realpath(sys.executable)


def own_is_tool() -> bool:
    """Return whether this process's environment was made for the command alone: by `uv tool`, `uvx` or pipx."""
    prefix = Path(sys.prefix)
    return (
        any((prefix / name).exists() for name in ("uv-receipt.toml", "pipx_metadata.json"))
        or "archive-v0" in prefix.resolve().parts  # uv's cache
    )


def probe(path: str, *, cwd: str, environ: Mapping[str, str]) -> Interpreter:
    """Return what the interpreter at a path says of itself.

    Raises:
        UnfitError: It is not there, does not answer, or is too old.
    """
    if is_own(path):
        return own()
    if not os.path.exists(path):
        raise UnfitError("leads nowhere: what it links to is gone" if os.path.islink(path) else "does not exist")
    if not (os.path.isfile(path) and os.access(path, os.X_OK)):
        raise UnfitError("is no program that may be executed")
    chosen_by = pyenv.choice(path, cwd, environ)
    key = json.dumps([os.path.abspath(path), [environ.get(name) for name in DECIDING], chosen_by.key])
    answer = cache.kept(key, environ)
    if answer is None:
        answer = ask([path], cwd=cwd, environ=environ)
        if chosen_by.key or not _is_script(path):  # another script may choose anew each time
            cache.keep(key, answer, [*_places(path, answer), *chosen_by.places], environ)
    return interpreter_of(answer, path)


def ask(
    python: Sequence[str],
    *,
    cwd: str,
    environ: Mapping[str, str],
    patience_s: float = PATIENCE_S,
    more: Sequence[str] = (),
) -> dict[str, Any]:
    """Run the report in an interpreter and return what it says.

    Args:
        python: The words that start it: a path, or a wrapper with what it wraps.
        cwd: Where it is started.
        environ: Its environment.
        patience_s: How long that may take, in seconds.
        more: What it is to say besides: ``environ``, or ``lacks`` and a JSON list of names.

    Raises:
        UnfitError: It does not start, fails, or says nothing in time.
    """
    command = [*python, "-c", report_source(), *more]
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise UnfitError(f"does not start: {_why_not(python[0], error, environ)}") from error
    try:
        output, errors = process.communicate(timeout=patience_s)
    except subprocess.TimeoutExpired:
        raise UnfitError(f"does not answer within {patience_s:.0f} seconds") from None
    finally:
        _end(process)
    lines = [line for line in output.splitlines() if line.startswith(MARK)]
    if process.returncode != 0 or not lines:
        last = " ".join(errors.split())[-LONGEST_WORDS:] or "it says nothing"
        how = f"signal {-process.returncode}" if process.returncode < 0 else f"exit code {process.returncode}"
        raise UnfitError(f"does not run ({how}): {last}")
    return _checked(lines[-1][len(MARK) :])


def report_source() -> str:
    """Return the script by which an interpreter says what it is."""
    return Path(__file__).with_name("self_report.py").read_text(encoding="utf-8")


def interpreter_of(answer: Mapping[str, Any], path: str) -> Interpreter:
    """Return the interpreter that an answer describes.

    Raises:
        UnfitError: It is too old.
    """
    version = tuple(answer["version"])
    found = Interpreter(
        path=answer["executable"] or path,
        version=version,
        prefix=answer["prefix"],
        packages=answer["packages"],
        places=answer["places"],
        free_threaded=bool(answer.get("free_threaded")),
        environ=answer.get("environ", {}),
    )
    if version < OLDEST:
        raise UnfitError(f"is Python {found.version_text}; trials need {'.'.join(map(str, OLDEST))} or newer")
    return own() if is_own(found.path) else found


def _checked(text: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
        is_whole = (
            isinstance(answer["executable"], str) and isinstance(answer["prefix"], str) and len(answer["version"]) == 3
        )
        is_whole = is_whole and isinstance(answer["packages"], dict) and isinstance(answer["places"], list)
    except (ValueError, KeyError, TypeError, RecursionError):
        is_whole = False
    if not is_whole:
        raise UnfitError("does not say what it is")
    return dict(answer)


def _why_not(name: str, error: OSError | ValueError, environ: Mapping[str, str]) -> str:
    if os.sep not in name and shutil.which(name, path=environ.get("PATH")) is None:
        return f"there is no {name} on PATH"
    return str(error.strerror if isinstance(error, OSError) else error)


def _end(process: "subprocess.Popen[str]") -> None:
    """End what was started and is still there, with all that it started."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _places(path: str, answer: Mapping[str, Any]) -> list[str]:
    """What an answer depends on: the interpreter, its environment, and the folders that packages are installed into."""
    environment = os.path.join(answer["prefix"], "pyvenv.cfg")
    return [os.path.abspath(path), answer["executable"], environment, *answer["places"]]


def _is_script(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"#!"
