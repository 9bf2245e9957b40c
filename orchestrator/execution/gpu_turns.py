"""Turns at the GPUs of this machine: sweeps that share it, whoever runs them, never give one to two trials at once.

Each GPU has two files that are locked by the kernel, so that a killed process holds nothing. The first is held while a
trial has the GPU. The second is held by whoever is next: a sweep that wants the GPU again stands behind it, so that
sweeps take turns as trials end.
"""

import contextlib
import fcntl
import json
import os
import stat
import threading
import time
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path

LOOK_S = 0.05
"""How often somebody who waits looks whether it is their turn."""

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
                joined = not any(_is_locked(_next(path)) for path in self._paths)
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
        """Take all GPUs in order, waiting for each as the next in turn; withdrawn attempts stop waiting."""
        with contextlib.ExitStack() as held:
            for path in self._paths:
                with contextlib.ExitStack() as turn:
                    self._until(turn, _next(path), key)
                    if not self._until(held, path, key):
                        return False
            self._held = held.pop_all()
        return True

    def _until(self, stack: contextlib.ExitStack, path: Path, key: Hashable) -> bool:
        while key in self._waiting:
            with contextlib.suppress(BlockingIOError):
                stack.enter_context(_locked(path, self._who))
                return True
            self._lock.release()
            time.sleep(LOOK_S)
            self._lock.acquire()
        return False


def holders(directory: Path) -> list[tuple[str, str, str]]:
    """Return (GPU, who has it, who is next) of every GPU that a sweep on this machine has; empty where nobody is."""
    found = []
    for path in sorted(directory.glob("sweep-gpu-*")):
        if path.suffix == ".next" or not _is_locked(path):
            continue
        next_ = _said(_next(path)) if _is_locked(_next(path)) else ""
        found.append((path.name.removeprefix("sweep-gpu-"), _said(path), next_))
    return found


def _next(path: Path) -> Path:
    return path.with_name(f"{path.name}.next")


@contextlib.contextmanager
def _locked(path: Path, who: str) -> Iterator[None]:
    """Hold a file's lock, and say in it who does.

    Raises:
        BlockingIOError: Somebody else holds it.
        OSError: It is no file that everybody may lock.
    """
    descriptor = _opened(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"who": who, "pid": os.getpid()}).encode(), 0)
        yield
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


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _said(path: Path) -> str:
    """What the holder of a lock says of itself; it may be another user, so that no word of it is believed."""
    try:
        said = json.loads(path.read_bytes()[:4096])
        return f"{said['who']} (process {int(said['pid'])})"[:200]
    except (OSError, ValueError, KeyError, TypeError):
        return "somebody"
