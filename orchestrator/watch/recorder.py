"""Lets terminals that attach know what only the controller knows: its remarks, and the outlook of the sweep."""

import contextlib
import time
from collections import deque

from orchestrator.errors import LedgerError
from orchestrator.ledger.bulletin import Bulletin
from orchestrator.ledger.records import Outlook
from orchestrator.watch.progress import Note, Progress, SweepEvent

DRIFT_S = 60.0
"""How far the clocks may drift apart (a machine that slept) before the outlook is written anew."""


class Recorder:
    """A view that writes into the ledger, in the controller's thread; remarks may come from any."""

    def __init__(self, bulletin: Bulletin) -> None:
        self._bulletin = bulletin
        self._texts: deque[str] = deque()
        self._outlook: Outlook | None = None
        bulletin.clear()

    def event(self, event: SweepEvent) -> None:
        """Keep a remark for the next `refresh`; everything else stands in the ledger."""
        if isinstance(event, Note):
            self._texts.append(event.text)

    def refresh(self, progress: Progress) -> None:
        """Write the remarks since the last time, and the outlook where it has changed."""
        self._write_texts()
        outlook = Outlook(
            began=time.time() - progress.elapsed_s,
            slots=progress.slots,
            total=progress.total,
            problem=progress.problem,
        )
        if self._outlook is None or _differs(outlook, self._outlook):
            self._bulletin.set_outlook(outlook)
            self._outlook = outlook

    def close(self) -> None:
        """Write the last remarks, where the ledger can still be written."""
        with contextlib.suppress(LedgerError):
            self._write_texts()

    def _write_texts(self) -> None:
        texts = [self._texts.popleft() for _ in range(len(self._texts))]
        if texts:
            self._bulletin.add(texts)


def _differs(now: Outlook, then: Outlook) -> bool:
    is_same = (now.slots, now.total, now.problem) == (then.slots, then.total, then.problem)
    return not is_same or abs(now.began - then.began) > DRIFT_S
