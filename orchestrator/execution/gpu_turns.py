"""Turns at the GPUs of this machine: sweeps that share it, whoever runs them, never give one to two trials at once.

Each GPU has a file that is locked while a trial has it, and each who waits for it has one beside that. The kernel frees
the locks of a killed process, so that it holds nothing and waits for nothing.

Time is shared, not trials: start-time fair queueing (Goyal, Vin and Cheng 1996). Who waits has a tag, the time that it has
had the GPU so far, but no less than the tag of whoever had it last, so that nobody saves up time by staying away. The
lowest tag is next.
"""

import contextlib
import fcntl
import json
import os
import secrets
import stat
import threading
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

LOOK_S = 0.05
"""How often somebody who waits looks whether it is their turn."""

RETURN_S = 0.5
"""How long a GPU is kept for who gave it back last, where that one has had less of it than those who wait."""

MOST_BYTES = 4096
"""How much of a lock is read."""

MOST_S = 1e10
"""The most seconds that are believed."""

WAITING = ".next-"
"""What stands between a GPU and a random word in the name of a file of somebody who waits for it."""

PLACES = ("/run/lock", "/tmp")  # noqa: S108 - what lies there is opened without following links
"""Where the files lie: directories that are every user's, in which nobody can replace another's."""


def lock_dir() -> Path | None:
    """Return where this machine's locks lie, `SWEEP_LOCK_DIR` first; None where there is no place for them."""
    named = os.environ.get("SWEEP_LOCK_DIR")
    if named:
        return Path(named)
    for place in map(Path, PLACES):
        with contextlib.suppress(OSError):
            if stat.S_IMODE(place.stat().st_mode) == 0o1777:
                return place
    return None


class GpuTurns:
    """The GPUs of one worker. Attempts that share them hold them together.

    Args:
        gpu_ids: As CUDA_VISIBLE_DEVICES names them.
        who: What is said of the holder.
        directory: Where the locks lie.
    """

    def __init__(self, gpu_ids: Sequence[str], who: str, directory: Path) -> None:
        self._paths = [directory / f"sweep-gpu-{gpu}" for gpu in sorted(gpu_ids)]
        self._who = who
        self._lock = threading.Lock()
        self._held: contextlib.ExitStack | None = None
        self._had_s = dict.fromkeys(self._paths, 0.0)
        self._holders: set[Hashable] = set()
        self._waiting: set[Hashable] = set()
        self._taking = False

    def expect(self, key: Hashable) -> None:
        """Let an attempt be one that waits, until its turn comes or it is withdrawn."""
        with self._lock:
            self._waiting.add(key)

    def wait(self, key: Hashable) -> bool:
        """Wait until it is the turn of an attempt that is expected; return False when it was withdrawn before.

        Raises:
            OSError: A lock cannot be opened, so that there are no turns.
        """
        while key in self._waiting:
            if self._join(key):
                return True
            time.sleep(LOOK_S)
        return False

    def withdraw(self, key: Hashable) -> bool:
        """Let an attempt wait no longer; return whether it did."""
        with self._lock:
            waits = key in self._waiting
            self._waiting.discard(key)
            return waits

    def release(self, key: Hashable) -> None:
        """Note that an attempt is over; the last one gives the GPUs back."""
        with self._lock:
            self._holders.discard(key)
            if not self._holders and self._held is not None:
                self._held.close()
                self._held = None

    def _join(self, key: Hashable) -> bool:
        """Take the GPUs, or a part in them where they are held already and nobody else waits for them."""
        with self._lock:
            if key not in self._waiting or self._taking:
                return False
            if self._held is not None:
                joined = not any(_waiting(path) for path in self._paths)
            else:
                self._taking = True
                try:
                    joined = self._take(key)
                finally:
                    self._taking = False
            if joined:
                self._waiting.discard(key)
                self._holders.add(key)
            return joined

    def _take(self, key: Hashable) -> bool:
        """Take all GPUs in order, each in turn; withdrawn attempts stop waiting."""
        with contextlib.ExitStack() as held:
            for path in self._paths:
                tag = max(self._had_s[path], _number(_said(path).get("tag")))
                with _in_queue(path, self._who, tag) as place:
                    while not self._is_given(held, path, place, tag):
                        self._lock.release()
                        time.sleep(LOOK_S)
                        self._lock.acquire()
                        if key not in self._waiting:
                            return False
            self._held = held.pop_all()
        return True

    def _is_given(self, held: contextlib.ExitStack, path: Path, place: Path, tag: float) -> bool:
        """Take a GPU if it is free and nobody else's turn."""
        with contextlib.ExitStack() as taken:
            try:
                descriptor = taken.enter_context(_locked(path))
            except BlockingIOError:
                return False
            if _may_return(_said(path), tag) or min(_waiting(path), default=(tag, place)) < (tag, place):
                return False
            _say(descriptor, who=self._who, tag=tag)
            taken.callback(self._give_back, descriptor, path, tag, time.monotonic())
            held.push(taken.pop_all())
        return True

    def _give_back(self, descriptor: int, path: Path, tag: float, since_s: float) -> None:
        now_s = time.monotonic()
        self._had_s[path] = tag + now_s - since_s
        _say(descriptor, who=self._who, tag=tag, then=self._had_s[path], free_s=now_s)


