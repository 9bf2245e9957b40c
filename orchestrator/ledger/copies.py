"""What another place may have of a sweep's directory: its files in a fixed order, and its ledger as it is at one moment."""

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from orchestrator import layout
from orchestrator.errors import LedgerError
from orchestrator.ledger.connection import connect

NEVER = frozenset(
    {layout.LOCK, layout.ORIGIN, layout.STORAGE, *(f"{layout.LEDGER}{end}" for end in layout.LEDGER_BESIDE)}
)
"""Files at the top of a sweep that say something of the machine that it runs on."""

HEAVY = frozenset({layout.CHECKPOINTS, layout.ARTIFACTS, layout.USED_ARTIFACTS})
"""Directories of a trial in which models are."""


HALF = re.compile(r"(^|/)\.([^/]+\.)?([0-9a-f]{8}|[0-9]+)\.tmp$")
"""Files of ours until all of them is there (`confined.replace` and its like); another program's may end so for good."""


def copy_ledger(source: Path, target: Path) -> None:
    """Copy a ledger as it is at one moment, also while a controller writes it.

    Raises:
        LedgerError: It cannot be read.
    """
    try:
        with closing(connect(source, read_only=True)) as ledger, closing(sqlite3.connect(target)) as copy:
            ledger.backup(copy)
        target.chmod(source.stat().st_mode & 0o777)
    except sqlite3.Error as error:
        raise LedgerError(f"{source}: {error}") from error


def paths(
    root: Path,
    trials: frozenset[str] | None = None,
    *,
    with_heavy: bool = True,
    unread: Callable[[OSError], object] = lambda _: None,
) -> Iterator[str]:
    """Yield the files and links of a sweep, relative to it: its own first, then trial by trial; without the ledger.

    Args:
        root: The sweep's directory.
        trials: What the directories are called of the trials that are wanted; None for all.
        with_heavy: Whether checkpoints and artifacts are.
        unread: Called for each directory that is there, and cannot be read: what is in it is passed over.
    """
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            entries = sorted(os.scandir(root / below), key=lambda entry: entry.name)
        except FileNotFoundError:
            continue
        except OSError as error:
            unread(error)
            continue
        directories = []
        for entry in entries:
            path = f"{below}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if not is_left_out(path, trials, with_heavy=with_heavy):
                    directories.append(f"{path}/")
            elif path not in {*NEVER, layout.LEDGER} and not (path.startswith(layout.PROOF) or HALF.search(path)):
                yield path
        waiting += reversed(directories)


def is_left_out(path: str, trials: frozenset[str] | None, *, with_heavy: bool) -> bool:
    """Return whether a directory stays: a copy of the project that is unpacked, what is half there, what is not wanted."""
    parts = path.split("/")
    if parts[0] == layout.CODE:
        return len(parts) == 2
    if parts[-1] in {layout.ARRIVING, layout.CLAIMS, layout.FETCHED}:
        return True
    if parts[0] != layout.TRIALS or len(parts) < 2:
        return False
    if trials is not None and parts[1] not in trials:
        return True
    return not with_heavy and len(parts) == 3 and parts[2] in HEAVY
