"""Tells the copy of a directory what changes in it, while programs write there."""

import hashlib
import math
import os
import stat
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from orchestrator.execution.shipping.parts import (
    GROWING,
    LARGE,
    Append,
    Arrive,
    Changes,
    Check,
    Drop,
    Folder,
    Found,
    Gone,
    Known,
    Link,
    Move,
    Part,
    Piece,
    Sync,
    changes,
)

SCAN_S = 0.3
"""How often a directory is looked at."""

SCAN_SHARE = 0.05
"""The largest share of the time that is spent on it."""

OVERDUE_S = 10.0
"""How long a large file that is always being written waits."""

BATCH_BYTES = 8 << 20
"""About the most bytes of one answer."""

BATCH_PARTS = 2000
"""The most parts of one."""

PIECE_BYTES = 1 << 20

TAIL_BYTES = 256
"""Bytes before its end by which a file that grew is told from one that was written anew."""

RECENT_NS = 50_000_000
"""How close to each other two changes may be to have the same time."""

MOST_TRIES = 5
"""How often a file that changes or is replaced while it is read is read again, before an end is believed without it."""

MOST_ROUNDS = 30
"""How often, when all is told that was there at a program's end, what still changes is sent before the end is believed."""

QUIET_S = 5.0
"""How long a directory must be left alone after an end, until it counts as complete: W&B's core may still write."""


@dataclass(slots=True, kw_only=True)
class _Transfer:
    """A file on its way: `start` is how it was when that began."""

    number: int
    path: str
    file: BinaryIO
    start: Found
    offset: int = 0


