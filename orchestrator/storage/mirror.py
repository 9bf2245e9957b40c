"""Sends what has changed in a sweep's directory to its copy: files first, then the ledger, so that what it tells of is there.

A file is sent as a whole. What still changes (a log, a checkpoint that is being written) is sent when it rests, or now and then;
what a trial left that has ended, at once. What was removed here is removed there afterwards.
"""

import hashlib
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from orchestrator import confined, layout
from orchestrator.errors import LedgerError
from orchestrator.layout import SweepDir
from orchestrator.ledger.connection import written
from orchestrator.ledger.copies import copy_ledger, paths
from orchestrator.ledger.ranking import ENDED
from orchestrator.ledger.reader import LedgerReader
from orchestrator.storage import contents
from orchestrator.storage.contents import File
from orchestrator.storage.ownership import Ownership
from orchestrator.storage.store import BLOCK, Store

REST_S = 2.0
"""A file that was written to this recently may be written on."""

AGAIN_S = 30.0
"""How often a file is sent that never rests, in seconds."""

AT_ONCE = 8
"""Files that are sent at the same time."""


class Mirror:
    """Keeps the copy of one sweep.

    Args:
        sweep_dir: The sweep.
        store: The copy's place.
        pid: The controller's, for people elsewhere.
        tell: Called, from any thread, with how many files are still to be sent, and their bytes.

    Attributes:
        unreadable: Files that are here, and cannot be read, with the reason: they are not in the copy.
    """

    def __init__(
        self, sweep_dir: SweepDir, store: Store, *, pid: int, tell: Callable[[int, int], None] = lambda *_: None
    ) -> None:
        self._dir = sweep_dir
        self._store = store
        self._tell = tell
        self._ownership = Ownership(store, sweep_dir, pid)
        self._there: contents.Contents | None = None
        self._is_listed = True
        self._left = _Left(0, 0, lambda *_: None)
        self._sent_s: dict[str, float] = {}
        self._ledger_then: object = None
        self.unreadable: dict[str, str] = {}

    def send(self, *, is_last: bool) -> None:
        """Send what has changed; all of it where it is the last time.

        Raises:
            TakenError: The copy is another controller's by now.
            StorageError: The store does not take it. The next time goes on from there.
            LedgerError: The ledger cannot be read.
            OSError: There is no room for a copy of the ledger, or something here cannot be read: then nothing is removed there.
        """
        self._ownership.hold()
        if self._there is None:
            is_unknown = self._ownership.is_first  # then nothing of it is removed
            self._there = contents.Contents() if is_unknown else contents.read(self._store)
        with tempfile.TemporaryDirectory(prefix="sweep-storage-") as place:
            ledger_now = written(self._dir.ledger_path)
            ledger = Path(place, layout.LEDGER)
            copy_ledger(self._dir.ledger_path, ledger)
            unread: list[OSError] = []
            here, links = self._look(unread)
            self.unreadable = {path: why for path, why in self.unreadable.items() if path in here}
            self._send_all(self._due(here, self._ended(ledger), is_last=is_last), here)
            if unread:  # what was not seen is not gone
                raise unread[0]
            self._remove(self._there.files.keys() - here.keys() - {layout.LEDGER})
            self._is_listed &= self._there.links == links
            self._there.links = links
            if ledger_now != self._ledger_then:
                self._left = _Left(1, ledger.stat().st_size, self._tell)
                self._send(layout.LEDGER, _file(ledger.stat()), ledger)
                self._left.take(n=1)
                self._ledger_then = ledger_now
        if not self._is_listed:
            self._ownership.hold()
            contents.write(self._store, self._there)
            self._is_listed = True
        if is_last:
            self._ownership.release()

    def beat(self) -> None:
        """Say that the copy is still kept, however long a pass takes; from another thread than `send`.

        Raises:
            StorageError: The store cannot be asked.
        """
        self._ownership.beat()

    def _ended(self, ledger: Path) -> frozenset[str]:
        """The directories of trials that have ended."""
        with LedgerReader(ledger, whole=False) as reader:
            return frozenset(layout.trial_name(trial.number) for trial in reader.trials() if trial.state in ENDED)

    def _look(self, unread: list[OSError]) -> tuple[dict[str, File], dict[str, str]]:
        """The files and links that there are; `unread` gets why others were not seen."""
        files, links = {}, {}
        for path in paths(self._dir.path, unread=unread.append):
            try:
                path.encode()
                found = (self._dir.path / path).lstat()
                if stat.S_ISREG(found.st_mode):
                    files[path] = _file(found)
                elif stat.S_ISLNK(found.st_mode):
                    links[path] = str((self._dir.path / path).readlink())
                    links[path].encode()
            except (FileNotFoundError, UnicodeEncodeError):  # gone by now, or of a name that no store has
                links.pop(path, None)
            except OSError as error:
                unread.append(error)
        if not self._dir.ledger_path.exists():
            raise LedgerError(f"{self._dir.path} is gone")
        return files, links

    def _due(self, here: dict[str, File], ended: frozenset[str], *, is_last: bool) -> list[str]:
        """What is to be sent now."""
        assert self._there is not None
        now, now_s = time.time(), time.monotonic()
        due = []
        for path, file in here.items():
            sent = self._there.files.get(path)
            if sent is not None and sent.is_as(file):
                continue
            parts = path.split("/")
            is_settled = is_last or (parts[0] == layout.TRIALS and len(parts) > 2 and parts[1] in ended)
            rests = abs(now - file.mtime_ns / 1e9) > REST_S
            since_s = self._sent_s.setdefault(path, now_s - AGAIN_S * rests)
            if is_settled or now_s - since_s >= AGAIN_S:
                due.append(path)
        return due

    def _send_all(self, due: list[str], here: dict[str, File]) -> None:
        self._left = _Left(len(due), sum(here[path].size for path in due), self._tell)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="storage") as pool:
            sending = [pool.submit(self._send, path, here[path], self._dir.path / path) for path in due]
            try:
                for each in as_completed(sending):
                    each.result()
                    self._left.take(n=1)
            finally:
                pool.shutdown(cancel_futures=True)

    def _send(self, path: str, file: File, source: Path) -> None:
        """Send a file as long as it was when it was looked at; one that is gone by now, or cannot be read, is passed over."""
        assert self._there is not None
        try:
            opened = confined.open_file(source, source.parent if path == layout.LEDGER else self._dir.path)
        except FileNotFoundError:
            return
        except OSError as error:
            self.unreadable[path] = error.strerror or str(error)
            return
        self.unreadable.pop(path, None)
        digest = hashlib.sha256()
        with opened:
            self._ownership.hold()
            self._store.write(path, _blocks(opened, file.size, digest, self._left.take))
        self._there.files[path] = replace(file, sha256=digest.hexdigest())
        self._sent_s[path] = time.monotonic()
        self._is_listed = False

    def _remove(self, gone: set[str]) -> None:
        assert self._there is not None
        for path in sorted(gone):
            self._ownership.hold()
            self._store.delete(path)
            del self._there.files[path]
            self._sent_s.pop(path, None)
            self._is_listed = False


def _file(found: os.stat_result) -> File:
    return File(found.st_size, found.st_mtime_ns, found.st_mode & 0o777)


class _Left:
    """How much is still to be sent: told as it becomes less, from any thread."""

    def __init__(self, n: int, size: int, tell: Callable[[int, int], None]) -> None:
        self._n, self._size, self._tell = n, size, tell
        self._lock = threading.Lock()
        tell(n, size)

    def take(self, *, n: int = 0, size: int = 0) -> None:
        """Count files, or bytes, that were sent."""
        with self._lock:
            self._n, self._size = self._n - n, max(0, self._size - size)
            self._tell(self._n, self._size)


def _blocks(file: BinaryIO, left: int, digest: "hashlib._Hash", take: Callable[..., None]) -> Iterator[bytes]:
    """The first bytes of a file; fewer where it has become shorter, and is sent again the next time."""
    while left and (block := file.read(min(BLOCK, left))):
        digest.update(block)
        left -= len(block)
        yield block
        take(size=len(block))  # the store has it: it asks for the next
