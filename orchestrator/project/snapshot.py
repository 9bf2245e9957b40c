"""A copy of a project by its content: one archive, whose name is the fingerprint of all that is in it."""

import gzip
import hashlib
import io
import os
import secrets
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from orchestrator.errors import ProgramError
from orchestrator.project.listing import Listed, Project

FINGERPRINT_CHARS = 16

MOST_NAMED = 5
"""How many changed files are named."""

BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a project says, by path: what each file and link is, as short text that tells it from any other."""

    entries: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """The name of these contents: 16 hexadecimal digits."""
        digest = hashlib.sha256()
        for path, entry in sorted(self.entries.items()):
            digest.update(os.fsencode(path) + b"\0" + entry.encode("utf-8", "surrogateescape") + b"\0")
        return digest.hexdigest()[:FINGERPRINT_CHARS]

    def changes_since(self, before: "Contents") -> list[str]:
        """Return what is different, a line each, as git says it: ``M train.py``, ``A``, ``D``."""
        lines = []
        for path in sorted(self.entries.keys() | before.entries.keys()):
            then, now = before.entries.get(path), self.entries.get(path)
            if then != now:
                lines.append(f"{'A' if then is None else 'D' if now is None else 'M'} {path}")
        return lines


def shortly(changes: Sequence[str]) -> str:
    """Return changes on one line: the first few, and how many more."""
    more = len(changes) - MOST_NAMED
    return ", ".join(changes[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def contents_of(root: Path, listed: Iterable[Listed]) -> Contents:
    """Read a project. What vanished meanwhile is left out."""
    entries = {}
    for each in listed:
        entry = _entry(root / each.path, each)
        if entry is not None:
            entries[each.path] = entry
    return Contents(entries=entries)


def pack(project: Project, listed: Sequence[Listed], target: BinaryIO) -> Contents:
    """Write an archive of a project and return what went into it; each file is read once.

    Raises:
        OSError: The archive cannot be written.
    """
    entries = {}
    with (
        gzip.GzipFile(fileobj=target, mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for each in listed:
            entry = _pack_one(archive, project.root, each)
            if entry is not None:
                entries[each.path] = entry
    return Contents(entries=entries)


def _pack_one(archive: tarfile.TarFile, root: Path, each: Listed) -> str | None:
    path = root / each.path
    info = tarfile.TarInfo(each.path)
    info.mode = 0o755 if each.is_executable else 0o644
    if each.is_link:
        entry = _entry(path, each)
        if entry is not None:
            info.type, info.linkname = tarfile.SYMTYPE, str(path.readlink())
            archive.addfile(info)
        return entry
    try:
        content = path.read_bytes()
        info.mtime = int(path.stat().st_mtime)
    except OSError:
        return None
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))
    return _file_entry(hashlib.sha256(content).hexdigest(), each)


def _entry(path: Path, each: Listed) -> str | None:
    try:
        if each.is_link:
            return f"link {path.readlink()}"
        with path.open("rb") as file:
            return _file_entry(hashlib.file_digest(file, "sha256").hexdigest(), each)
    except OSError:
        return None


def _file_entry(digest: str, each: Listed) -> str:
    return f"{'x' if each.is_executable else 'f'} {digest}"


def unpack(
    archive: BinaryIO, contents: Contents, target: Path, finish: Callable[[Path], None] = lambda _: None
) -> None:
    """Put what an archive holds into a directory that is then there as a whole, or not at all.

    In one that is there, files of the archive that were changed or removed are put back; whatever else is in it stays.

    Args:
        archive: What `pack` wrote.
        contents: What must be in it.
        target: The directory.
        finish: Called with the directory, a new one before it is put in its place.

    Raises:
        ProgramError: Something else is in it.
        OSError: It cannot be written.
    """
    if target.is_dir() and holds(target, contents):
        finish(target)
        return
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        try:
            with tarfile.open(fileobj=archive, mode="r:gz") as opened:
                opened.extractall(fresh, filter="tar")
        except (tarfile.TarError, EOFError, gzip.BadGzipFile) as error:
            raise ProgramError(f"the copy of the project {target.name} cannot be unpacked: {error}") from None
        if not holds(fresh, contents):
            raise ProgramError(f"the copy of the project {target.name} is damaged: it does not hold what it should")
        if target.is_dir():
            _put_back(fresh, contents, target)
            finish(target)
        else:
            finish(fresh)
            fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _put_back(fresh: Path, contents: Contents, target: Path) -> None:
    """Move what differs from one directory to another. What is no directory, or no file, where one has to be, is moved aside."""
    for path, entry in contents.entries.items():
        place = target / path
        if _entry(place, _as_listed(path, entry)) == entry:
            continue
        for parent in _parents(path):
            if os.path.lexists(target / parent) and ((target / parent).is_symlink() or not (target / parent).is_dir()):
                _move_aside(target / parent)
        if place.is_dir() and not place.is_symlink():
            _move_aside(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        (fresh / path).replace(place)


def _move_aside(path: Path) -> None:
    path.rename(path.with_name(f"{path.name}.aside-{secrets.token_hex(4)}"))


def holds(directory: Path, contents: Contents) -> bool:
    """Return whether every file of these contents is there as it was; others do not matter."""
    return all(_entry(directory / path, _as_listed(path, entry)) == entry for path, entry in contents.entries.items())


def changes_in(directory: Path, contents: Contents) -> list[str]:
    """Return how these files are otherwise in a directory, a line each; others do not matter."""
    listed = [_as_listed(path, entry) for path, entry in contents.entries.items()]
    return contents_of(directory, listed).changes_since(contents)


def _as_listed(path: str, entry: str) -> Listed:
    return Listed(path, 0, entry.startswith("link "), entry.startswith("x "))


def link_the_rest(snapshot: Path, root: Path, contents: Contents, *, but: Callable[[str, bool], bool]) -> None:
    """Link what lies in a project and did not go along (data, what is built, secrets) into its copy, where it is missing.

    Args:
        snapshot: The copy.
        root: The project.
        contents: What went along.
        but: Whether a path, and whether it is a directory, is left out all the same.
    """
    kept = {"", *(parent for path in contents.entries for parent in _parents(path))}
    for below in sorted(kept):
        try:
            entries = list(os.scandir(root / below))
        except OSError:
            continue
        for entry in entries:
            path = f"{below}/{entry.name}" if below else entry.name
            is_dir = entry.is_dir(follow_symlinks=False)
            is_usual = is_dir or entry.is_symlink() or stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode)
            if is_usual and path not in contents.entries and not but(path, is_dir):
                _link(snapshot / path, root / path)


def _link(link: Path, target: Path) -> None:
    """Let a link lead somewhere, also one that leads elsewhere so far; a file of that name stays."""
    if link.is_symlink() and link.readlink() != target:
        link.unlink()
    if not os.path.lexists(link):
        link.symlink_to(target)


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]
