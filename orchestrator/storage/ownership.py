"""Who keeps the copy of a sweep: one controller, whichever machine it runs on, so that no old state replaces a newer one.

Each controller that takes a copy over writes a mark of its own there, and keeps it in the sweep's directory as well. Who finds
another's mark there has been succeeded, and sends nothing any more. A controller that lives writes its mark anew.
"""

import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from orchestrator import confined
from orchestrator.errors import SweepLockedError
from orchestrator.layout import SweepDir
from orchestrator.storage.store import CONTROL, Store

OWNER, CLOCK = f"{CONTROL}/owner.json", f"{CONTROL}/clock"

BEAT_S = 15.0
"""How often a mark is written anew, in seconds."""

SILENT_S = 60.0
"""A keeper that has not done so for so long is dead."""

CLOCK_ID = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while a machine is suspended, where the system has one that does."""

MOST_BYTES = 1 << 16


class TakenError(Exception):
    """Another controller keeps the copy; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who keeps a copy. `is_over`: it has ended, and everything is there."""

    mark: str
    host: str
    pid: int
    is_over: bool = False

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}"


class Ownership:
    """Holds a copy for one sweep's directory.

    Args:
        store: The copy's place.
        sweep_dir: The sweep.
        pid: The controller's.
        clock: Seconds, those included in which the machine was suspended.

    Attributes:
        is_first: Whether nobody had the copy before: what lies there may be more than what is here.
    """

    def __init__(
        self,
        store: Store,
        sweep_dir: SweepDir,
        pid: int,
        clock: Callable[[], float] = lambda: time.clock_gettime(CLOCK_ID),
    ) -> None:
        self._store = store
        self._dir = sweep_dir
        self._pid = pid
        self._clock = clock
        self.is_first = True
        self._owner: Owner | None = None
        self._beaten_s = 0.0
        self._taken: str | None = None
        self._lock = threading.Lock()

    def hold(self) -> None:
        """Take the copy, or see to it that it is still held; from any thread.

        Raises:
            TakenError: Another controller has it, or has gone on with the sweep elsewhere.
            StorageError: The store cannot be asked.
        """
        with self._lock:
            if self._owner is None:
                known = marks(self._dir, self._store.url)
                found = self._refuse_another(known)
                owner = Owner(mark=secrets.token_hex(8), host=socket.gethostname(), pid=self._pid)
                # both are good here: whoever dies in between has the one or the other there
                before = {} if found is None else {found.mark: known[found.mark]}
                remember(self._dir, self._store.url, {**before, owner.mark: True})
                self._write(owner)
                self._owner, self.is_first = owner, found is None
            elif self._taken is not None:
                raise TakenError(self._taken)
            elif self._clock() - self._beaten_s >= BEAT_S:
                self._refuse_another({self._owner.mark})
                self._write(self._owner)

    def beat(self) -> None:
        """Write the mark anew, if the copy is held; once it is another's, `hold` says so. From any thread.

        Raises:
            StorageError: The store cannot be asked.
        """
        with self._lock:
            if self._owner is None or self._owner.is_over or self._taken is not None:
                return
            try:
                self._refuse_another({self._owner.mark})
            except TakenError as error:
                self._taken = str(error)
            else:
                self._write(self._owner)

    def release(self) -> None:
        """Say that everything is there."""
        with self._lock:
            if self._owner is not None:
                self._owner = replace(self._owner, is_over=True)
                self._write(self._owner)

    def _refuse_another(self, known: Collection[str]) -> Owner | None:
        found = owner_of(self._store)
        if found is not None and found.mark not in known:
            raise TakenError(f"it was gone on with by {found}, and is not written over")
        return found

    def _write(self, owner: Owner) -> None:
        self._store.write(OWNER, [json.dumps(asdict(owner)).encode()])
        self._beaten_s = self._clock()


def owner_of(store: Store) -> Owner | None:
    """Return who keeps a copy, or did last; None where that is not said."""
    try:
        found = json.loads(b"".join(store.read(OWNER)))
        return Owner(**found)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return Owner(mark="", host="an unknown host", pid=0)


def refuse_living(store: Store) -> None:
    """Make sure that the controller of a sweep is gone whose copy this is; by the store's clock.

    Raises:
        SweepLockedError: It lives, or has been silent for less than a minute.
        StorageError: The store cannot be asked, or not written.
    """
    owner = owner_of(store)
    if owner is None or owner.is_over:
        return
    store.write(CLOCK, [b"now"])
    now, then = store.find(CLOCK), store.find(OWNER)
    if now is None or then is None:
        return
    silent_s = max(0.0, (now.mtime_ns - then.mtime_ns) / 1e9)
    if silent_s < SILENT_S:
        raise SweepLockedError(
            f"the sweep at {store.url} is controlled by {owner}.\n  Is it gone? Then the copy is free once that has been "
            f"silent for {SILENT_S:.0f} s (now {silent_s:.0f} s)."
        )


def marks(sweep_dir: SweepDir, url: str) -> dict[str, bool]:
    """Return the marks by which a copy is this directory's own; true for those that a controller of this directory wrote."""
    found = _kept(sweep_dir).get(url)
    return {str(mark): is_ours is True for mark, is_ours in found.items()} if isinstance(found, dict) else {}


def remember(sweep_dir: SweepDir, url: str, known: Mapping[str, bool]) -> None:
    """Keep in a sweep's directory by which marks the copy at a URL is its own, as `marks` returns them.

    Raises:
        OSError: It cannot be written.
    """
    confined.replace(sweep_dir.storage_path, json.dumps({**_kept(sweep_dir), url: dict(known)}) + "\n")


def _kept(sweep_dir: SweepDir) -> dict[str, Any]:
    return confined.read_object(sweep_dir.storage_path, sweep_dir.path, most=MOST_BYTES)
