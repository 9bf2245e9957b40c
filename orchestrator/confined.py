"""The door to the files of a sweep's directory, which may come from elsewhere: regular files, inside of it, never endless.

A directory that somebody sent may hold pipes and devices that hang whoever opens them, links to files of the reader, and
files without end. What is opened here is none of these.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from pathlib import Path
from typing import Any, BinaryIO

MOST_BYTES = 64 << 20
"""The largest file that is read as a whole."""

KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}


def open_file(path: Path, inside: Path) -> BinaryIO:
    """Open a file for reading.

    Args:
        path: The file.
        inside: The directory that it must lie in, links followed.

    Raises:
        OSError: It cannot be opened, is no regular file, or lies outside.
    """
    check(path, inside)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _check_kind(path, os.fstat(descriptor).st_mode)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path, inside: Path, *, most: int = MOST_BYTES) -> bytes:
    """Return what a file holds.

    Raises:
        OSError: As `open_file`, or it holds more than `most` bytes.
    """
    with open_file(path, inside) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"holds more than {most:,} bytes", str(path))
    return data


def read_text(path: Path, inside: Path, *, most: int = MOST_BYTES, errors: str = "strict") -> str:
    """Return what a file says, in UTF-8.

    Raises:
        OSError: As `read_bytes`.
        UnicodeDecodeError: It is no UTF-8, and `errors` is strict.
    """
    return read_bytes(path, inside, most=most).decode("utf-8", errors)


def read_json(path: Path, inside: Path, *, most: int = MOST_BYTES) -> Any:
    """Return the JSON value that a file holds.

    Raises:
        OSError: As `read_bytes`.
        ValueError: It is no JSON, or nested too deeply.
    """
    try:
        return json.loads(read_text(path, inside, most=most))
    except RecursionError:
        raise ValueError(f"{path}: nested too deeply") from None


def read_object(path: Path, inside: Path, *, most: int = MOST_BYTES) -> dict[str, Any]:
    """Return the JSON object that a file holds; an empty one where there is none that can be read."""
    try:
        found = read_json(path, inside, most=most)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def is_file(path: Path, inside: Path | None = None) -> bool:
    """Return whether `open_file` would find a file there; without `inside` it may lie anywhere. No name is too odd to ask."""
    try:
        check(path, inside or Path("/"))
    except (OSError, ValueError):
        return False
    return True


def check(path: Path, inside: Path) -> None:
    """Find out what a path leads to without opening it.

    Raises:
        OSError: It is not there, no regular file, or outside of `inside`.
    """
    _check_kind(path, path.stat().st_mode)
    if not path.resolve().is_relative_to(inside.resolve()):
        raise OSError(errno.EPERM, f"leads out of {inside}, by a link", str(path))


def check_directory(path: Path, inside: Path) -> None:
    """Make sure that a directory that exists lies where it seems to.

    Raises:
        OSError: It is something else, or leads out of `inside` by a link.
    """
    if not stat.S_ISDIR(path.stat().st_mode):
        raise OSError(errno.ENOTDIR, f"is {KINDS.get(stat.S_IFMT(path.stat().st_mode), 'a file')}", str(path))
    if not path.resolve().is_relative_to(inside.resolve()):
        raise OSError(errno.EPERM, f"leads out of {inside}, by a link", str(path))


def replace(path: Path, content: str | bytes, *, executable: bool = False, private: bool = False) -> None:
    """Write a file beside its place, then put it there: readers never see half of it, and a link there is not followed.

    It gets the permissions that the user's umask gives to any new file; a private one is for its owner alone.

    Raises:
        OSError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name[:200]}.{os.urandom(4).hex()}.tmp")
    mode = 0o600 if private else 0o777 if executable else 0o666
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def clear_way(directory: Path, names: re.Pattern[str]) -> None:
    """Remove what would be written to under these names: a link that would be followed, a pipe that would hang.

    Raises:
        OSError: It cannot be removed.
    """
    with os.scandir(directory) as entries:
        for entry in entries:
            is_usual = entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)
            if not is_usual and names.fullmatch(entry.name):
                Path(entry.path).unlink()


def _check_kind(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(errno.EPERM, f"is {KINDS.get(stat.S_IFMT(mode), 'no file')}, not a file", str(path))
