"""A sweep's copy in a store as the stream that `fetching` takes: the ledger first, then what it tells of.

What the copy says of its files is older than what was sent since; a file that was sent since is as good. One that is not, and is
another than what it says, is damaged.
"""

import hashlib
import json
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from orchestrator import layout
from orchestrator.errors import StorageError, UnknownSweepError
from orchestrator.layout import SweepDir
from orchestrator.ledger.copies import is_left_out
from orchestrator.remote.sending import BLOCK, Wanted, best_trials
from orchestrator.storage import contents
from orchestrator.storage.store import CONTROL, Store, Stored

SMALL = 1 << 20
"""Bytes of a file that is read ahead of its turn."""

AHEAD = 32
"""Files that are."""

AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a sweep's copy lies; `name` is its directory's."""

    store: Store
    name: str


def place_at(url: str, sweep: str) -> Place:
    """Return the copy that a URL names, or the one of a sweep that lies below it; ``last`` is the latest.

    Raises:
        UnknownSweepError: There is none, or more than one answers to the name.
        StorageError: The store cannot be asked.
    """
    parent, _, name = url.rstrip("/").rpartition("/")
    own = Store(url.rstrip("/"))
    if own.find(layout.LEDGER) is not None:
        if sweep not in {"last", name, SweepDir(Path(name)).sweep_id}:
            raise UnknownSweepError(f"at {url} is the sweep {name}; say {parent} to look for {sweep}")
        return Place(store=own, name=name)
    found = {each: ledger for each in own.names() if (ledger := own.below(each).find(layout.LEDGER)) is not None}
    if not found:
        raise UnknownSweepError(f"there is no sweep at {url}")
    if sweep == "last":
        best = max(found, key=lambda each: found[each].mtime_ns)
        return Place(store=own.below(best), name=best)
    matching = [each for each in found if sweep in {each, SweepDir(Path(each)).sweep_id, SweepDir(Path(each)).name}]
    matching = matching or [
        each for each in found if each.startswith(sweep) or SweepDir(Path(each)).sweep_id.startswith(sweep)
    ]
    if len(matching) != 1:
        listed = "".join(f"\n  {each}" for each in sorted(matching or found)[:10])
        what = f"{sweep!r} means {len(matching)} sweeps" if matching else f"no sweep {sweep!r}"
        raise UnknownSweepError(f"{what} at {url}; there are:{listed}")
    return Place(store=own.below(matching[0]), name=matching[0])


def send(asked: Wanted, place: Place, feed: Callable[[bytes], object]) -> None:
    """Feed what is asked for, and is not there yet.

    Raises:
        StorageError: The store cannot be asked, or a file in it is damaged.
        SweepError: The best trial is asked for, and there is none yet.
    """
    store = place.store
    _say(feed, sweep=place.name, mode=0o755)
    with tempfile.TemporaryDirectory(prefix="sweep-fetch-") as folder:
        sweep_dir = SweepDir(Path(folder, place.name))
        sweep_dir.path.mkdir()
        with sweep_dir.ledger_path.open("wb") as copy:
            try:
                copy.writelines(store.read(layout.LEDGER))
            except FileNotFoundError:
                raise StorageError(f"{store.url}: its ledger is gone") from None
        trials = best_trials(sweep_dir) if asked.only_best else None
        listed, listed_at = _listed(store)
        found = store.files()

        def wants(path: str) -> bool:
            above = path.split("/")[:-1]
            folders = ["/".join(above[: n + 1]) for n in range(len(above))]
            return not any(is_left_out(each, trials, with_heavy=asked.with_checkpoints) for each in folders)

        size = sweep_dir.ledger_path.stat().st_size
        known = listed.files.get(layout.LEDGER)
        _send(feed, layout.LEDGER, Stored(size, 0), known, _blocks_of(sweep_dir.ledger_path))
        n = 1
        paths = [path for path in sorted(found) if path != layout.LEDGER and _is_of_sweep(path) and wants(path)]
        have = asked.have if asked.name == place.name else {}
        missing = []
        for path in paths:
            known = listed.files.get(path)
            if known and found[path].mtime_ns <= listed_at and have.get(path) == (known.size, known.sha256):
                _say(feed, same=path)
            else:
                missing.append(path)
        for path, blocks in _ahead(store, missing, found):
            known = listed.files.get(path)
            is_older = found[path].mtime_ns <= listed_at
            digest = _send(feed, path, found[path], known, blocks, is_as_listed=is_older)
            if known and found[path].mtime_ns < listed_at and digest not in {None, known.sha256}:
                raise StorageError(f"{store.url}: {path} is not what was sent there: it is damaged, or was replaced")
        for path, target in sorted(listed.links.items()):
            if wants(path):
                _say(feed, link=path, to=target)
    _say(feed, done=n + len(paths))


def _is_of_sweep(path: str) -> bool:
    return path.partition("/")[0] != CONTROL


def _listed(store: Store) -> tuple[contents.Contents, int]:
    """What the copy says it holds, and when it said so."""
    said = store.find(contents.LIST)
    return contents.read(store), 0 if said is None else said.mtime_ns


def _send(
    feed: Callable[[bytes], object],
    path: str,
    found: Stored,
    known: contents.File | None,
    blocks: Iterator[bytes],
    *,
    is_as_listed: bool = True,
) -> str | None:
    """Feed a file; return its SHA-256, None where it is not as long as it was.

    One that was sent after the list was made gets the store's time, by which it is sent, and listed, anew.
    """
    is_known = is_as_listed and known is not None and known.size == found.size
    _say(
        feed,
        file=path,
        size=found.size,
        offset=0,
        mtime=known.mtime_ns if known is not None and is_known else found.mtime_ns,
        mode=0o644 if known is None else known.mode,
    )
    digest, left = hashlib.sha256(), found.size
    for block in blocks:
        for at in range(0, len(block), BLOCK):
            data = block[at : at + BLOCK]
            digest.update(data)
            left -= len(data)
            _say(feed, data=len(data))
            feed(data)
    said = None if left else digest.hexdigest()
    _say(feed, end=said)
    return said


def _ahead(store: Store, paths: list[str], found: "dict[str, Stored] | Any") -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield the files in their order with what is in them, small ones read ahead; those that are gone by now are left out."""
    waiting: deque[tuple[str, Future[list[bytes]] | None]] = deque()
    left = iter(paths)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="storage") as pool:
        while True:
            while len(waiting) < AHEAD and (path := next(left, None)) is not None:
                is_small = found[path].size <= SMALL
                waiting.append((path, pool.submit(_whole, store, path) if is_small else None))
            if not waiting:
                return
            path, small = waiting.popleft()
            try:
                blocks = store.read(path) if small is None else iter(small.result())
                first = next(blocks, b"")
            except FileNotFoundError:
                continue
            yield path, chain([first], blocks)


def _whole(store: Store, path: str) -> list[bytes]:
    return list(store.read(path))


def _blocks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block


def _say(feed: Callable[[bytes], object], **record: Any) -> None:
    feed(json.dumps(record).encode() + b"\n")
