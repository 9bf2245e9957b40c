"""A place in an object store or a directory, by its URL: whole files by path, through pyarrow, which knows of credentials.

Each call may take as long as the store's time-outs, and raises `StorageError` where the store does not do what it was asked.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator.errors import StorageError
from orchestrator.extras import need
from orchestrator.trial.contract.bounds import one_line

CONNECT_S = 10
REQUEST_S = 30
"""How long a store may be silent, in seconds."""

BLOCK = 8 << 20
"""Bytes that are read at once; also the largest file that is written in one request."""

CONTROL = ".storage"
"""The directory in a copy in which is what is about the copy."""

HALF = f"{CONTROL}/half"
"""Where a file lies in a directory until all of it is there."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in a store: its size, and when it was written by the store's clock, in nanoseconds."""

    size: int
    mtime_ns: int


class Store:
    """A place that a URL names.

    Args:
        url: One that `storage_urls.fault` has nothing against.

    Raises:
        MissingExtraError: pyarrow is not installed.
        StorageError: It cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        check_extra(url)
        with _explained(url):
            self._fs, self._base = _opened(url)

    def below(self, name: str) -> "Store":
        """Return the place of that name in this one."""
        store = object.__new__(Store)
        store.url, store._fs, store._base = f"{self.url}/{name}", self._fs, f"{self._base}/{name}"
        return store

    def write(self, path: str, blocks: Iterable[bytes]) -> None:
        """Write a file; nobody reads half of it, unless `blocks` fails and is larger than one block."""
        place, is_here = f"{self._base}/{path}", self._fs.type_name == "local"
        with _explained(self.url):
            half = f"{self._base}/{HALF}/{hashlib.sha256(path.encode()).hexdigest()[:32]}" if is_here else place
            if is_here:
                for each in (half, place):
                    self._fs.create_dir(each.rpartition("/")[0], recursive=True)
            with self._fs.open_output_stream(half, compression=None) as stream:
                for block in blocks:
                    stream.write(block)
            if is_here:
                self._fs.move(half, place)

    def read(self, path: str) -> Iterator[bytes]:
        """Yield a file's content.

        Raises:
            FileNotFoundError: There is none.
        """
        with _explained(self.url), self._fs.open_input_stream(f"{self._base}/{path}", compression=None) as stream:
            while block := stream.read(BLOCK):
                yield block

    def find(self, path: str) -> Stored | None:
        """Return what is known of a file; None where there is none."""
        with _explained(self.url):
            found = self._fs.get_file_info(f"{self._base}/{path}")
            return Stored(found.size, found.mtime_ns) if found.is_file else None

    def files(self) -> Mapping[str, Stored]:
        """Return every file there is, by path."""
        return {
            path: Stored(found.size, found.mtime_ns) for path, found in self._below(recursive=True) if found.is_file
        }

    def names(self) -> list[str]:
        """Return what the directories are called that there are, in order."""
        return sorted(path for path, found in self._below(recursive=False) if not found.is_file)

    def delete(self, path: str) -> None:
        """Remove a file; one that is gone already is no error."""
        with _explained(self.url):
            try:
                self._fs.delete_file(f"{self._base}/{path}")
            except FileNotFoundError:
                return

    def _below(self, *, recursive: bool) -> list[tuple[str, Any]]:
        from pyarrow.fs import FileSelector

        with _explained(self.url):
            selector = FileSelector(self._base, recursive=recursive, allow_not_found=True)
            found = self._fs.get_file_info(selector)
        skip = len(self._base) + 1
        return [(each.path[skip:], each) for each in found]


def check_extra(url: str) -> None:
    """Make sure that what speaks to stores is installed.

    Raises:
        MissingExtraError: It is not.
    """
    need("pyarrow", f"the copy at {url}", "storage")


def _opened(url: str) -> tuple[Any, str]:
    """The filesystem of a URL, and the place in it."""
    from pyarrow import fs

    parts = urlsplit(url)
    place = f"{parts.netloc}{parts.path}".rstrip("/")
    if parts.scheme == "file":
        return fs.LocalFileSystem(), str(Path(parts.path))
    if parts.scheme == "gs":
        from datetime import timedelta

        return fs.GcsFileSystem(retry_time_limit=timedelta(seconds=REQUEST_S)), place
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region is None and endpoint is None:
        region = fs.resolve_s3_region(parts.netloc)
    return (
        fs.S3FileSystem(
            region=region,
            endpoint_override=endpoint,
            connect_timeout=CONNECT_S,
            request_timeout=REQUEST_S,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=2),
            allow_delayed_open=True,  # one request for a small file
            background_writes=False,  # a block that was written is there, or in the last part
        ),
        place,
    )


@contextmanager
def _explained(url: str) -> Iterator[None]:
    """Tell what a store says against a request; pyarrow's errors are errors of the system, of values, and its own."""
    from pyarrow import ArrowException

    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ArrowException) as error:
        raise StorageError(f"{url}: {one_line(str(error), 300)}") from error
