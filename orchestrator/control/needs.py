"""What trials need of every node: this machine's versions, their program's files, the libraries that it imports by its source."""

import ast
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from orchestrator import layout
from orchestrator.arguments.sources import Sources, read
from orchestrator.control.pythons import Pythons
from orchestrator.execution.fitness import Wanted
from orchestrator.interpreters.agreement import expected
from orchestrator.interpreters.finding import Found
from orchestrator.interpreters.probe import UnfitError, ask
from orchestrator.spec.model import SweepSpec
from orchestrator.trial.contract.command import expand, program_of
from orchestrator.trial.contract.launch import Program, ProgramKind


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
    argv = expand(spec.command, program=spec.program, config={}, env=environ, json_file=layout.CONFIG_JSON)
    files: dict[str, None] = {}
    libraries: dict[str, tuple[str, ...]] = {}
    for found in pythons.found.values():
        source = _source(program_of(argv, program=spec.program, cwd=cwd, found=found), Path(cwd))
        always, perhaps = (set[str](), set[str]())
        if source is not None:
            files[str(source)] = None
            roots = (source.parent, Path(cwd))
            sources = read(source, roots)
            always, perhaps = (always, perhaps) if sources is None else imported(sources, roots)
        here = _found_here(found, perhaps - always, cwd=cwd, environ={**environ, **found.environ})
        libraries[found.python.path] = tuple(sorted(always | here))
    wanted = of_any(cwd)
    return replace(
        wanted,
        files=tuple(files),
        pinned=pinned,
        libraries=libraries,
        pythons=expected([found.python for found in pythons.found.values()]),
    )


def imported(sources: Sources, roots: tuple[Path, ...]) -> tuple[set[str], set[str]]:
    """Return the top-level names of what a project imports that is neither its own nor Python's: in any case, and perhaps."""
    always: set[str] = set()
    perhaps: set[str] = set()
    for place in sources.places:
        surely = not place.conditional and not place.functions
        for name in _names(place.node):
            if name not in sys.stdlib_module_names and not _is_local(name, roots):
                (always if surely else perhaps).add(name)
    return always, perhaps


def _found_here(found: Found, names: set[str], *, cwd: str, environ: Mapping[str, str]) -> set[str]:
    """Which of these the interpreter finds on this machine."""
    if not names:
        return set()
    try:
        answer = ask([found.python.path], cwd=cwd, environ=environ, more=("lacks", json.dumps(sorted(names))))
    except UnfitError:
        return set()
    return names - set(answer["lacks"])


def _names(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and not node.level and node.module:
        return {node.module.partition(".")[0]}
    return set()


def _is_local(name: str, roots: tuple[Path, ...]) -> bool:
    return any((root / name).is_dir() or (root / f"{name}.py").is_file() for root in roots)


def _source(program: Program, cwd: Path) -> Path | None:
    """The file that a program begins with, where it is one of the project's."""
    if program.kind is ProgramKind.SCRIPT:
        return cwd / program.target
    if program.kind not in {ProgramKind.MODULE, ProgramKind.OBJECT}:
        return None
    base = cwd.joinpath(*program.target.partition(":")[0].split("."))
    candidates = (base.with_suffix(".py"), base / "__main__.py", base / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)
