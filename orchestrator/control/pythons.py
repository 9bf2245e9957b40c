"""Which Python each trial of a spec runs in: found before anything runs, one for all or one per value of a parameter."""

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator import layout
from orchestrator.arguments.command import expand, words_of
from orchestrator.errors import ProgramError
from orchestrator.interpreters import finding
from orchestrator.interpreters.finding import PYTHON, VARIABLE, Found, Request
from orchestrator.interpreters.probe import Interpreter, UnfitError, is_own, own, probe
from orchestrator.interpreters.wrappers import ask_wrapper, wrapped
from orchestrator.spec.model import PythonBy, SweepSpec, python_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Pythons:
    """The interpreters of a sweep's trials.

    Attributes:
        parameter: The path of names of the parameter that decides; empty where one is for all.
        found: By the parameter's value as text; by the empty text where one is for all.
    """

    parameter: tuple[str, ...] = ()
    found: Mapping[str, Found]

    def of(self, config: Mapping[str, Any]) -> Found:
        """Return the interpreter of the trial with a config."""
        if not self.parameter:
            return self.found[""]
        value: Any = functools.reduce(lambda inner, name: inner[name], self.parameter, config)
        return self.found[python_key(value)]

    def rows(self, cwd: str | os.PathLike[str]) -> list[tuple[str, str]]:
        """Return what decides and the interpreter that follows, one per value; the first is empty where one is for all."""
        name = ".".join(self.parameter)
        return [(f"{name}={value}" if name else "", found.text(cwd)) for value, found in self.found.items()]

    def lines(self, cwd: str | os.PathLike[str]) -> list[str]:
        """Return the interpreters for people, a line each."""
        rows = self.rows(cwd)
        width = max(len(what) for what, _ in rows)
        return [f"{what.ljust(width)}  {text}" if what else text for what, text in rows]

    def data(self) -> list[dict[str, Any]]:
        """Return the interpreters as JSON can carry them."""
        return [
            {
                "for": {".".join(self.parameter): value} if self.parameter else None,
                "path": found.python.path,
                "version": found.python.version_text,
                "packages": dict(found.python.packages),
                "why": found.why,
                "own": found.python.is_own,
            }
            for value, found in self.found.items()
        ]


@functools.cache
def own_pythons() -> Pythons:
    """Return every trial's Python as the one that runs this."""
    return Pythons(found={"": Found(python=own(), why="the one that runs this")})


def pythons_of(
    spec: SweepSpec,
    *,
    cwd: str,
    environ: Mapping[str, str],
    option: str | None = None,
    before: str | None = None,
) -> Pythons:
    """Find the interpreters of a spec's trials, and ask each what it has.

    Args:
        spec: What runs.
        cwd: Where trials run.
        environ: The environment that the sweep is started in.
        option: What ``--python`` names.
        before: What the sweep's trials ran in so far.

    Raises:
        ProgramError: One that counts cannot be used; the message says where it was looked for.
    """
    argv = words_of(expand(spec.command, program=spec.program, config={}, env=environ, json_file=layout.CONFIG_JSON))
    in_command = argv[0] if argv and os.sep in argv[0] and PYTHON.fullmatch(Path(argv[0]).name) else None
    is_named = bool(option or environ.get(VARIABLE))
    by = spec.options.python
    if isinstance(by, PythonBy) and not (in_command or is_named):
        found = {value: _find(spec, path, argv, cwd=cwd, environ=environ) for value, path in by.paths.items()}
        return Pythons(parameter=tuple(by.parameter.split(".")), found=found)
    wrapper = wrapped(argv, cwd)
    if wrapper is not None and not is_named and by is None:
        return Pythons(found={"": ask_wrapper(wrapper, cwd=cwd, environ=environ)})
    key = by if isinstance(by, str) else None
    one = _find(spec, key, argv, cwd=cwd, environ=environ, command=in_command, option=option, before=before)
    return Pythons(found={"": one})


def one_python(path: str | None, why: str, *, cwd: str, environ: Mapping[str, str]) -> Pythons:
    """Return every trial's Python as the one at a path; as the one that runs this where no path is given.

    Raises:
        ProgramError: It cannot be used.
    """
    if path is None or is_own(path):
        return own_pythons()
    try:
        return Pythons(found={"": Found(python=probe(path, cwd=cwd, environ=environ), why=why, at=path)})
    except UnfitError as error:
        raise ProgramError(f"no Python for the trials: {path} ({why}) {error}") from error


def named_pythons(spec: SweepSpec, *, cwd: str, environ: Mapping[str, str], default: Pythons) -> Pythons:
    """Return the interpreters that a spec, or SWEEP_PYTHON, names; `default` where neither does: for calls from Python.

    Raises:
        ProgramError: One of them cannot be used.
    """
    is_named = spec.options.python is not None or environ.get(VARIABLE)
    return pythons_of(spec, cwd=cwd, environ=environ) if is_named else default


def _find(
    spec: SweepSpec,
    key: str | None,
    argv: list[str],
    *,
    cwd: str,
    environ: Mapping[str, str],
    command: str | None = None,
    option: str | None = None,
    before: str | None = None,
) -> Found:
    program = _program(spec, argv)
    request = Request(
        cwd=Path(cwd),
        program_dir=Path(cwd, program).parent if program.endswith(".py") else Path(cwd),
        program=Path(program).name,
        environ=environ,
        command=command,
        option=option,
        key=key,
        before=before,
    )

    def asked(path: str) -> Interpreter:
        return probe(path, cwd=cwd, environ=environ)

    return finding.find(request, asked)


def _program(spec: SweepSpec, argv: list[str]) -> str:
    """What a user calls the program: the script of the command line, where there is one."""
    return next((word for word in argv if word.endswith(".py")), spec.program or "the program")
