"""What lies in a trial's directory: names and sizes, links as links."""

import os
import stat
from pathlib import Path
from typing import Any

from orchestrator import confined
from orchestrator.printable import clean

MOST_FILES = 300
"""Files that are listed."""

MOST_SEEN = 5000
"""Files that are looked at: a trial may leave a hundred thousand."""


def files_of(directory: Path, inside: Path) -> dict[str, Any]:
    """Return the files below a directory as a page lists them; no link is followed, and there may be more than are counted."""
    found: list[dict[str, Any]] = []
    n = size = 0
    try:
        confined.check_directory(directory, inside)
    except OSError:
        return {"files": [], "n": 0, "bytes": 0, "whole": True}
    for folder, folders, names in os.walk(directory):
        folders.sort()
        for name in sorted(names):
            if n >= MOST_SEEN:
                return {"files": found, "n": n, "bytes": size, "whole": False}
            entry = _entry(Path(folder, name), directory)
            n += 1
            size += entry["bytes"] or 0
            if len(found) < MOST_FILES:
                found.append(entry)
    return {"files": found, "n": n, "bytes": size, "whole": True}


def _entry(path: Path, directory: Path) -> dict[str, Any]:
    try:
        status = path.lstat()
    except OSError:
        return {"name": clean(str(path.relative_to(directory))), "bytes": None, "kind": "gone"}
    is_file = stat.S_ISREG(status.st_mode)
    kind = "" if is_file else confined.KINDS.get(stat.S_IFMT(status.st_mode), "no file")
    return {"name": clean(str(path.relative_to(directory))), "bytes": status.st_size if is_file else None, "kind": kind}
