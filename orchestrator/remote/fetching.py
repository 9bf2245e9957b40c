"""The laptop's side of `sweep fetch`: the stream of `sending` becomes files, each complete and checked before it is there.

One file after the other arrives in `.fetched/` under the sweep's directory. Once its SHA-256 is what the head says, it takes its
place; what was interrupted is offered to the head again, as the beginning of that file.

Meanwhile the sweep's lock is held. Where its ledger is not the one that came the last time, somebody worked here since: then
nothing comes.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from orchestrator import confined, layout
from orchestrator.errors import SweepError, SweepLockedError
from orchestrator.layout import SweepDir
from orchestrator.ledger.copies import NEVER
from orchestrator.ledger.lock import controlling

PART, PART_OF = "part", "part.json"
"""The file that arrives, and whose beginning it is."""

CAME = "ledgers.json"
"""The SHA-256 of the ledgers that came: the last one, and the one before it, which is there until that has its place."""

BESIDE = tuple(f"{layout.LEDGER}{end}" for end in layout.LEDGER_BESIDE)
"""What SQLite keeps beside a ledger, and would read into another one."""

MOST_LINE = 1 << 20

MOST_DATA = 1 << 20


class StreamError(SweepError):
    """What comes is not what a head sends."""


@dataclass(slots=True)
class Fetched:
    """What came so far.

    Attributes:
        path: The sweep's directory here; None before its name is known.
        n_new: Files that came, or grew.
        n_same: Files that were here already.
        n_bytes: Bytes that came.
        changed: Files that changed while they were sent: they are as they were here before.
        left_out: Links that lead elsewhere, and files that are odd here.
        is_done: Whether all of it is here.
    """

    path: Path | None = None
    n_new: int = 0
    n_same: int = 0
    n_bytes: int = 0
    changed: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    is_done: bool = False

    @property
    def place(self) -> Path:
        """The sweep's directory here, once there is one."""
        assert self.path is not None
        return self.path


class Receiver:
    """Takes a stream in any pieces.

    Args:
        runs: The directory to put the sweep's directory in.
        tell: Called with what came so far, after each file and now and then in large ones.
    """

    def __init__(self, runs: Path, tell: Callable[[Fetched], None] = lambda _: None) -> None:
        self.fetched = Fetched()
        self._runs = runs
        self._tell = tell
        self._kept = bytearray()
        self._n_data = 0
        self._file: _Arriving | None = None
        self._held = contextlib.ExitStack()

    def feed(self, data: bytes) -> None:
        """Take the next piece.

        Raises:
            SweepError: It is no stream of a head, or what is here must stay: a sweep that was not fetched, that was changed
                since, that a controller or another `sweep fetch` holds.
            OSError: It cannot be written.
        """
        self._kept += data
        while True:
            if self._n_data:
                if len(self._kept) < self._n_data:
                    return
                self._take_data(bytes(self._kept[: self._n_data]))
                del self._kept[: self._n_data]
                self._n_data = 0
            line, found, _ = self._kept.partition(b"\n")
            if not found:
                if len(self._kept) > MOST_LINE:
                    raise StreamError("what comes from the head is no sweep")
                return
            del self._kept[: len(line) + 1]
            self._take(_record(bytes(line)))

    def close(self) -> None:
        """Keep what has come of a file, for the next time, and let go of the sweep."""
        if self._file is not None:
            self._file.file.close()
            self._file = None
        self._held.close()

    def _take(self, record: dict[str, Any]) -> None:
        match record:
            case {"sweep": str(name)} if self.fetched.path is None:
                path = place_of(self._runs, name)
                _make(path, record)
                _hold(path, self._held)
                _refuse_changed(path)
                self.fetched.path = path
            case {"done": int()} if self.fetched.path is not None:
                self.fetched.is_done = True
            case {"same": str()}:
                self.fetched.n_same += 1
            case {"link": str(path), "to": str(target)}:
                self._take_link(path, target)
            case {"file": str(path), "size": int(), "offset": int(offset)}:
                self._begin(path, offset, record)
            case {"data": int(n)} if 0 < n <= MOST_DATA and self._file is not None:
                self._n_data = n
            case {"end": str() | None as digest} if self._file is not None:
                self._end(self._file, digest)
            case _:
                raise StreamError("what comes from the head is no sweep, or one of another release")

    def _root(self) -> Path:
        if self.fetched.path is None:
            raise StreamError("what comes from the head begins without a sweep")
        return self.fetched.path

    def _begin(self, path: str, offset: int, record: dict[str, Any]) -> None:
        root = self._root()
        target = inside(root, path)
        _refuse_links(target, root)
        part = root / layout.FETCHED / PART
        if not offset or _part_of(root) != path:
            part.unlink(missing_ok=True)
            confined.replace(root / layout.FETCHED / PART_OF, json.dumps(path))
            if offset:
                _copy_beginning(target, part, root)
        file = part.open("r+b" if offset else "wb")
        digest = hashlib.sha256()
        while left := offset - file.tell():
            data = file.read(min(MOST_DATA, left))
            if not data:
                raise StreamError(f"{path}: less of it is here than the head was told")
            digest.update(data)
        file.truncate()
        self._file = _Arriving(path=path, target=target, part=part, file=file, digest=digest, record=record)

    def _take_data(self, data: bytes) -> None:
        if self._file is None:
            raise StreamError("what comes from the head is no sweep")
        self._file.file.write(data)
        self._file.digest.update(data)
        self.fetched.n_bytes += len(data)
        self._tell(self.fetched)

    def _end(self, arrived: "_Arriving", digest: str | None) -> None:
        """Put a file into its place, if it is what the head has."""
        self._file = None
        with arrived.file as file:
            size = file.tell()
        if digest is None:
            self.fetched.changed.append(arrived.path)
            arrived.part.unlink()
            return
        if digest != arrived.digest.hexdigest() or size != arrived.record["size"]:
            arrived.part.unlink()
            raise StreamError(f"{arrived.path}: what came is not what was sent; fetch it again")
        if arrived.path == layout.LEDGER:
            _make_way_for_ledger(self._root(), digest)
        _put(arrived, self._root())
        self.fetched.n_new += 1
        self._tell(self.fetched)

    def _take_link(self, path: str, target: str) -> None:
        """Make a link that stays in the sweep; leave out any other."""
        root = self._root()
        link = inside(root, path)
        _refuse_links(link, root)
        if not _stays(target, depth=len(link.relative_to(root).parts) - 1):
            self.fetched.left_out.append(path)
            return
        _make_way(link, root)
        fresh = root / layout.FETCHED / "link"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(link)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arriving:
    path: str
    target: Path
    part: Path
    file: BinaryIO
    digest: "hashlib._Hash"
    record: dict[str, Any]


