"""One controller per sweep: a file lock that names its holder, and that a dead holder does not keep."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import SweepLockedError


@contextmanager
def controlling(lock_path: Path) -> Iterator[None]:
    """Hold a sweep while inside. The kernel lets go of the lock when its holder dies, however it dies.

    Raises:
        SweepLockedError: Another controller holds the sweep; the message names it.
    """
    with lock_path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SweepLockedError(_refusal(lock_path)) from None
        file.seek(0)
        file.truncate()
        json.dump({"host": socket.gethostname(), "pid": os.getpid()}, file)
        file.flush()
        yield


def holder(lock_path: Path) -> str | None:
    """Return who controls a sweep now (``pid 123 on box``), or None when nobody does."""
    try:
        with lock_path.open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return _name(lock_path)
    return None


def _name(lock_path: Path) -> str:
    try:
        held = json.loads(lock_path.read_text(encoding="utf-8"))
        return f"pid {held['pid']} on {held['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"


def _refusal(lock_path: Path) -> str:
    return (
        f"the sweep in {lock_path.parent} is controlled by {_name(lock_path)}.\n"
        "  Watch it with `sweep show`, end it with `sweep stop`, or end that process and try again."
    )
