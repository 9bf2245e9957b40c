"""What is known of a project that was sent to this machine, in a file beside it: which files it has, and its commit."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator import confined


def record(root: Path, files: Sequence[str], git: Mapping[str, str] | None) -> None:
    """Keep which files a project has, and its commit and diff; whatever is there besides is none of its own.

    Raises:
        OSError: It cannot be written.
    """
    confined.replace(_path(root), json.dumps({"files": list(files), "git": None if git is None else dict(git)}))


def project_around(directory: Path) -> Path | None:
    """Return the project that was sent here which a directory lies in; None where it lies in none."""
    return next((above for above in (directory, *directory.parents) if _path(above).is_file()), None)


def files(root: Path) -> list[str] | None:
    """Return the files of a project that was sent here; None for any other."""
    found = _read(root).get("files")
    return [str(each) for each in found] if isinstance(found, list) else None


def git(root: Path) -> dict[str, str] | None:
    """Return the commit of a project that was sent here, and how it differed from that; None where nothing is known."""
    found = _read(root).get("git")
    return {"sha": str(found.get("sha")), "diff": str(found.get("diff"))} if isinstance(found, dict) else None


def _read(root: Path) -> dict[str, Any]:
    path = _path(root)
    return confined.read_object(path, path.parent)


def _path(root: Path) -> Path:
    return root.parent / f"{root.name}.sent.json"
