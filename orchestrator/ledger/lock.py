"""One controller per sweep: a file lock that names its holder, and that a dead holder does not keep.

On one machine the kernel decides: the lock goes with its holder, however that dies. On a network filesystem the lock
of another host may not be seen, depending on how it is mounted. There the holder also touches the file as long as it
lives, and a file that another host has touched within the last minute is held.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from orchestrator.errors import LedgerError, SweepLockedError
from orchestrator.ledger.connection import is_on_network

HEARTBEAT_S = 10.0
SILENT_S = 60.0
"""A holder on another host that has not touched the file for so long is dead."""

LONGEST = 4096
"""Bytes of a lock file: more is something else."""

PATIENCE_S = 1.0
"""How long a held lock is tried again: whoever looks at a lock has it for a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A controller. `silent_s` is how long ago it touched its file."""

    host: str
    pid: int
    silent_s: float

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}"


@contextmanager
def controlling(lock_path: Path, *, on_network: bool | None = None) -> Iterator[None]:
    """Hold a sweep while inside.

    Args:
        lock_path: The sweep's lock file.
        on_network: Whether it lies on a network filesystem; None to find out.

    Raises:
        SweepLockedError: Another controller holds the sweep; the message names it.
        LedgerError: The file cannot be locked.
    """
    on_network = is_on_network(lock_path) if on_network is None else on_network
    with _opened(lock_path, os.O_RDWR | os.O_CREAT) as file:
        _lock(file, lock_path)
        _refuse_what_is_no_lock(lock_path, file)
        other = _on_another_host(lock_path) if on_network else None
        if other is not None:
            raise SweepLockedError(_refusal(lock_path, other))
        _write(file, {"host": socket.gethostname(), "pid": os.getpid()})
        with _heartbeat(lock_path) if on_network else contextlib.nullcontext():
            try:
                yield
            finally:
                _write(file, None)


def holder(lock_path: Path, *, on_network: bool | None = None) -> str | None:
    """Return who controls a sweep now (``pid 123 on box``), or None when nobody does."""
    try:
        with _opened(lock_path, os.O_RDONLY) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return str(_holder(lock_path) or "another process")
    except (OSError, LedgerError):
        return None
    on_network = is_on_network(lock_path) if on_network is None else on_network
    other = _on_another_host(lock_path) if on_network else None
    return str(other) if other else None


def _opened(lock_path: Path, flags: int) -> IO[bytes]:
    """Open the file itself: a link is not followed, a pipe does not hang, and nothing in it changes.

    Raises:
        LedgerError: It cannot be opened, or is something else than a file.
    """
    try:
        descriptor = os.open(lock_path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO, errno.EISDIR}:
            raise _no_lock(lock_path) from error
        raise LedgerError(
            f"{lock_path}: {error.strerror}; a sweep can only be run where its directory can be written"
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_lock(lock_path)
    return os.fdopen(descriptor, "rb" if flags == os.O_RDONLY else "r+b", buffering=0)


def _no_lock(lock_path: Path) -> LedgerError:
    return LedgerError(
        f"{lock_path}: this is no lock of a sweep's controller.\n"
        "  Nobody but `sweep` writes that file. See what it is and where it came from, then remove it."
    )


def _refuse_what_is_no_lock(lock_path: Path, file: IO[bytes]) -> None:
    """Make sure that what is about to be overwritten is a lock: another name of some other file is not.

    A lock of an earlier controller may be cut short, by a full disk for example.
    """
    content = file.read(LONGEST + 1)
    if len(content) > LONGEST or (content.strip(b"\0") and not content.startswith(b"{")):
        raise _no_lock(lock_path)


def _lock(file: IO[bytes], lock_path: Path) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                raise SweepLockedError(_refusal(lock_path, _holder(lock_path))) from None
            time.sleep(0.02)
        except OSError as error:
            raise LedgerError(
                f"{lock_path}: this filesystem cannot lock files ({error.strerror}).\n"
                "  Keep runs on one that can, with --runs-dir, or mount it with locks (Lustre: -o flock)."
            ) from error


def _write(file: IO[bytes], held: dict[str, object] | None) -> None:
    """Write who holds the lock; nothing when it is let go. A full disk does not keep anybody from either."""
    with contextlib.suppress(OSError):
        file.seek(0)
        file.truncate()
        file.write(json.dumps(held).encode() if held else b"")


def _holder(lock_path: Path) -> Holder | None:
    try:
        with _opened(lock_path, os.O_RDONLY) as file:
            held = json.loads(file.read(LONGEST))
            silent_s = max(0.0, time.time() - os.fstat(file.fileno()).st_mtime)
        return Holder(host=str(held["host"]), pid=int(held["pid"]), silent_s=silent_s)
    except (OSError, LedgerError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _on_another_host(lock_path: Path) -> Holder | None:
    """The holder, if it is on another host and lives."""
    held = _holder(lock_path)
    if held is None or held.host == socket.gethostname() or held.silent_s > SILENT_S:
        return None
    return held


@contextmanager
def _heartbeat(lock_path: Path) -> Iterator[None]:
    """Touch the file while inside, from a thread: the controller may be busy."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT_S):
            with contextlib.suppress(OSError):
                os.utime(lock_path, follow_symlinks=False)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _refusal(lock_path: Path, held: Holder | None) -> str:
    refusal = f"the sweep in {lock_path.parent} is controlled by {held or 'another process'}.\n"
    advice = "  Watch it with `sweep attach`, end it with `sweep stop`, or end that process and try again."
    if held is None or held.host == socket.gethostname():
        return refusal + advice
    void = f"its lock is void once it has been silent for {SILENT_S:.0f} s (now {held.silent_s:.0f} s)"
    return f"{refusal}{advice}\n  Is {held.host} gone? Then {void}."