def _put(arrived: _Arriving, root: Path) -> None:
    _make_way(arrived.target, root)
    arrived.part.chmod(_mode(arrived.record, least=0o400))
    mtime = arrived.record.get("mtime")
    if isinstance(mtime, int) and 0 <= mtime < 2**63:
        os.utime(arrived.part, ns=(mtime, mtime))
    arrived.part.replace(arrived.target)


def _hold(path: Path, held: contextlib.ExitStack) -> None:
    """Hold a sweep's lock until `held` is closed: neither a controller nor another fetch has it meanwhile.

    Raises:
        SweepLockedError: One of them has it.
    """
    try:
        held.enter_context(controlling(SweepDir(path).lock_path))
    except SweepLockedError as error:
        raise SweepLockedError(
            f"{error}\n  That, or another `sweep fetch`, holds it here. Wait for its end, or fetch into another directory: "
            "sweep fetch -o DIR"
        ) from None


def _refuse_changed(root: Path) -> None:
    """Make sure that the ledger that is here is one that came, so that nothing done here is lost.

    Raises:
        SweepError: It was changed here since.
    """
    ledger = root / layout.LEDGER
    if not os.path.lexists(ledger):
        return
    try:
        has_more = any(_size(root / f"{layout.LEDGER}{end}") for end in layout.LEDGER_LOGS)
        is_as_it_came = not has_more and _size_and_digest(ledger, root)[1] in _came(root)
    except OSError:  # somebody put something else there
        is_as_it_came = False
    if not is_as_it_came:
        raise SweepError(
            f"{root} was changed here since it was fetched (its ledger is not the one that came): it is left alone.\n"
            "  Fetch into another directory: sweep fetch -o DIR"
        )


def _make_way_for_ledger(root: Path, digest: str) -> None:
    """Keep which ledger comes, and remove what lies beside the one before it."""
    confined.replace(root / layout.FETCHED / CAME, json.dumps([digest, *_came(root)[:1]]))
    for name in BESIDE:
        (root / name).unlink(missing_ok=True)


def _came(root: Path) -> list[str]:
    """The SHA-256 of the ledgers that came, the last one first."""
    try:
        found = confined.read_json(root / layout.FETCHED / CAME, root)
    except (OSError, ValueError):
        return []
    return [str(each) for each in found] if isinstance(found, list) else []


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _mode(record: dict[str, Any], *, least: int) -> int:
    """The permissions that something has on the head, as far as the umask here lets it; `least` in any case."""
    umask = os.umask(0)
    os.umask(umask)
    mode = record.get("mode")
    return least | (mode & 0o777 & ~umask if isinstance(mode, int) else 0)