class Sender:
    """What goes on in one directory, for its copy. Used by one thread at a time.

    `parts` gives what to do next, `acknowledge` says that a copy has done it. After `finish` the copy is compared where
    a file may have changed in what was sent before, then made durable; only then the records of an attempt's end follow.

    Args:
        root: The directory.
        left_out: Names at its top that are not sent.
        is_copied: Whether the copy has everything that is there now.
    """

    def __init__(self, root: Path, *, left_out: Sequence[str] = (), is_copied: bool = False) -> None:
        self._root = root
        self._left_out = frozenset(left_out)
        self._known: dict[str, Known] = {}
        self._transfer: _Transfer | None = None
        self._transfers = 0
        self._todo: deque[tuple[str, str]] = deque()
        self._scanned_s = -math.inf
        self._scan_took_s = 0.0
        self._was_tail = False
        self._awaited: dict[str, float] = {}
        self._tries: dict[str, int] = {}
        self._rounds: int | None = None
        self._owed: dict[str, int] = {}
        self._missing: set[str] = set()
        self._checking = False
        self._was_checked = False
        self._is_settled = False
        self._last: Sequence[str] = ()
        self._changed_s = time.monotonic()
        if is_copied:
            self._known = {path: Known(found=f, sent=f.size) for path, f in self._scan().items()}

    @property
    def is_settled(self) -> bool:
        """Whether, since `finish`, the copy has been told everything."""
        return self._is_settled

    @property
    def missing(self) -> list[str]:
        """Files that were there at the end and have not arrived: they were replaced faster than they travel."""
        return sorted(self._missing)

    @property
    def has_more(self) -> bool:
        """Whether there is something to tell at once."""
        return bool(self._todo or self._transfer)

    @property
    def _is_restless(self) -> bool:
        return self._rounds is not None and self._rounds > MOST_ROUNDS

    @property
    def _is_tail_next(self) -> bool:
        return bool(self._todo) and self._todo[0][0] == "grown"

    @property
    def is_quiet(self) -> bool:
        """Whether it is settled, nothing has changed for a while, and the copy is known to be the same."""
        is_idle = self._is_settled and not self._checking and time.monotonic() - self._changed_s > QUIET_S
        return is_idle and not self._doubtful()

    def finish(self) -> None:
        """The program has ended: tell the rest, the records of its end last."""
        self._rounds, self._scanned_s, self._was_checked = 0, -math.inf, False
        self._owe_nothing()

    def go_on(self) -> None:
        """Another program begins here."""
        self._rounds, self._is_settled = None, False
        self._owe_nothing()

    def _owe_nothing(self) -> None:
        self._owed.clear()
        self._missing.clear()
        self._tries.clear()

    def heard(self, wrong: Sequence[str]) -> None:
        """Take in what the copy found when it was asked to compare: files that differ are sent anew."""
        for path in wrong:
            self._known.pop(path, None)
            self._owed[path] = 0
        self._checking, self._scanned_s = False, -math.inf

    def parts(self, n_bytes: int | None = None) -> list[Part]:
        """Return what the copy should do next; nothing when nothing has changed.

        Args:
            n_bytes: About how many bytes of it; files that grew have some in any case.
        """
        parts = list(self._look()) if self._is_due() else []
        left = BATCH_BYTES if n_bytes is None else n_bytes
        while self.has_more and left > (-PIECE_BYTES if self._is_tail_next else 0) and len(parts) < BATCH_PARTS:
            more = self._more()
            parts += more
            left -= size_of(more)
        if (parts or self.has_more) and not (self._is_restless and not self._is_settled):
            self._changed_s = time.monotonic()
            return parts
        return [*parts, *self._end()]

    def _is_due(self) -> bool:
        """Whether to look at the directory: now and then, and as soon as all is told that was seen before an end."""
        is_ending = self._rounds is not None and not self._is_settled and not self.has_more
        pause_s = 0.0 if is_ending else max(SCAN_S, self._scan_took_s / SCAN_SHARE)
        return time.monotonic() - self._scanned_s >= pause_s

    def _doubtful(self) -> list[str]:
        return [path for path, known in self._known.items() if known.doubtful]

    def close(self) -> None:
        """Close the file that is on its way."""
        if self._transfer is not None:
            self._transfer.file.close()
            self._transfer = None

    def _look(self) -> Iterator[Part]:
        """Look at the directory: what costs nothing is told at once, what has bytes is noted."""
        begun_s = time.monotonic()
        found = self._scan()
        self._scanned_s = time.monotonic()
        self._scan_took_s = self._scanned_s - begun_s
        overdue = found if self._rounds is not None else self._overdue()
        told = changes(self._known, found, now_ns=time.time_ns(), overdue=overdue)
        self._awaited = {path: self._awaited.get(path, begun_s) for path in told.waiting}
        if self._rounds is not None and not told.is_empty and self._owed.keys().isdisjoint(found):
            if self._rounds == 0:
                self._owed = {path: found[path].size for path in (*told.grown, *told.whole)}
            self._rounds += 1
        yield from self._cheap(told, found)
        yield from self._follow_transfer(found)
        self._todo.clear()
        on_its_way = "" if self._transfer is None else self._transfer.path
        self._todo.extend(("grown", path) for path in told.grown)
        whole = sorted(told.whole, key=lambda path: path not in self._owed)
        self._todo.extend(("whole", path) for path in whole if path != on_its_way)
        self._last = told.last

    def _overdue(self) -> set[str]:
        now_s = time.monotonic()
        return {path for path, since_s in self._awaited.items() if now_s - since_s > OVERDUE_S}

    def _cheap(self, told: Changes, found: dict[str, Found]) -> Iterator[Part]:
        for path, to in told.moved:
            self._known[to] = self._known.pop(path)
            yield Move(path, to)
        for path in told.gone:
            del self._known[path]
            yield Gone(path)
        for path in told.folders:
            self._known[path] = Known(found=found[path])
            yield Folder(path)
        for path in told.links:
            self._known[path] = Known(found=found[path])
            yield Link(path, found[path].target)

    def _follow_transfer(self, found: dict[str, Found]) -> Iterator[Part]:
        """Let the file that is on its way arrive where it lies now; if it is gone, it never arrives."""
        transfer = self._transfer
        if transfer is None:
            return
        identity = transfer.start.identity
        if transfer.path in found and found[transfer.path].identity == identity:
            return
        if transfer.path in found:
            self._replaced(transfer.path)
        now = next((path for path, f in found.items() if f.identity == identity and f.kind == "file"), None)
        if now is None:
            self.close()
            yield Drop(transfer.number)
        else:
            transfer.path = now

    def _replaced(self, path: str) -> None:
        """A file that was on its way has been replaced: no end waits for ever for what never travels whole."""
        self._tries[path] = self._tries.get(path, 0) + 1
        if self._tries[path] > MOST_TRIES and self._owed.pop(path, None) is not None:
            self._missing.add(path)

    def _more(self) -> list[Part]:
        """Bytes: of files that grew, in turns with the one that is on its way, then of the next."""
        is_tails_turn = self._is_tail_next and not self._was_tail
        self._was_tail = is_tails_turn
        if self._todo and (is_tails_turn or self._transfer is None):
            kind, path = self._todo.popleft()
            return self._grow(path) if kind == "grown" else self._begin(path)
        return [] if self._transfer is None else self._go_on(self._transfer)

    def _grow(self, path: str) -> list[Part]:
        known = self._known.get(path)
        if known is None:
            return []
        try:
            with self._open(path) as file:
                here = _file(os.fstat(file.fileno()))
                if here.identity != known.found.identity or here.size <= known.sent:
                    self._owed.pop(path, None)
                    return []
                before = min(TAIL_BYTES, known.sent)
                file.seek(known.sent - before)
                data = file.read(before + min(PIECE_BYTES, here.size - known.sent))
        except OSError:
            self._owed.pop(path, None)
            return []
        if known.tail is not None and not data[:before].endswith(known.tail):
            del self._known[path]
            return self._begin(path) if self._transfer is None else []
        known.tail = data[-TAIL_BYTES:]
        data = data[before:]
        part = Append(path, known.sent, data)
        known.sent += len(data)
        known.doubtful = True
        known.found = here
        if known.sent >= self._owed.get(path, math.inf):
            del self._owed[path]
        if known.sent < here.size:
            self._todo.appendleft(("grown", path))
        return [part]

    def _begin(self, path: str) -> list[Part]:
        try:
            file = self._open(path)
        except OSError:
            self._owed.pop(path, None)
            return []
        dropped: list[Part] = [] if self._transfer is None else [Drop(self._transfer.number)]
        self.close()  # what it was about is not known to the copy, so the next look finds it
        self._transfers += 1
        start = _file(os.fstat(file.fileno()))
        self._transfer = _Transfer(number=self._transfers, path=path, file=file, start=start)
        return [*dropped, *self._go_on(self._transfer)]

    def _go_on(self, transfer: _Transfer) -> list[Part]:
        file = transfer.file
        here = _file(os.fstat(file.fileno()))
        transfer.offset = _next_data(file, transfer.offset, here.size)
        file.seek(transfer.offset)
        data = file.read(PIECE_BYTES)
        parts: list[Part] = [Piece(transfer.number, transfer.offset, data)] if data else []
        transfer.offset += len(data)
        if data and transfer.offset < (transfer.start if _grows(transfer.path) else here).size:
            return parts
        here = _file(os.fstat(file.fileno()))
        size = min(transfer.offset, here.size) if data or transfer.offset < here.size else here.size
        self.close()
        return [*parts, *self._arrived(transfer, here, size, data[-TAIL_BYTES:] or None)]

    def _arrived(self, transfer: _Transfer, here: Found, size: int, tail: bytes | None) -> list[Part]:
        """Let a file take its place, if it is as it was when its transfer began, or has only grown."""
        path, start = transfer.path, transfer.start
        is_clean = (here.size, here.mtime_ns) == (start.size, start.mtime_ns)
        grows = _grows(path)
        tries = self._tries.pop(path, 0)
        if not is_clean and not grows and tries < MOST_TRIES:
            self._tries[path] = tries + 1
            return [Drop(transfer.number)]
        known = here if grows and here.size > start.size else start  # else the next look finds it changed
        if not grows and abs(time.time_ns() - here.mtime_ns) < RECENT_NS:  # a change of now would leave no trace
            is_clean = self._rounds is None and is_clean
            known = replace(known, mtime_ns=-1) if self._rounds is None else known
        self._known[path] = Known(found=known, sent=size, tail=tail, doubtful=not is_clean)
        self._owed.pop(path, None)
        self._missing.discard(path)
        return [Arrive(transfer.number, path, size, here.mode, here.mtime_ns)]

    def _end(self) -> list[Part]:
        """Nothing more changes: let the copy be compared, and made durable; then the records of the end."""
        is_over = self._rounds is not None and (
            not self._is_settled or time.monotonic() - self._changed_s > QUIET_S / 2
        )
        if not is_over or self._checking:
            return []
        doubtful = [] if self._is_restless and self._was_checked else self._doubtful()
        checks: list[Part] = [check for path in doubtful if (check := self._check(path)) is not None]
        if checks:
            self._checking = self._was_checked = True
            return [*checks, Sync()]
        if self._is_settled:
            return []
        self._is_settled = True
        parts: list[Part] = [Sync()]
        for path in self._last:
            parts += self._begin(path)
        return [*parts, Sync()]

    def _check(self, path: str) -> Check | None:
        known = self._known[path]
        known.doubtful = False
        digest = hashlib.sha256()
        left = known.sent
        try:
            with self._open(path) as file:
                while left > 0 and (data := file.read(min(left, PIECE_BYTES))):
                    digest.update(data)
                    left -= len(data)
        except OSError:
            return None
        return Check(path, known.sent, digest.hexdigest())

    def _open(self, path: str) -> BinaryIO:
        descriptor = os.open(self._root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(f"{path} is no file")
        return os.fdopen(descriptor, "rb", buffering=0)

    def _scan(self) -> dict[str, Found]:
        found: dict[str, Found] = {}
        waiting = [""]
        while waiting:
            below = waiting.pop()
            try:
                entries = list(os.scandir(self._root / below))
            except OSError as error:
                is_gone = below and isinstance(error, FileNotFoundError | NotADirectoryError)
                if not is_gone:  # what is not seen may be there; who clears a node means none of its trials
                    found |= {path: known.found for path, known in self._known.items() if path.startswith(below)}
                continue
            for entry in entries:
                path = f"{below}{entry.name}"
                seen = None if path in self._left_out else self._seen(entry)
                if seen is None:
                    continue
                found[path] = seen
                if seen.kind == "folder":
                    waiting.append(f"{path}/")
        return found

    def _seen(self, entry: os.DirEntry[str]) -> Found | None:
        """What lies there; None for what cannot be sent: what is gone, sockets, pipes, devices, links that lead out."""
        try:
            here = entry.stat(follow_symlinks=False)
        except OSError:
            return None
        if stat.S_ISREG(here.st_mode):
            return _file(here)
        if stat.S_ISDIR(here.st_mode):
            return Found(kind="folder")
        target = self._inside(Path(entry.path)) if stat.S_ISLNK(here.st_mode) else None
        return None if target is None else Found(kind="link", target=target)

    def _inside(self, link: Path) -> str | None:
        """A link's target as it is written, a whole path as a relative one; None where it leads out."""
        try:
            target = link.readlink()
        except OSError:
            return None
        root = os.path.normpath(self._root)
        leads_to = os.path.normpath(link.parent / target)
        if not leads_to.startswith(root + os.sep):
            return None
        return os.path.relpath(leads_to, link.parent) if target.is_absolute() else str(target)


def _grows(path: str) -> bool:
    return GROWING.search(path) is not None


def size_of(parts: Sequence[Part]) -> int:
    """Return how many bytes of files there are in parts."""
    return sum(len(part.data) for part in parts if isinstance(part, Piece | Append))


def _file(here: os.stat_result) -> Found:
    return Found(
        kind="file",
        identity=(here.st_dev, here.st_ino),
        size=here.st_size,
        mtime_ns=here.st_mtime_ns,
        mode=stat.S_IMODE(here.st_mode),
    )


def _next_data(file: BinaryIO, offset: int, size: int) -> int:
    """Where the next bytes are that are no hole; the file's size when there are none."""
    if size < LARGE or offset >= size:
        return offset
    try:
        return os.lseek(file.fileno(), offset, os.SEEK_DATA)
    except OSError:
        return size