def holders(directory: Path) -> list[tuple[str, str, str]]:
    """Return (GPU, who has it, who is next) of every GPU that a sweep on this machine has; empty where nobody is."""
    found = []
    for path in sorted(directory.glob("sweep-gpu-*")):
        if WAITING in path.name or not _is_locked(path):
            continue
        queue = _waiting(path)
        found.append((path.name.removeprefix("sweep-gpu-"), _name(path), _name(min(queue)[1]) if queue else ""))
    return found


def _waiting(path: Path) -> list[tuple[float, Path]]:
    """Return the tags and files of those who wait for a GPU; what dead ones left goes."""
    found = []
    for place in path.parent.glob(f"{path.name}{WAITING}*"):
        with contextlib.suppress(OSError), _reading(place) as descriptor:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                place.unlink()
            except BlockingIOError:
                tag = _said(place).get("tag")
                if tag is not None:
                    found.append((_number(tag), place))
    return found


def _may_return(last: Mapping[str, Any], tag: float) -> bool:
    """Whether who had a GPU last has had less than somebody with this tag, and may be about to want it again."""
    gone_s = time.monotonic() - _number(last.get("free_s"))
    return "free_s" in last and 0 <= gone_s < RETURN_S and _number(last.get("then")) < tag


@contextlib.contextmanager
def _in_queue(path: Path, who: str, tag: float) -> Iterator[Path]:
    """Wait for a GPU where others see it: a file that is locked before anybody takes it for a dead one's.

    Yields:
        The file.

    Raises:
        OSError: It cannot be made.
    """
    while True:
        place = path.with_name(f"{path.name}{WAITING}{secrets.token_hex(8)}")
        descriptor = _opened(place)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            break
        os.close(descriptor)
    try:
        _say(descriptor, who=who, tag=tag)
        yield place
    finally:
        with contextlib.suppress(OSError):
            place.unlink()
        os.close(descriptor)


def _say(descriptor: int, **about: object) -> None:
    """Write into a lock who holds it, as a whole: it is read at any moment."""
    if os.fstat(descriptor).st_size > MOST_BYTES:
        os.ftruncate(descriptor, 0)
    content = json.dumps({**about, "pid": os.getpid()}).encode()
    os.pwrite(descriptor, content.ljust(os.fstat(descriptor).st_size), 0)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Hold a file's lock.

    Yields:
        Its descriptor.

    Raises:
        BlockingIOError: Somebody else holds it.
        OSError: It is no file that everybody may lock.
    """
    descriptor = _opened(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    """Open a lock, and make it first where there is none: nothing is followed, and nothing that is there is emptied."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
        os.fchmod(descriptor, 0o666)
        return descriptor
    descriptor = os.open(path, flags)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(descriptor)
        raise OSError(f"{path} is no lock")
    return descriptor


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_locked(path: Path) -> bool:
    try:
        with _reading(path) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _said(path: Path) -> Mapping[str, Any]:
    """What the holder of a lock says of itself; it may be another user, so that no word of it is believed."""
    try:
        with _reading(path) as descriptor:
            said = json.loads(os.pread(descriptor, MOST_BYTES, 0))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _name(path: Path) -> str:
    said = _said(path)
    try:
        return f"{said['who']} (process {int(said['pid'])})"[:200]
    except (ValueError, KeyError, TypeError, OverflowError):
        return "somebody"


def _number(value: object) -> float:
    """A number of seconds that somebody else wrote; 0 for what is none."""
    return float(value) if isinstance(value, int | float) and 0 <= value < MOST_S else 0.0
