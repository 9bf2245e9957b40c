"""The one thread that reads for all browsers: topics come when somebody follows them, and go when nobody does."""

import sys
import threading
import time
import traceback
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from orchestrator.errors import SweepError
from orchestrator.serve.topic import Topic

LOOK_S = 0.2
"""How often the thread goes through the topics."""

KEPT_S = 600.0
"""How long a topic stays that nobody follows: who comes back finds it read."""

MOST_KEPT = 8
"""Topics that stay although nobody follows them."""


@dataclass(slots=True)
class _Followed:
    topic: Topic
    followers: int = 0
    left_s: float = 0.0


class Hub:
    """Topics by key. Used by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._topics: dict[Hashable, _Followed] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    @property
    def has_ended(self) -> bool:
        """Whether nothing is read any more."""
        return self._ending.is_set()

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """End the thread and let go of every topic."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)
        with self._lock:
            for each in self._topics.values():
                each.topic.close()
            self._topics.clear()

    @contextmanager
    def following(self, key: Hashable, make: Callable[[], Topic]) -> Iterator[Topic]:
        """Follow a topic while inside; `make` makes it where nobody does yet."""
        with self._lock:
            if key not in self._topics:
                self._topics[key] = _Followed(make())
            followed = self._topics[key]
            followed.followers += 1
        try:
            yield followed.topic
        finally:
            with self._lock:
                followed.followers -= 1
                followed.left_s = time.monotonic()

    def _drop(self, key: Hashable, topic: Topic, error: SweepError) -> None:
        """Let go of a topic that cannot be read: whoever comes next begins anew."""
        with self._lock:
            self._topics.pop(key, None)
        topic.fail(error)
        topic.close()

    def _run(self) -> None:
        while not self._ending.wait(LOOK_S):
            for key, topic in self._wanted():
                try:
                    topic.update()
                except SweepError as error:
                    self._drop(key, topic, error)
                except Exception:  # noqa: BLE001 - a topic's bug is shown, and the others go on
                    traceback.print_exc(file=sys.stderr)
                    self._drop(key, topic, SweepError("a bug of sweep serve; its terminal shows where"))

    def _wanted(self) -> list[tuple[Hashable, Topic]]:
        """The topics that somebody follows; those that nobody does are let go in time."""
        now = time.monotonic()
        with self._lock:
            idle = [(key, each) for key, each in self._topics.items() if not each.followers]
            for place, (key, each) in enumerate(sorted(idle, key=lambda item: -item[1].left_s)):
                if now - each.left_s > KEPT_S or place >= MOST_KEPT:
                    self._topics.pop(key).topic.close()
            return [(key, each.topic) for key, each in self._topics.items() if each.followers]
