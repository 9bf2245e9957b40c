"""The rule by which a sweep's Python is found: places in order, the first that names one wins, and every look is told.

Where somebody named an interpreter, or has an environment, one that cannot be used is an error, never passed over.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.errors import ProgramError
from orchestrator.interpreters.probe import Interpreter, UnfitError, is_own, own, own_is_tool

VARIABLE = "SWEEP_PYTHON"
OPTION = "--python"
KEY = "orchestrator.python"
FOLDERS = (".venv", "venv", ".pixi/envs/default")
"""Environments that belong to the folder they are in."""

SHOWN = ("wandb", "torch", "tensorboard", "tensorboardX", "jax", "lightning", "numpy")
N_SHOWN = 3

TELLING = frozenset(SHOWN) - {"numpy"}
"""What a Python that models are trained in has at least one of."""

MEND = (
    f"Name one: {OPTION} PATH, {VARIABLE}=PATH, or `orchestrator: {{python: PATH}}` in the spec, "
    "where PATH is an interpreter or an environment's folder."
)

PYTHON = re.compile(r"python(?:(?P<major>\d)(?:\.(?P<minor>\d+))?)?")
"""Names of interpreters, and the version that they promise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the rule decides by.

    Attributes:
        cwd: Where trials run; relative paths start there.
        program_dir: The folder of the program, as a path.
        program: What the program is called.
        environ: The environment that the sweep is started in.
        command: The path of an interpreter in the command line.
        option: What ``--python`` names.
        key: What the spec's ``orchestrator.python`` names.
        before: What the sweep's trials ran in so far.
        is_tool: Whether `sweep` has an environment for itself alone, as uv and pipx make them for tools. Where it was installed
            into one that somebody made, that one is meant by its `python` on PATH, and rather than a Python that has nothing.
    """

    cwd: Path
    program_dir: Path
    environ: Mapping[str, str]
    program: str = "the program"
    command: str | None = None
    option: str | None = None
    key: str | None = None
    before: str | None = None
    is_tool: bool = field(default_factory=own_is_tool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place that the rule looks at.

    Attributes:
        name: What it is, in the account of the search.
        why: How an interpreter that is found here is said to be found.
        path: The interpreter that it names; empty for none.
        lacks: Why it names none.
        counts: Whether one that cannot be used ends the search.
    """

    name: str
    why: str
    path: str = ""
    lacks: str = ""
    counts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The interpreter of trials.

    Attributes:
        why: How it was found.
        at: The path that it was found at: a shim, say.
        wrapper: The words of a command before it, such as ``uv run``.
        environ: Variables that the wrapper sets.
        skipped: Of the places that were passed over, those that hold a Python which cannot be used.
    """

    python: Interpreter
    why: str
    at: str = ""
    wrapper: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()

    def text(self, cwd: str | os.PathLike[str]) -> str:
        """Return it in one line: path, versions, how it was found."""
        found = versions(self.python.version_text, self.python.packages)
        return f"{_short(self.python.path, cwd)}  {found} ({'; '.join((self.why, *self.skipped))})"


def versions(python: str, packages: Mapping[str, str]) -> str:
    """Return the versions of an interpreter and of what matters most of its packages, as ``3.10.13, wandb 0.21.4``."""
    shown = [f"{name} {packages[name]}" for name in SHOWN if name in packages][:N_SHOWN]
    return ", ".join([python, *shown])


def find(request: Request, probe: Callable[[str], Interpreter]) -> Found:
    """Return the interpreter that trials run in.

    Args:
        request: What is given.
        probe: Asks the interpreter at a path; raises an `UnfitError`.

    Raises:
        ProgramError: The one that counts cannot be used.
    """
    account: list[str] = []
    skipped: list[str] = []
    bare: dict[str, str] = {}  # paths by prefix: one may go by several names
    for place in places(request):
        if not place.path:
            account.append(f"{place.name}: {place.lacks}")
            if place.counts:
                raise _unusable(place, place.lacks, account)
            continue
        try:
            python = probe(place.path)
        except UnfitError as error:
            account.append(f"{place.name}: {place.path} {error}")
            if place.counts:
                raise _unusable(place, f"{place.path} {error}", account) from error
            skipped.append(f"{place.path} {error}")
            continue
        if python.is_own and not place.counts and request.is_tool:
            account.append(f"{place.name}: {place.path} is the sweep command's own")
            continue
        if not (python.is_own or place.counts or request.is_tool or TELLING & python.packages.keys()):
            account.append(f"{place.name}: {place.path} has nothing to train with")
            bare.setdefault(python.prefix, place.path)
            continue
        return Found(python=python, why=place.why, at=place.path, skipped=(*skipped, *_bare(list(bare.values()))))
    why = "the sweep command's own; no other was found"
    return Found(python=own(), why=why, skipped=(*skipped, *_bare(list(bare.values()))))


def _bare(paths: Sequence[str]) -> list[str]:
    """Say in one sentence, if any, which interpreters have nothing to train with; the first two by their paths."""
    if not paths:
        return []
    more = f" and {len(paths) - 2} more" if len(paths) > 2 else ""
    named = f"{', '.join(paths[:2])}{more}" if more else " and ".join(paths)
    return [f"{named} {'has' if len(paths) == 1 else 'have'} neither wandb nor torch nor their like"]


def places(request: Request) -> Iterator[Place]:
    """Yield the places where the rule looks, in order, up to the sweep command's own."""
    cwd, environ = request.cwd, request.environ
    if request.command:
        yield Place(name="command", why="named in the command", path=str(cwd / request.command))
    given = ((OPTION, request.option), (VARIABLE, environ.get(VARIABLE)), (KEY, request.key))
    for name, value in given:
        if value:
            yield _named(name, value, cwd, environ)
    if request.before:
        yield Place(name="the sweep so far", why="as the sweep's trials so far", path=request.before)
    yield from _activated(environ)
    yield from _beside(request)
    yield from _on_path(environ, is_tool=request.is_tool)


