"""Which files of a project a sweep runs: those that git knows or would add, else all; never secrets, results or logs."""

import contextlib
import os
import stat
import subprocess
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator import layout
from orchestrator.errors import ProgramError
from orchestrator.project import sent
from orchestrator.project.ignoring import NEVER, USUALLY_NOT, Patterns, patterns_of, together

IGNORE_FILE = ".sweepignore"

MOST_BYTES = 100 << 20
"""Bytes of all files together; of the copy, which is compressed, about a third."""

MOST_FILES = 20_000

GIT_S = 20.0
"""How long git may take to list a project, in seconds."""

LARGEST_NAMED = 5
"""How many of the largest files are named where all together are too large."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file or symbolic link, by its path relative to the project with slashes, and its size in bytes."""

    path: str
    size: int
    is_link: bool
    is_executable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A directory that a program and what it imports lie in.

    Attributes:
        root: The top of the git repository around the working directory, else that directory itself. No links in it.
        cwd: The working directory, relative to it.
        is_git: Whether git says what belongs to it.
    """

    root: Path
    cwd: str
    is_git: bool


def project_of(cwd: str | Path) -> Project:
    """Return the project around a directory: what was sent here as one, else a repository, but none of a whole home."""
    here = Path(cwd).resolve()
    came = sent.project_around(here)
    if came is not None:
        return Project(root=came, cwd=here.relative_to(came).as_posix(), is_git=False)
    top = _git(here, "rev-parse", "--show-toplevel")
    if top is None:
        return Project(root=here, cwd=".", is_git=False)
    root = Path(os.fsdecode(top).removesuffix("\n")).resolve()
    if root == Path.home().resolve() or not here.is_relative_to(root):
        root = here
    return Project(root=root, cwd=here.relative_to(root).as_posix(), is_git=True)


def files_of(project: Project, *, without: Iterable[Path] = ()) -> list[Listed]:
    """Return what of a project goes along, sorted by path: also not what this process writes its output to.

    Args:
        project: Which one.
        without: Directories in it that do not, such as the runs directory.

    Raises:
        ProgramError: It is more than `MOST_BYTES` or `MOST_FILES`; names the largest.
    """
    places = [path.resolve() for path in without]
    left_out = [f"/{inside}/" for place in places if (inside := _inside(place, project.root))]
    ignored = together(_ignore_lines(project.root), left_out, NEVER)
    known = _known_to_git(project.root, left_out) if project.is_git else sent.files(project.root)
    outputs = _own_outputs()
    names = _walk(project.root, together(USUALLY_NOT, ignored.lines)) if known is None else known
    found: list[Listed] = []
    size = 0
    for name in names:
        listed = None if ignored.name_any(name) else _listed(project.root, name, outputs)
        if listed is None or (listed.is_link and _leads_into(project.root / name, places)):
            continue
        found.append(listed)
        size += listed.size
        if not project.is_git and (size > 10 * MOST_BYTES or len(found) > MOST_FILES):
            break  # a walk may be of a whole disk
    _check_size(project, found, size)
    return sorted(found, key=lambda each: each.path)


def _check_size(project: Project, found: list[Listed], size: int) -> None:
    if size <= MOST_BYTES and len(found) <= MOST_FILES:
        return
    largest = sorted(found, key=lambda each: -each.size)[:LARGEST_NAMED]
    named = "".join(f"\n    {each.size / 2**20:8.1f} MiB  {each.path}" for each in largest)
    raise ProgramError(
        f"{project.root} is too large to go along: {size / 2**20:,.0f} MiB in {len(found):,} files, at most "
        f"{MOST_BYTES >> 20} MiB in {MOST_FILES:,} do. The largest:{named}\n"
        f"  Name what trials do not need in {project.root / IGNORE_FILE} (a pattern per line, as in .gitignore), "
        "or run without a copy: --no-pin"
    )


def _ignore_lines(root: Path) -> tuple[str, ...]:
    try:
        return patterns_of((root / IGNORE_FILE).read_text(encoding="utf-8", errors="surrogateescape")).lines
    except OSError:
        return ()


def _known_to_git(root: Path, left_out: list[str], below: str = "") -> list[str] | None:
    """The files that git tracks or would add; of repositories inside, theirs. None where git does not answer."""
    excluded = [f"--exclude={line}" for line in (*USUALLY_NOT, *NEVER, *left_out)]
    output = _git(root / below, "ls-files", "-z", "--cached", "--others", "--exclude-standard", *excluded)
    if output is None:
        return None
    names: list[str] = []
    for name in dict.fromkeys(os.fsdecode(each) for each in output.split(b"\0") if each):
        path = f"{below}{name}"
        is_repository = (root / path).is_dir() and not (root / path).is_symlink()
        names += (_known_to_git(root, [], f"{path.rstrip('/')}/") or []) if is_repository else [path]
    return names


def _walk(root: Path, ignored: Patterns) -> Iterator[str]:
    """The files below a directory, without directories that hold a sweep or an environment."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            entries = list(os.scandir(root / below))
        except OSError:
            continue
        names = {entry.name for entry in entries}
        if below and names & {"pyvenv.cfg", "conda-meta", layout.LEDGER}:
            continue
        for entry in entries:
            path = f"{below}{entry.name}"
            is_dir = entry.is_dir(follow_symlinks=False)
            if ignored.name(path, is_dir=is_dir):
                continue
            if is_dir:
                waiting.append(f"{path}/")
            else:
                yield path


