"""What a copy holds, as it says itself: size, time, permissions and SHA-256 of each file, and where links lead."""

import gzip
import json
import zlib
from dataclasses import dataclass, field

from orchestrator.storage.store import CONTROL, Store

LIST = f"{CONTROL}/list.json.gz"


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was when it was sent."""

    size: int
    mtime_ns: int
    mode: int
    sha256: str = ""

    def is_as(self, other: "File") -> bool:
        """Whether another look at the file finds what was sent."""
        return (self.size, self.mtime_ns, self.mode) == (other.size, other.mtime_ns, other.mode)


@dataclass(slots=True)
class Contents:
    """Files and links by path."""

    files: dict[str, File] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)


def read(store: Store) -> Contents:
    """Return what a copy says it holds: nothing, where it does not.

    Raises:
        StorageError: The store cannot be asked.
    """
    try:
        found = json.loads(gzip.decompress(b"".join(store.read(LIST))))
        files = {str(path): File(int(s), int(t), int(m), str(h)) for path, (s, t, m, h) in found["files"].items()}
        return Contents(files, {str(path): str(target) for path, target in found["links"].items()})
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError, EOFError, zlib.error, gzip.BadGzipFile):
        return Contents()


def write(store: Store, contents: Contents) -> None:
    """Let a copy say what it holds.

    Raises:
        StorageError: The store does not take it.
    """
    files = {path: (file.size, file.mtime_ns, file.mode, file.sha256) for path, file in contents.files.items()}
    store.write(LIST, [gzip.compress(json.dumps({"files": files, "links": contents.links}).encode(), 1)])
