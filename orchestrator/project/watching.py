"""Notices that the project changes while trials run from it, beside the sweep's loop."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orchestrator.project.kept import KeptCode
from orchestrator.project.listing import IGNORE_FILE
from orchestrator.project.same import Expected
from orchestrator.project.snapshot import Contents, shortly

EVERY_S = 5.0
"""How often the files' times are looked at."""


class CodeWatch:
    """Watches as a view does, and says once per change what trials run from now on.

    A thread compares the files' sizes and times with those of before; only where one differs is the project read anew,
    and a copy of it kept. What changes a second time is taken as written by the run, and from then on not looked at,
    unless it is Python's source.

    Args:
        code: The sweep's copies; the latest is what trials run now.
        is_live: Whether trials run from the project itself; else there is nothing to watch.
        say: Called, from the thread that calls `refresh`, with a sentence.
        every_s: Seconds between two looks.

    Attributes:
        expected: The project as trials run it now, without what the run writes; None where they run from a copy, and
            where there is none to compare with.
    """

    def __init__(
        self, code: KeptCode, *, say: Callable[[str], None], is_live: bool = True, every_s: float = EVERY_S
    ) -> None:
        self._code = code
        self._say = say
        self._every_s = every_s
        self._found: Sequence[str] = ()
        self._again: Sequence[str] = ()
        self._changed: set[str] = set()
        self._written: set[str] = set()
        self._closing = threading.Event()
        self._paths = self._known()
        self.expected = self._as_it_is() if is_live else None
        self._thread = threading.Thread(target=self._watch, name="code", daemon=True)
        if is_live:
            self._thread.start()

    def event(self, _event: object) -> None:
        """Whatever happens to trials does not matter here."""

    def refresh(self, _progress: object) -> None:
        """Say what the thread has found."""
        found, self._found = self._found, ()
        if found:
            self._say(
                f"the project changed while the sweep runs ({shortly(found)}): trials that start from now on run it "
                "as it is now; with --pin all run from one copy"
            )
        again, self._again = self._again, ()
        if again:
            self._say(
                f"{shortly(again)} changed again: this counts as written by the run and is not looked at any more; "
                f"{IGNORE_FILE} names files that do not matter"
            )

    def close(self) -> None:
        """End the thread. Idempotent."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _watch(self) -> None:
        before: Mapping[str, tuple[int, int]] = {}  # the first look is a whole one: the copy is older than this thread
        while not self._closing.wait(self._every_s):
            now = self._times()
            if now == before:
                continue
            try:
                kept = self._code.keep()
            except OSError:
                continue  # a full disk, or a directory that is gone: the controller says so
            self._take_in(kept.changes)
            before = now  # of before the copy: what changed meanwhile is seen the next time

    def _take_in(self, changes: Sequence[str]) -> None:
        """Note what has changed, and whether the run writes it."""
        changed = {line.partition(" ")[2]: line for line in changes}
        again = [path for path in changed if path in self._changed - self._written and not path.endswith(".py")]
        self._written.update(again)
        self._changed.update(changed)
        found = [line for path, line in changed.items() if path not in self._written]
        self._paths = self._known()
        if found or again:
            self.expected = self._as_it_is()
        self._found, self._again = [*self._found, *found], [*self._again, *again]

    def _as_it_is(self) -> Expected | None:
        contents = self._code.latest_contents()
        if contents is None:
            return None
        unlike = {*self._written, IGNORE_FILE}
        entries = {path: entry for path, entry in contents.entries.items() if path not in unlike}
        return Expected(root=str(self._code.project.root), contents=Contents(entries=entries))

    def _known(self) -> list[str]:
        latest = self._code.latest_contents()
        return [] if latest is None else [path for path in latest.entries if path not in self._written]

    def _times(self) -> Mapping[str, tuple[int, int]]:
        root = self._code.project.root
        return {path: times for path in self._paths if (times := _times(root / path)) is not None}


def _times(path: Path) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