def _own_outputs() -> set[tuple[int, int]]:
    """What standard output and error are, as device and inode."""
    found = set()
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            there = os.fstat(descriptor)
            found.add((there.st_dev, there.st_ino))
    return found


def _listed(root: Path, name: str, outputs: Collection[tuple[int, int]]) -> Listed | None:
    """A file or link; None for what is gone, for our own output, and for sockets, pipes and devices."""
    try:
        found = os.lstat(root / name)
    except OSError:
        return None
    is_link = stat.S_ISLNK(found.st_mode)
    if not (is_link or stat.S_ISREG(found.st_mode)) or (found.st_dev, found.st_ino) in outputs:
        return None
    return Listed(name, 0 if is_link else found.st_size, is_link, not is_link and bool(found.st_mode & 0o100))


def _inside(path: Path, root: Path) -> str:
    """A path relative to the project; empty where it is outside or the project itself."""
    return path.relative_to(root).as_posix().removeprefix(".") if path.is_relative_to(root) else ""


def _leads_into(link: Path, places: Sequence[Path]) -> bool:
    target = link.resolve()
    return any(target.is_relative_to(place) for place in places)


def _git(where: Path, *arguments: str) -> bytes | None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", *arguments],  # noqa: S607 - the user's own git
            cwd=where,
            capture_output=True,
            timeout=GIT_S,
            check=True,
            stdin=subprocess.DEVNULL,
            env=environ,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def git_state(project: Project) -> dict[str, str] | None:
    """Return the commit, and how the files differ from it as a patch without secrets; None outside of a repository.

    Of a project that was sent here it is what came along.
    """
    if not project.is_git:
        return sent.git(project.root)
    sha = _git(project.root, "rev-parse", "HEAD")
    if sha is None:
        return None
    secrets = [f":(exclude,glob)**/{line.rstrip('/')}" for line in NEVER if not line.startswith("!")]
    inside = [f":(exclude,glob)**/{line}**" for line in NEVER if line.endswith("/")]
    patch = _git(
        project.root, "diff", "--no-ext-diff", "--no-textconv", "--relative", "HEAD", "--", ".", *secrets, *inside
    )
    return {"sha": sha.decode().strip(), "diff": (patch or b"").decode("utf-8", "replace")}
