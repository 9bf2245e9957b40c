"""The paths that running trials of a sweep wrote at the same time: a line each, in a file of the sweep's directory."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterable

from orchestrator.layout import SweepDir

MOST_CONFLICTS = 100
"""Lines that are read at most."""


def add_conflict(sweep_dir: SweepDir, path: str, trials: Iterable[int]) -> None:
    """Note who wrote a path.

    Raises:
        OSError: The file cannot be written.
    """
    line = json.dumps({"path": path, "trials": sorted(trials)}) + "\n"
    with open(sweep_dir.conflicts_path, "a", encoding="utf-8") as file:
        file.write(line)


def conflicts(sweep_dir: SweepDir) -> list[tuple[str, tuple[int, ...]]]:
    """Return the paths that running trials of a sweep wrote at the same time, and who did; other lines are passed over."""
    try:
        descriptor = os.open(sweep_dir.conflicts_path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return []
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
        lines = file.read(MOST_CONFLICTS * 1000).splitlines() if stat.S_ISREG(os.fstat(descriptor).st_mode) else []
    found: dict[str, set[int]] = {}
    for line in lines[:MOST_CONFLICTS]:
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            told = json.loads(line)
            found.setdefault(str(told["path"]), set()).update(n for n in told["trials"] if isinstance(n, int))
    return [(path, tuple(sorted(trials))) for path, trials in found.items()]
