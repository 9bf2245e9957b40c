"""What a directory's copy is told to do, part by part, and which parts follow from what is there now. Pure.

Paths are relative to the directory, with slashes; names that are no UTF-8 have surrogates. Parts are applied in order,
and may be applied again.
"""

import pickle
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from orchestrator import layout

SETTLED_NS = 1_000_000_000
"""How long a large file must have been left alone before its copy begins: what is being written would be copied twice."""

GROWING = re.compile(r"\.(?:log|jsonl|csv|txt|wandb)$|tfevents")
"""What is written at its end alone, by its name: it is sent while it grows."""

LARGE = 1 << 20
"""Bytes from which on a file is large."""

ASIDE_BYTES = 1 << 16
"""Bytes from which on a piece travels beside the pickle that it belongs to, so that nobody copies it."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Make a directory."""

    path: str


@dataclass(frozen=True, slots=True)
class Link:
    """Make a symbolic link, to a target inside of the directory."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Keep bytes of a file that is on its way, under the number of its transfer."""

    transfer: int
    offset: int
    data: bytes | memoryview

    def __reduce__(self) -> tuple[Any, ...]:
        """Give a pickler that takes buffers the bytes as one."""
        data = self.data if len(self.data) < ASIDE_BYTES else pickle.PickleBuffer(self.data)
        return Piece, (self.transfer, self.offset, data)


@dataclass(frozen=True, slots=True)
class Arrive:
    """Put a file that is complete in its place, with this size."""

    transfer: int
    path: str
    size: int
    mode: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Drop:
    """Forget a transfer: its file is gone before it was complete."""

    transfer: int


@dataclass(frozen=True, slots=True)
class Append:
    """Write bytes behind those that a file has."""

    path: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Move:
    """Rename."""

    path: str
    to: str


@dataclass(frozen=True, slots=True)
class Gone:
    """Remove a file, a link or a directory."""

    path: str


@dataclass(frozen=True, slots=True)
class Check:
    """Say whether a file has this size and SHA-256."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Sync:
    """Make everything so far durable."""


Part: TypeAlias = Folder | Link | Piece | Arrive | Drop | Append | Move | Gone | Check | Sync


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What lies somewhere: a file, a directory, or a link with its target.

    Attributes:
        identity: Device and inode.
    """

    kind: str  # "file", "folder" or "link"
    identity: tuple[int, int] = (0, 0)
    size: int = 0
    mtime_ns: int = 0
    mode: int = 0o644
    target: str = ""


@dataclass(slots=True, kw_only=True)
class Known:
    """What the copy has of it.

    Attributes:
        found: As it was when it was last read.
        sent: Bytes that were sent of a file.
        tail: The last bytes of those; None where they are not known.
        doubtful: Whether it may have changed in what was sent before, so that it has to be compared in the end.
    """

    found: Found
    sent: int = 0
    tail: bytes | None = None
    doubtful: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is different, in the order in which it is told.

    Attributes:
        moved: Renamed files, old and new path.
        gone: What is no longer there, the innermost first.
        folders: New directories, the outermost first.
        links: New or changed links.
        grown: Files that have more bytes.
        whole: Files to send from their beginning.
        last: Records of an attempt's end: to be sent when everything else has arrived.
        waiting: Large files that are being written, which wait.
    """

    moved: Sequence[tuple[str, str]] = ()
    gone: Sequence[str] = ()
    folders: Sequence[str] = ()
    links: Sequence[str] = ()
    grown: Sequence[str] = ()
    whole: Sequence[str] = ()
    last: Sequence[str] = field(default=())
    waiting: Sequence[str] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell but the records of an end."""
        return not (self.moved or self.gone or self.folders or self.links or self.grown or self.whole or self.waiting)


def is_end(path: str) -> bool:
    """Return whether a path is that of a record of an attempt's end, by which the attempt is believed to be over."""
    return "/" not in path and path.startswith(layout.END)


def changes(
    known: Mapping[str, Known], found: Mapping[str, Found], *, now_ns: int, overdue: Container[str] = ()
) -> Changes:
    """Return how what is there differs from what the copy has.

    Args:
        known: What the copy has.
        found: What is there.
        now_ns: The time now, by the clock of the files' times.
        overdue: Large files that are sent though they were just written.
    """
    moved = _moved(known, found)
    came_from = {to: path for path, to in moved}
    left = {path for path, _ in moved}
    whole: list[str] = []
    grown: list[str] = []
    last: list[str] = []
    waiting: list[str] = []
    for path, here in found.items():
        if here.kind != "file":
            continue
        before = None if path in left and path not in came_from else known.get(came_from.get(path, path))
        if not _must_be_sent(before, here):
            continue
        is_growth = (
            before is not None
            and before.found.identity == here.identity
            and here.size > before.sent
            and GROWING.search(path) is not None
        )
        if is_end(path):
            last.append(path)
        elif is_growth:
            grown.append(path)
        elif path in overdue or here.size < LARGE or now_ns - here.mtime_ns > SETTLED_NS or GROWING.search(path):
            whole.append(path)
        else:
            waiting.append(path)
    gone = [p for p, k in known.items() if p not in left and (p not in found or found[p].kind != k.found.kind)]
    return Changes(
        moved=moved,
        gone=sorted(gone, key=lambda path: (-path.count("/"), path)),
        folders=sorted(p for p, f in found.items() if f.kind == "folder" and _differs(known.get(p), f)),
        links=sorted(p for p, f in found.items() if f.kind == "link" and _differs(known.get(p), f)),
        grown=grown,
        whole=sorted(whole, key=lambda path: found[path].size),
        last=last,
        waiting=waiting,
    )


def _moved(known: Mapping[str, Known], found: Mapping[str, Found]) -> list[tuple[str, str]]:
    """Files that have another path now, and are what they were: a number of a file alone may be another's by now."""
    staying = {k.found.identity for p, k in known.items() if p in found and found[p].identity == k.found.identity}
    gone = {
        k.found: path
        for path, k in known.items()
        if k.found.kind == "file" and k.found.identity not in staying and not is_end(path) and k.sent == k.found.size
    }
    moves: list[tuple[str, str]] = []
    for path, here in found.items():
        before = known.get(path)
        is_new = before is None or before.found.identity != here.identity
        if here.kind == "file" and is_new and here in gone and not is_end(path):
            moves.append((gone.pop(here), path))
    ends = {to for _, to in moves}
    return [move for move in moves if move[0] not in ends]


def _must_be_sent(before: Known | None, here: Found) -> bool:
    if before is None or before.found.identity != here.identity or before.found.kind != "file":
        return True
    return here.size != before.sent or here.mtime_ns != before.found.mtime_ns


def _differs(before: Known | None, here: Found) -> bool:
    return before is None or before.found.kind != here.kind or before.found.target != here.target
