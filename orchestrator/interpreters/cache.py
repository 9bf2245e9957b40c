"""A private folder of the user's for what can be made again: answers of interpreters, the trial side for foreign ones."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator import confined

SCHEMA = 2
MOST_BYTES = 1 << 20


def folder(name: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return a folder of that name in the user's cache, which nobody else can write; None where there can be none."""
    given = environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(given) if os.path.isabs(given) else Path(environ.get("HOME") or Path.home(), ".cache")
        base.mkdir(parents=True, exist_ok=True)
        path = base / "sweep-orchestrator" / name
        for directory in (path.parent, path):
            directory.mkdir(mode=0o700, exist_ok=True)
            found = directory.stat(follow_symlinks=False)
            if found.st_uid != os.geteuid() or found.st_mode & 0o022 or directory.is_symlink():
                return None
    except (OSError, RuntimeError):
        return None
    return path


def kept(key: str, environ: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the answer that was kept under a key, while every place it depends on is as it was."""
    path = _path(key, environ)
    if path is None:
        return None
    try:
        entry = confined.read_json(path, path.parent, most=MOST_BYTES)
        is_current = entry["schema"] == SCHEMA and entry["key"] == key and entry["marks"] == marks(entry["marks"])
        answer = entry["answer"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # not there, or damaged: it is asked again
    return answer if is_current and isinstance(answer, dict) else None


def keep(key: str, answer: Mapping[str, Any], places: Iterable[str], environ: Mapping[str, str]) -> None:
    """Keep an answer for as long as none of the places changes; not at all where there is no cache."""
    path = _path(key, environ)
    if path is None:
        return
    entry = {"schema": SCHEMA, "key": key, "marks": marks(places), "answer": dict(answer)}
    try:
        confined.replace(path, json.dumps(entry))
    except OSError:
        pass


def marks(places: Iterable[str]) -> dict[str, list[int]]:
    """Return when each of these places changed last, in nanoseconds, and its bytes; nothing for what is not there."""
    return {place: _mark(place) for place in places}


def _mark(place: str) -> list[int]:
    try:
        found = os.stat(place)
    except (OSError, ValueError):
        return []
    return [found.st_mtime_ns, found.st_size]


def _path(key: str, environ: Mapping[str, str]) -> Path | None:
    place = folder("interpreters", environ)
    return (
        None
        if place is None
        else place / f"{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.json"
    )
