"""The actor on a node that has nothing but Ray: Ray carries this module there as it is, and it carries the rest.

It imports the standard library alone. The package is unpacked once per node and user, into a private folder whose name
is its hash, so that what runs on a node is the controller's code, whatever is installed there.
"""

import contextlib
import hashlib
import io
import os
import shutil
import stat
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

UNUSED_S = 180 * 86_400.0
"""How long what was unpacked stays after its last use."""


class CarriedWorker:
    """A `Worker` of the package that it is given, on a node without one.

    Args:
        package: What `package.packed` returns.

    Raises:
        OSError: It cannot be unpacked anywhere.
    """

    def __init__(self, package: bytes) -> None:
        sys.path.insert(0, unpacked(package))
        from orchestrator.execution.ray.worker import Worker

        self._worker = Worker()

    def hello(self, config: dict[str, Any], baggage: Sequence[Any], code: Sequence[Any]) -> dict[str, Any]:
        """Take up work."""
        return self._worker.hello(config, baggage, code)

    def compare(self, code: Sequence[Any]) -> str | None:
        """Return how the project is otherwise here."""
        return self._worker.compare(code)

    def launch(self, message: bytes) -> None:
        """Start an attempt."""
        self._worker.launch(message)

    def take(self, trial: int, attempt: int, fresh: bool, number: int, parts: bytes) -> bytes:  # noqa: FBT001  as below
        """Put files into a trial's directory."""
        return self._worker.take(trial, attempt, fresh, number, parts)

    def pull(self, number: int, outcomes: bytes, timeout_s: float, n_bytes: int) -> list[Any]:
        """Return what trials wrote."""
        return self._worker.pull(number, outcomes, timeout_s, n_bytes)

    def leave(self) -> None:
        """Remove what is kept on this node."""
        self._worker.leave()

    def stop(self, trial: int, attempt: int, kill: bool, grace_s: float | None) -> None:  # noqa: FBT001  Ray calls by position
        """End an attempt."""
        self._worker.stop(trial, attempt, kill, grace_s)

    def allow(self, trial: int, attempt: int, timeout_s: float | None) -> None:
        """Let an attempt take so many seconds."""
        self._worker.allow(trial, attempt, timeout_s)

    def poll(self, acknowledged: int, timeout_s: float, linger_s: float, paused: bool) -> bytes:  # noqa: FBT001  as above
        """Return what happened."""
        return self._worker.poll(acknowledged, timeout_s, linger_s, paused)

    def close(self) -> None:
        """Kill what runs."""
        self._worker.close()


def unpacked(package: bytes) -> str:
    """Return the folder that a package lies in, unpacked there if need be: in the user's cache, else among temporary files.

    Raises:
        OSError: Neither can be written by this user alone.
    """
    problems = []
    for parent in _parents():
        try:
            _make_private(parent)
            return str(_unpacked_in(parent, package))
        except OSError as error:
            problems.append(f"{parent}: {error.strerror or error}")
    raise OSError(f"sweep's package cannot be unpacked on this node: {'; '.join(problems)}")


def _parents() -> list[Path]:
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    cache = cache if cache.is_absolute() else Path(os.environ.get("HOME", ""), ".cache")
    places = [cache / "sweep-orchestrator" / "nodes", Path(tempfile.gettempdir(), f"sweep-orchestrator-{os.geteuid()}")]
    return [place for place in places if place.is_absolute()]


def _make_private(folder: Path) -> None:
    """Make a folder that nobody else can write, if it is not there.

    Raises:
        OSError: It is there, and another's, or open to others.
    """
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise OSError("is not a folder of this user's that nobody else can write")


def _unpacked_in(parent: Path, package: bytes) -> Path:
    place = parent / hashlib.sha256(package).hexdigest()
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        if not _is_whole(place, archive):
            _remove_unused(parent)
            fresh = Path(tempfile.mkdtemp(dir=parent))
            try:
                archive.extractall(fresh)
                _put(fresh, place, archive)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
            if not _is_whole(place, archive):
                raise OSError("what was unpacked there has changed at once")
    os.utime(place)
    return place


def _is_whole(place: Path, archive: zipfile.ZipFile) -> bool:
    """Whether a folder holds what an archive does, and no other module."""
    found = [path for path in place.rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    names = {path.relative_to(place).as_posix() for path in found}
    return names == set(archive.namelist()) and all((place / name).read_bytes() == archive.read(name) for name in names)


def _put(fresh: Path, place: Path, archive: zipfile.ZipFile) -> None:
    """Put a folder in its place; what is damaged there goes, what another worker has put there in the meantime stays."""
    try:
        fresh.rename(place)
    except OSError:
        if _is_whole(place, archive):
            return
        aside = tempfile.mkdtemp(dir=place.parent)
        place.rename(aside)
        fresh.rename(place)
        shutil.rmtree(aside, ignore_errors=True)


def _remove_unused(parent: Path) -> None:
    for path in parent.iterdir():
        if time.time() - path.lstat().st_mtime > UNUSED_S:
            shutil.rmtree(path, ignore_errors=True)
