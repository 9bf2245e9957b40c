"""The copies of the project that lie beside a sweep's ledger: which its trials ran, and whether it has changed since.

`code/` holds, per fingerprint, an archive, what is in it, and how it differed from its commit; `index.json` says when
each was made, and which one trials run from. What a project is called and where it lies never enters a fingerprint, so
that a copy of it is the same project.
"""

import json
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator import confined
from orchestrator.errors import ProgramError
from orchestrator.layout import SweepDir
from orchestrator.project.ignoring import USUALLY_NOT, together
from orchestrator.project.listing import Project, files_of, git_state, project_of
from orchestrator.project.snapshot import Contents, contents_of, link_the_rest, pack, unpack

MOST_INDEX_BYTES = 16 << 20
MOST_DIFF_BYTES = 16 << 20

PROJECTS = "sweep-projects"
"""The directory beside a runs directory in which projects lie that came from elsewhere, by what is in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy that was made.

    Attributes:
        fingerprint: Its name, from what is in it.
        time: When it was made.
        root: Where the project lay.
        root_from_sweep: The same, seen from the sweep's directory.
        cwd: The working directory, relative to the project.
        sha: The commit that was checked out; None outside of a repository.
    """

    fingerprint: str
    time: float
    root: str
    root_from_sweep: str
    cwd: str
    sha: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Every copy of a sweep, the latest last; and the one that its trials run from, None for the project itself."""

    copies: Sequence[Copy] = ()
    pinned: str | None = None

    @property
    def latest(self) -> Copy | None:
        """What trials ran last."""
        return self.copies[-1] if self.copies else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What came of looking at the project when a sweep begins or goes on.

    Attributes:
        copy: What trials run; None where no copy could be made.
        changes: How the project differs from what trials ran last, a line each; empty for a new sweep.
        problem: Why there is no copy of it; None where there is.
    """

    copy: Copy | None
    changes: Sequence[str] = field(default=())
    problem: str | None = None


class KeptCode:
    """The copies of one sweep. The caller holds the sweep's lock.

    Args:
        sweep_dir: Where the sweep lies.
        cwd: The directory that its trials are launched from.
    """

    def __init__(self, sweep_dir: SweepDir, cwd: str | Path) -> None:
        self._dir = sweep_dir
        self._cwd = Path(cwd)
        self._project: Project | None = None

    @property
    def project(self) -> Project:
        """The project around the working directory."""
        if self._project is None:
            self._project = project_of(self._cwd)
        return self._project

    def keep(self) -> Kept:
        """Make a copy of the project as it is now, unless the latest is the same.

        Raises:
            OSError: It cannot be written.
        """
        index = index_of(self._dir)
        try:
            listed = files_of(self.project, without=[self._dir.path.parent])
        except ProgramError as error:
            return Kept(copy=None, problem=str(error))
        latest = index.latest
        if latest is not None and (before := self.contents(latest)) is not None:
            now = contents_of(self.project.root, listed)
            if now.fingerprint == latest.fingerprint:
                return Kept(copy=latest)
            return Kept(copy=self._add(index, listed), changes=now.changes_since(before))
        return Kept(copy=self._add(index, listed))

    def changes_since(self, copy: Copy) -> Sequence[str]:
        """Return how the project differs from a copy, a line each; nothing where that cannot be told."""
        before = self.contents(copy)
        try:
            listed = files_of(self.project, without=[self._dir.path.parent])
        except ProgramError:
            return ()
        return () if before is None else contents_of(self.project.root, listed).changes_since(before)

    def pin(self, copy: Copy | None) -> None:
        """Let trials run from a copy, from now on and after every `sweep resume`; None for the project itself."""
        index = index_of(self._dir)
        fingerprint = None if copy is None else copy.fingerprint
        if index.pinned != fingerprint:
            self._write(replace(index, pinned=fingerprint))

    def pinned(self) -> Copy | None:
        """Return the copy that trials run from; None where they run from the project itself."""
        index = index_of(self._dir)
        return next((copy for copy in reversed(index.copies) if copy.fingerprint == index.pinned), None)

    def latest_contents(self) -> Contents | None:
        """Return what is in the latest copy; None where there is none."""
        latest = index_of(self._dir).latest
        return None if latest is None else self.contents(latest)

    def contents(self, copy: Copy) -> Contents | None:
        """Return what is in a copy; None where that cannot be read."""
        try:
            data = confined.read_json(self._dir.code_path / f"{copy.fingerprint}.json", self._dir.path)
            contents = Contents(entries={str(path): str(entry) for path, entry in data.items()})
        except (OSError, ValueError, AttributeError):
            return None
        return contents if contents.fingerprint == copy.fingerprint else None

    def archive_path(self, copy: Copy) -> Path:
        """Where the archive of a copy lies."""
        return self._dir.code_path / f"{copy.fingerprint}.tar.gz"

    def unpacked(self, copy: Copy) -> Path:
        """Return the directory that a copy is unpacked in beside its archive, with links to what did not go along.

        Raises:
            ProgramError: The copy is gone or damaged.
        """
        contents = self.contents(copy)
        target = self._dir.code_path / copy.fingerprint
        if contents is None:
            raise ProgramError(f"what is in the copy of the project {target} cannot be read. {HOW_ON}")
        root = self.project.root
        caches = together(USUALLY_NOT, [f"/{self._dir.path.parent.name}/"])

        def link(directory: Path) -> None:
            link_the_rest(directory, root, contents, but=lambda path, is_dir: caches.name(path, is_dir=is_dir))

        try:
            with confined.open_file(self.archive_path(copy), self._dir.path) as archive:
                unpack(archive, contents, target, link)
        except OSError as error:
            raise ProgramError(f"{target}: the copy of the project cannot be unpacked: {error}. {HOW_ON}") from None
        return target

    def _add(self, index: Index, listed: Sequence[Any]) -> Copy:
        project = self.project
        self._dir.code_path.mkdir(exist_ok=True)
        temporary = self._dir.code_path / f".{secrets.token_hex(4)}.tmp"
        try:
            with temporary.open("xb") as file:
                contents = pack(project, listed, file)
            copy = Copy(
                fingerprint=contents.fingerprint,
                time=time.time(),
                root=str(project.root),
                root_from_sweep=os.path.relpath(project.root, self._dir.path.resolve()),
                cwd=project.cwd,
                sha=self._keep_diff(contents.fingerprint),
            )
            temporary.replace(self.archive_path(copy))
        finally:
            temporary.unlink(missing_ok=True)
        text = json.dumps(dict(contents.entries), indent=0)
        confined.replace(self._dir.code_path / f"{copy.fingerprint}.json", text)
        self._write(replace(index, copies=[*index.copies, copy]))
        return copy

    def _keep_diff(self, fingerprint: str) -> str | None:
        state = git_state(self.project)
        if state is None:
            return None
        if 0 < len(state["diff"]) <= MOST_DIFF_BYTES:
            confined.replace(self._dir.code_path / f"{fingerprint}.diff", state["diff"])
        return state["sha"]

    def _write(self, index: Index) -> None:
        data = {"pinned": index.pinned, "copies": [asdict(copy) for copy in index.copies]}
        confined.replace(self._dir.code_path / "index.json", json.dumps(data, indent=1) + "\n")


