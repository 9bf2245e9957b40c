"""What a page follows: its whole state for whoever comes, and what changes of it for whoever is there."""

import json
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import SweepError

KEPT_EVENTS = 64
"""Changes that are kept for those who are slow, or were away for a moment; who missed more gets the whole state."""

TICK_S = 0.4
"""How often a topic is looked at, at most."""

SHARE = 0.04
"""Share of the time that looking at one topic may take: one that costs much is looked at less often."""

LATEST_S = 5.0
"""The longest that a page waits for news, whatever looking costs."""


@dataclass(frozen=True, slots=True)
class Event:
    """What is sent; `name` says whether it is the whole state (``all``) or something that changed."""

    id: str
    name: str
    data: bytes


class Topic(ABC):
    """One page's subject, read by one thread for any number of browsers.

    A subclass reads (`_load`, `_look`) and says what its state is (`_state`); none of these is called by two threads at once.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._epoch = secrets.token_hex(4)
        self._count = 0
        self._events: deque[tuple[int, Event]] = deque(maxlen=KEPT_EVENTS)
        self._whole: Event | None = None
        self._is_loaded = False
        self._due_s = 0.0
        self._error: SweepError | None = None

    def update(self) -> None:
        """Read what is new and tell it, unless that was done a moment ago.

        Raises:
            SweepError: It cannot be read.
        """
        began_s, began_cpu_s = time.monotonic(), time.thread_time()
        if began_s < self._due_s:
            return
        with self._changed:
            self._be_loaded()
            changes = self._look()
            if changes is not None:
                self._publish(changes)
        cost_s = time.thread_time() - began_cpu_s  # on a busy machine it takes longer, and costs no more
        self._due_s = began_s + min(LATEST_S, max(TICK_S, cost_s / SHARE))

    def after(self, last: str | None, wait_s: float) -> list[Event]:
        """Return what came after an event, or the whole state where that is not known; after a while without news nothing.

        Raises:
            SweepError: It cannot be read.
        """
        with self._changed:
            if self._error is not None:
                raise self._error
            self._be_loaded()
            seen = self._seen(last)
            if seen is None:
                return [self._all()]
            if seen == self._count:
                self._changed.wait(wait_s)
            if self._error is not None:
                raise self._error
            first = self._events[0][0] if self._events else self._count + 1
            if self._seen(last) is None or first > seen + 1:
                return [self._all()] if self._count > seen else []
            return [event for n, event in self._events if n > seen]

    def fail(self, error: SweepError) -> None:
        """Tell everybody who follows it that it can be read no more."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def close(self) -> None:  # noqa: B027 - most have nothing open
        """Let go of what is open."""

    @abstractmethod
    def _load(self) -> None:
        """Read for the first time, what a page needs at once."""

    @abstractmethod
    def _look(self) -> Mapping[str, Any] | None:
        """Read what is new and return it; an empty mapping where the whole state is to be told, None where nothing changed."""

    @abstractmethod
    def _state(self) -> Mapping[str, Any]:
        """The whole state."""

    def _be_loaded(self) -> None:
        if not self._is_loaded:
            self._load()
            self._is_loaded = True

    def _publish(self, changes: Mapping[str, Any]) -> None:
        """Tell a change; with an empty one all that was told before counts no more."""
        self._whole = None
        self._count += 1
        if changes:
            self._events.append((self._count, self._event("change", changes)))
        else:
            self._events.clear()
        self._changed.notify_all()

    def _seen(self, last: str | None) -> int | None:
        """How many changes whoever saw an event knows; None where it is of another time."""
        epoch, _, count = (last or "").partition("-")
        known = int(count) if count.isdecimal() and len(count) < 12 else -1
        return known if epoch == self._epoch and 0 <= known <= self._count else None

    def _all(self) -> Event:
        if self._whole is None:
            self._whole = self._event("all", self._state())
        return self._whole

    def _event(self, name: str, data: Mapping[str, Any]) -> Event:
        text = json.dumps(data, separators=(",", ":"), allow_nan=False, default=str)
        return Event(f"{self._epoch}-{self._count}", name, text.encode())


class Paced:
    """Something that costs: done now and then, and no more often than its share of the time allows."""

    def __init__(self, *, every_s: float, share: float) -> None:
        self._every_s = every_s
        self._share = share
        self._due_s = 0.0

    def is_due(self) -> bool:
        """Return whether it may be done now."""
        return time.monotonic() >= self._due_s

    def took(self, cost_s: float) -> None:
        """Take note that it was done, and how many seconds of a CPU it cost."""
        self._due_s = time.monotonic() + max(self._every_s, cost_s / self._share)
