"""Keeps a directory's copy by the parts that a sender tells, and never writes outside of it."""

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path, PurePosixPath
from typing import assert_never

from orchestrator.execution.shipping.parts import (
    Append,
    Arrive,
    Check,
    Drop,
    Folder,
    Gone,
    Link,
    Move,
    Part,
    Piece,
    Sync,
    is_end,
)

MOST_SINGLE_SYNCS = 64
"""Up to so many files are made durable one by one; of more the whole machine's are."""

WRITE_BYTES = 1 << 15
"""Bytes of one write. For larger ones Linux takes larger pages, which on a virtual machine that gives free memory back
its host has to provide anew: that takes several times as long as the writing."""


class EscapingPathError(ValueError):
    """A part names a place outside of its directory: no sender of ours does."""


class Receiver:
    """The copy of one directory. Batches of parts are numbered; the last one may come again.

    Args:
        root: The copy; made when it does not exist.
        staging: A directory for files that are on their way, on the same file system; nobody else uses it.
    """

    def __init__(self, root: Path, staging: Path) -> None:
        self._root = root
        self._staging = staging
        self._written: set[str] = set()
        self._number = 0
        self._done = 0
        self._wrong: list[str] = []

    def apply(
        self, number: int, parts: Sequence[Part], writing: Callable[[], AbstractContextManager[object]] = nullcontext
    ) -> list[str]:
        """Do what a batch says, each part once, and return the paths that a `Check` found to be different.

        Args:
            number: The batch's.
            parts: What it says.
            writing: Makes what each part is done in that changes something; what that raises ends the batch.

        Raises:
            OSError: The disk is full, or does not work: the same batch goes on where it stopped when it is applied again.
            EscapingPathError: A path leads out of the directory.
        """
        if number != self._number:
            self._number, self._done, self._wrong = number, 0, []
        for part in parts[self._done :]:
            with nullcontext() if isinstance(part, Check | Sync) else writing():
                self._do(part)
            self._done += 1
        return self._wrong

    def _do(self, part: Part) -> None:
        match part:
            case Piece() | Arrive() | Drop() | Append():
                self._take_bytes(part)
            case Folder():
                self._make(part.path)
            case Link():
                self._link(part)
            case Move():
                self._move(part)
            case Gone():
                self._remove(self._place(part.path))
            case Check():
                self._wrong += [] if self._is_as(part) else [part.path]
            case Sync():
                self._sync()
            case _:
                assert_never(part)

    def _take_bytes(self, part: Piece | Arrive | Drop | Append) -> None:
        match part:
            case Piece():
                self._keep(part)
            case Arrive():
                self._arrive(part)
            case Drop():
                (self._staging / str(part.transfer)).unlink(missing_ok=True)
            case Append():
                self._append(part)

    def close(self) -> None:
        """Forget what is on its way."""
        shutil.rmtree(self._staging, ignore_errors=True)

    def _place(self, path: str) -> Path:
        """Where a path is, with nothing on the way to it but directories.

        Raises:
            EscapingPathError: It leads out.
        """
        pure = PurePosixPath(path)
        if not pure.parts or pure.is_absolute() or ".." in pure.parts or "\0" in path or str(pure) != path:
            raise EscapingPathError(f"{path!r} is no path inside of {self._root}")
        place = self._root / path
        for above in pure.parents:
            if (self._root / above).is_symlink() and above != PurePosixPath():
                raise EscapingPathError(f"{path!r} leads through a link in {self._root}")
        return place

    def _keep(self, part: Piece) -> None:
        self._staging.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._staging / str(part.transfer), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        _write(descriptor, part)

    def _arrive(self, part: Arrive) -> None:
        place = self._place(part.path)
        arrived = self._staging / str(part.transfer)
        if not arrived.exists():  # a file without bytes
            self._keep(Piece(part.transfer, 0, b""))
        os.truncate(arrived, part.size)
        arrived.chmod(stat.S_IMODE(part.mode) & 0o777 | 0o600)
        os.utime(arrived, ns=(part.mtime_ns, part.mtime_ns))
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_dir() and not place.is_symlink():
            self._remove(place)
        if is_end(part.path):
            _sync(arrived)
        arrived.replace(place)
        self._written.add(part.path)

    def _append(self, part: Append) -> None:
        place = self._place(part.path)
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        _write(descriptor, part)
        self._written.add(part.path)

    def _make(self, path: str) -> None:
        place = self._place(path)
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            self._remove(place)
        place.mkdir(parents=True, exist_ok=True)

    def _link(self, part: Link) -> None:
        place = self._place(part.path)
        leads_to = os.path.normpath(str(PurePosixPath(part.path).parent / part.target))
        if PurePosixPath(leads_to).is_absolute() or leads_to == ".." or leads_to.startswith("../"):
            raise EscapingPathError(f"{part.path!r} is a link to {part.target!r}, which is outside of {self._root}")
        self._remove(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(part.target)

    def _move(self, part: Move) -> None:
        source, target = self._place(part.path), self._place(part.to)
        if os.path.lexists(source):
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
        self._written.add(part.to)

    def _remove(self, place: Path) -> None:
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    def _is_as(self, part: Check) -> bool:
        place = self._place(part.path)
        try:
            if place.is_symlink() or place.stat().st_size != part.size:
                return False
            with place.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == part.digest
        except FileNotFoundError:
            return False

    def _sync(self) -> None:
        if len(self._written) > MOST_SINGLE_SYNCS:
            os.sync()
        else:
            places = [place for path in self._written if (place := self._root / path).is_file()]
            folders = {parent for place in places for parent in (place.parent, self._root)}
            for place in (*places, *folders):
                _sync(place)
        self._written.clear()


def _write(descriptor: int, part: Piece | Append) -> None:
    """Write bytes where they belong, and close the file."""
    data = memoryview(part.data)
    with os.fdopen(descriptor, "wb") as file:
        file.seek(part.offset)
        for begin in range(0, len(data), WRITE_BYTES):
            file.write(data[begin : begin + WRITE_BYTES])


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
