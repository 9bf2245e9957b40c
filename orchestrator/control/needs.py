"""What trials need of every node: this machine's versions, their program's files, the libraries that it imports by its source."""

import ast
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from orchestrator import layout
from orchestrator.arguments.command import expand, program_of
from orchestrator.arguments.sources import certain, read
from orchestrator.control.pythons import Pythons
from orchestrator.execution.fitness import Wanted
from orchestrator.interpreters.agreement import expected
from orchestrator.interpreters.finding import Found
from orchestrator.interpreters.probe import UnfitError, ask
from orchestrator.spec.model import SweepSpec
from orchestrator.trial.contract.launch import Program, ProgramKind

OURS = "orchestrator"


def of_any(cwd: str) -> Wanted:
    """Return what trials of whatever spec need."""
    return Wanted(python=platform.python_version(), ray=version("ray"), cwd=cwd)


def of_spec(spec: SweepSpec, pythons: Pythons, *, cwd: str, environ: Mapping[str, str], pinned: bool) -> Wanted:
    """Return what the trials of a spec need. What its program imports perhaps only must be there if it is here.

    Args:
        spec: What runs.
        pythons: What it runs in.
        cwd: Where.
        environ: The environment that the sweep is started in.
        pinned: Whether the project goes along.

    Raises:
        ProgramError: The program is not even here.
    """
    files: dict[str, None] = {}
    libraries: dict[str, tuple[str, ...]] = {}
    for found, source in _sources(spec, pythons, cwd=cwd, environ=environ):
        always, perhaps = (set[str](), set[str]())
        if source is not None:
            files[str(source)] = None
            always, perhaps = imported(source, Path(cwd))
        lacking = _lacking(found, perhaps, cwd=cwd, environ=environ)
        here = set() if lacking is None else perhaps - lacking
        libraries[found.python.path] = tuple(sorted(always | here))
    wanted = of_any(cwd)
    return replace(
        wanted,
        files=tuple(files),
        pinned=pinned,
        libraries=libraries,
        pythons=expected([found.python for found in pythons.found.values()]),
    )


def not_found(
    spec: SweepSpec, pythons: Pythons, *, cwd: str, environ: Mapping[str, str]
) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return by path of an interpreter what it does not find here of what its program imports in any case; none that has all.

    An interpreter whose folders show all of it is not started.

    Args:
        spec: What runs.
        pythons: What it runs in.
        cwd: Where.
        environ: The environment that the sweep is started in.

    Returns:
        The program's file, relative to `cwd` where it lies there, and the names of modules.

    Raises:
        ProgramError: The program is not there.
    """
    missing: dict[str, tuple[str, tuple[str, ...]]] = {}
    for found, source in _sources(spec, pythons, cwd=cwd, environ=environ):
        if source is None:
            continue
        always, _ = imported(source, Path(cwd))
        lacking = _lacking(found, always - _seen(found.python.places), cwd=cwd, environ=environ)
        if lacking:
            missing[found.python.path] = (os.path.relpath(source, cwd), tuple(sorted(lacking)))
    return missing


def imported(source: Path, cwd: Path) -> tuple[set[str], set[str]]:
    """Return the top-level names of what a program imports that is neither its own nor Python's: in any case, and perhaps.

    Nothing is certain of a program that changes where it imports from.
    """
    roots = (source.parent, cwd)
    sources = read(source, roots)
    if sources is None:
        return set(), set()
    every = {name for place in sources.places for name in _names(place.node) if not _is_local(name, roots)}
    if any(
        place.module.origin(place.node) == "sys.path" for place in sources.places if isinstance(place.node, ast.expr)
    ):
        return set(), every
    always = {name for place in certain(sources, roots) for name in _names(place.node)} & every
    return always, every - always


def _seen(places: Iterable[str]) -> set[str]:
    """Return the names of what folders have to import: packages, modules, extensions."""
    found: set[str] = set()
    for place in places:
        with suppress(OSError):
            found |= {path.name.partition(".")[0] for path in Path(place).iterdir()}
    return found


def _lacking(found: Found, names: set[str], *, cwd: str, environ: Mapping[str, str]) -> set[str] | None:
    """Return which of these the interpreter does not find on this machine; None where it does not answer."""
    if not names:
        return set()
    told = {**environ, **found.environ}
    try:
        answer = ask([found.python.path], cwd=cwd, environ=told, more=("lacks", json.dumps(sorted(names))))
    except UnfitError:
        return None
    return set(answer["lacks"])


def _names(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and not node.level and node.module:
        return {node.module.partition(".")[0]}
    return set()


def _is_local(name: str, roots: tuple[Path, ...]) -> bool:
    """Whether a name is Python's, the project's, or what every trial has of this package."""
    if name in sys.stdlib_module_names or name == OURS:
        return True
    return any((root / f"{name}.py").is_file() or _has_code(root / name) for root in roots)


def _has_code(folder: Path) -> bool:
    """Whether a folder is a package, if one without `__init__`: one called `wandb` may hold runs."""
    return any(next(folder.glob(pattern), None) for pattern in ("*.py", "*/*.py"))


def _sources(
    spec: SweepSpec, pythons: Pythons, *, cwd: str, environ: Mapping[str, str]
) -> Iterator[tuple[Found, Path | None]]:
    """Yield the interpreters, each with the file that its program begins with, where it is one of the project's."""
    argv = expand(spec.command, program=spec.program, config={}, env=environ, json_file=layout.CONFIG_JSON)
    for found in pythons.found.values():
        yield found, _source(program_of(argv, program=spec.program, cwd=cwd, found=found), Path(cwd))


def _source(program: Program, cwd: Path) -> Path | None:
    """The file that a program begins with, where it is one of the project's."""
    if program.kind is ProgramKind.SCRIPT:
        return cwd / program.target
    if program.kind not in {ProgramKind.MODULE, ProgramKind.OBJECT}:
        return None
    base = cwd.joinpath(*program.target.partition(":")[0].split("."))
    candidates = (base.with_suffix(".py"), base / "__main__.py", base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)