def _make(path: Path, record: dict[str, Any]) -> None:
    """Make a sweep's directory, as open as the head's is and no more; what arrives in it is this user's alone."""
    if not path.exists():
        path.mkdir(mode=0o700, parents=True)
        path.chmod(_mode(record, least=0o700))
    (path / layout.FETCHED).mkdir(mode=0o700, exist_ok=True)


def _make_way(target: Path, root: Path) -> None:
    """Make the directory that something is put in."""
    _refuse_links(target, root)
    target.parent.mkdir(parents=True, exist_ok=True)


def _refuse_links(target: Path, root: Path) -> None:
    """Make sure that what is on the way to a file are directories: no links, wherever these lead, and no files.

    Raises:
        StreamError: One of them is.
    """
    for above in target.relative_to(root).parents:
        path = root / above
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            what = "a link" if path.is_symlink() else "a file"
            raise StreamError(f"{path} is {what} here, and a directory on the head: remove it and fetch again")


def _copy_beginning(source: Path, part: Path, root: Path) -> None:
    """Let what is here of a file be the beginning of what comes.

    Raises:
        StreamError: It is gone by now.
        OSError: It leads out of the sweep, or cannot be read.
    """
    try:
        with confined.open_file(source, root) as begun, part.open("wb") as copy:
            shutil.copyfileobj(begun, copy)
    except FileNotFoundError:
        raise StreamError(f"{source}: it was here, and is gone by now; fetch again") from None


def _stays(target: str, *, depth: int) -> bool:
    """Whether a link that lies so many directories deep in a sweep leads into it, also through other such links.

    It may go up only at its front, where the directories are real ones.
    """
    parts = PurePosixPath(target).parts
    n_up = next((n for n, part in enumerate(parts) if part != ".."), len(parts))
    is_odd = not target or target.startswith("/") or not _is_name(target)
    return not is_odd and n_up <= depth and ".." not in parts[n_up:]


def _is_name(text: str) -> bool:
    """Whether the system can have files of that name."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


def _record(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise StreamError("what comes from the head is no sweep")
    return found


def inside(root: Path, path: str) -> Path:
    """Return where a file of a sweep goes.

    Raises:
        StreamError: Its path leads out of the sweep's directory, or into where files arrive.
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or parts[0] in {layout.FETCHED, *NEVER} or not _is_name(path):
        raise StreamError(f"the head sends a file {path!r}, which is none of a sweep")
    return root.joinpath(*parts)


def place_of(runs: Path, name: str) -> Path:
    """Return the directory of a sweep that is fetched.

    Raises:
        SweepError: A sweep lies there that was not fetched, or the name is none of a sweep.
    """
    if not name or name.startswith(".") or "/" in name or not _is_name(name):
        raise StreamError(f"the head sends a sweep {name!r}, which is no name of one")
    path = runs.absolute() / name
    if path.is_symlink() or (path.exists() and not (path / layout.FETCHED).is_dir()):
        raise SweepError(
            f"{path} is there and was not fetched: it is left alone.\n  Say where to put the sweep with -o."
        )
    return path


def have(path: Path) -> dict[str, tuple[int, str]]:
    """Return size and SHA-256 of every file that is here of a sweep: what arrived so far comes before what is complete."""
    found: dict[str, tuple[int, str]] = {}
    for folder, directories, names in os.walk(path):
        directories[:] = [name for name in directories if name != layout.FETCHED]
        for name in names:
            file = Path(folder, name)
            relative = file.relative_to(path).as_posix()
            with contextlib.suppress(OSError):
                found[relative] = _size_and_digest(file, path)
    begun = _part_of(path)
    if begun is not None:
        with contextlib.suppress(OSError):  # another `sweep fetch` has put it into its place
            found[begun] = _size_and_digest(path / layout.FETCHED / PART, path)
    return found


def _part_of(root: Path) -> str | None:
    """The path of the file that has come in part; None where there is none."""
    if not confined.is_file(root / layout.FETCHED / PART, root):
        return None
    try:
        found = confined.read_json(root / layout.FETCHED / PART_OF, root)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, str) else None


def _size_and_digest(path: Path, root: Path) -> tuple[int, str]:
    with confined.open_file(path, root) as file:
        digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]
        return file.tell(), digest.hexdigest()