def _named(name: str, value: str, cwd: Path, environ: Mapping[str, str]) -> Place:
    """The interpreter that somebody named: by its path, by its environment's folder, or as a command."""
    path = cwd / Path(value).expanduser()
    if path.is_dir():
        python = _python_in(path)
        return Place(name=name, why=name, path=python, lacks=f"{value} is a folder without bin/python")
    if os.sep not in value and not os.path.lexists(path):
        command = shutil.which(value, path=environ.get("PATH"))
        return Place(name=name, why=name, path=command or "", lacks=f"{value} is no file, folder or command on PATH")
    return Place(name=name, why=name, path=str(path))


def _activated(environ: Mapping[str, str]) -> Iterator[Place]:
    folder = environ.get("VIRTUAL_ENV")
    if folder:
        lacks = f"{folder} has no bin/python; `deactivate` it, or make it anew"
        yield Place(name="VIRTUAL_ENV", why="VIRTUAL_ENV", path=_python_in(Path(folder)), lacks=lacks)
    else:
        yield Place(name="VIRTUAL_ENV", why="", lacks="not set", counts=False)
    folder = environ.get("CONDA_PREFIX")
    if not folder:
        yield Place(name="CONDA_PREFIX", why="", lacks="not set", counts=False)
    elif environ.get("CONDA_DEFAULT_ENV") == "base" or Path(folder, "condabin").is_dir():
        yield Place(
            name="CONDA_PREFIX", why="", lacks="is conda's base, which is active for no sweep's sake", counts=False
        )
    else:
        python = _python_in(Path(folder))
        yield Place(
            name="CONDA_PREFIX", why="CONDA_PREFIX", path=python, lacks=f"{folder} has no Python", counts=bool(python)
        )


def _beside(request: Request) -> Iterator[Place]:
    """The environments of the program's folder and of those above it, up to the repository's and to where trials run."""
    folders = _upwards(request.program_dir, request.cwd)
    for folder in folders:
        for name in FOLDERS:
            environment = folder / name
            if not os.path.lexists(environment / "bin" / "python"):
                continue
            if not _is_ours(environment, request.program_dir):
                yield Place(name=str(environment), why="", lacks="belongs to another user", counts=False)
                continue
            side = "beside" if folder == request.program_dir else "above"
            why = f"found {side} {request.program}"
            yield Place(name=why, why=why, path=str(environment / "bin" / "python"))
    looked = folders[0] if len(folders) == 1 else f"{folders[0]} up to {folders[-1]}"
    yield Place(name=f"{', '.join(FOLDERS)} in {looked}", why="", lacks="not there", counts=False)


def _upwards(start: Path, cwd: Path) -> Sequence[Path]:
    """A folder and those above it up to its repository's root and to `cwd`, whichever is further; else the folder alone."""
    folders = [start, *start.parents]
    roots = [n for n, folder in enumerate(folders) if (folder / ".git").exists() and _is_ours(folder / ".git", start)]
    last = max([*roots[:1], *(n for n, folder in enumerate(folders) if folder == cwd)], default=0)
    return folders[: last + 1]


def _is_ours(path: Path, program_dir: Path) -> bool:
    """Whether what lies at a path belongs to the user, to root, or to whom the program belongs."""
    try:
        return path.stat().st_uid in {os.geteuid(), 0, program_dir.stat().st_uid}
    except OSError:
        return False


def _on_path(environ: Mapping[str, str], *, is_tool: bool) -> Iterator[Place]:
    """What W&B's agent would run; what cannot be used is passed over, since nobody chose it for this."""
    is_any = False
    for folder in environ.get("PATH", os.defpath).split(os.pathsep):
        for name in ("python", "python3"):
            path = os.path.join(folder, name)
            if not os.path.isabs(path) or not os.access(path, os.X_OK) or os.path.isdir(path):
                continue
            is_any = True
            if is_own(path) and is_tool:
                yield Place(name="PATH", why="", lacks=f"{path} is the sweep command's own", counts=False)
                continue
            yield Place(name="PATH", why="first on PATH", path=path, counts=False)
    if not is_any:
        yield Place(name="PATH", why="", lacks="has no python or python3", counts=False)


def _python_in(environment: Path) -> str:
    """The interpreter of an environment's folder; empty where it has none."""
    return next((str(p) for name in ("python", "python3") if os.path.lexists(p := environment / "bin" / name)), "")


def _unusable(place: Place, problem: str, account: Sequence[str]) -> ProgramError:
    before = f"\n  Looked at before it: {'; '.join(account[:-1])}." if account[:-1] else ""
    return ProgramError(f"no Python for the trials: {place.name}: {problem}{before}\n  {MEND}")


def _short(path: str, cwd: str | os.PathLike[str]) -> str:
    relative = os.path.relpath(path, cwd)
    home = os.path.expanduser("~")
    if not relative.startswith(".." + os.sep):
        return relative
    return f"~{path[len(home) :]}" if path.startswith(home + os.sep) else path
