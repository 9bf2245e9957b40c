"""The runs directories that this user has kept sweeps in, newest first: remembered in the user's state folder."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from orchestrator import confined

MOST_FOLDERS = 200
MOST_BYTES = 1 << 20
FILE = "folders.json"


def remembered(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return them, whether they are still there or not; none where nothing was remembered, or the file is none of ours.

    None of them is looked at: one of a file system that does not answer would hold up whoever asks.
    """
    path = _path(environ)
    if path is None:
        return []
    try:
        found = confined.read_json(path, path.parent, most=MOST_BYTES)
        return [folder for each in found["folders"][:MOST_FOLDERS] if (folder := Path(each)).is_absolute()]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def remember(runs: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Put a runs directory first. Nothing fails where that cannot be written.

    Two that write at the same moment may forget one of both: it is remembered when it is next used.
    """
    path = _path(environ)
    if path is None:
        return
    with suppress(OSError, RuntimeError):
        folder = runs.resolve()
        known = remembered(environ)
        if known[:1] == [folder]:
            return
        path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        kept = [folder, *(each for each in known if each != folder)][:MOST_FOLDERS]
        confined.replace(path, json.dumps({"folders": [str(each) for each in kept]}, indent=1) + "\n", private=True)


def is_there(folder: Path) -> bool:
    """Return whether a runs directory is there now, and may be looked at."""
    try:
        return folder.is_dir()
    except (OSError, ValueError):  # somewhere that may not be looked at, or no name at all
        return False


def _path(environ: Mapping[str, str]) -> Path | None:
    """Where they are remembered; None for whoever has no home, such as a service."""
    home = Path(environ.get("HOME", ""), ".local", "state")
    given = Path(environ.get("XDG_STATE_HOME", ""))
    base = given if given.is_absolute() else home
    return base / "sweep-orchestrator" / FILE if base.is_absolute() else None