HOW_ON = "Go on from the project as it is now with --no-pin."


def index_of(sweep_dir: SweepDir) -> Index:
    """Return what a sweep says of its copies; nothing where it says nothing, or what is no index."""
    try:
        data = confined.read_json(sweep_dir.code_path / "index.json", sweep_dir.path, most=MOST_INDEX_BYTES)
        copies = [_copy(each) for each in data["copies"]]
        pinned = data["pinned"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Index()
    return Index(copies=copies, pinned=pinned if isinstance(pinned, str) else None)


def _copy(data: Mapping[str, Any]) -> Copy:
    """A copy as it was recorded.

    Raises:
        ValueError: The record is none.
    """
    copy = Copy(**data)
    texts = (copy.fingerprint, copy.root, copy.root_from_sweep, copy.cwd)
    if not all(isinstance(text, str) for text in texts) or not copy.fingerprint.isalnum():
        raise ValueError(f"no record of a copy: {data!r}")
    return copy


def place_again(sweep_dir: SweepDir, cwd: str) -> str:
    """Return the directory to launch a recorded sweep's trials from: the recorded one, or where its project lies now.

    A project that was moved or copied together with its sweeps is found from the sweep's directory; one that is gone
    from its place, around the current directory. It is the project if it has most of the files that the copy has.
    """
    latest = index_of(sweep_dir).latest
    if latest is None:
        return cwd
    contents = KeptCode(sweep_dir, cwd).contents(latest)
    if contents is None:
        return cwd
    beside = (sweep_dir.path.resolve() / latest.root_from_sweep).resolve()
    found = [beside] if Path(cwd).is_dir() else [beside, project_of(Path.cwd()).root, Path.cwd()]
    for root in found:
        if str(root) == latest.root:
            continue
        there = root / latest.cwd
        if there.is_dir() and _has_most_of(root, contents):
            return str(there)
    return cwd


def put_back(sweep_dir: SweepDir) -> str | None:
    """Unpack what trials ran last beside the runs directory, where the project is nowhere; return where to launch trials from.

    None where the sweep has no copy of its project.

    Raises:
        ProgramError: It cannot be unpacked.
    """
    latest = index_of(sweep_dir).latest
    code = KeptCode(sweep_dir, sweep_dir.path)
    contents = None if latest is None else code.contents(latest)
    if latest is None or contents is None:
        return None
    root = sweep_dir.path.resolve().parent.parent / PROJECTS / f"{Path(latest.root).name}-{latest.fingerprint}"
    there = (root / latest.cwd).resolve()
    if not there.is_relative_to(root):
        return None
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with confined.open_file(code.archive_path(latest), sweep_dir.path) as archive:
            unpack(archive, contents, root)
        there.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProgramError(f"{root}: the project cannot be put there: {error}") from error
    return str(there)


def _has_most_of(root: Path, contents: Contents) -> bool:
    present = sum(os.path.lexists(root / path) for path in contents.entries)
    return present * 2 > len(contents.entries)
