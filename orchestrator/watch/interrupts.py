"""Ctrl-C, counted: the first asks, the second insists, the third leaves."""

import os
import signal
from types import FrameType, TracebackType
from typing import Any, Self

from orchestrator.errors import ExitCode

EARLY = "\nStopping as soon as the cluster has answered. Ctrl-C twice more leaves at once."
"""What the first one says while nobody looks at the count yet; later the controller tells what it makes of it."""

SHOW_CURSOR = "\x1b[?25h"


class Interrupts:
    """While entered, SIGINT, SIGTERM and SIGHUP are counted instead of ending the process; the third ends it.

    Leaving at once is safe at any moment: the ledger is always whole, and trials die with their controller. A signal that
    was ignored before (`nohup`) stays ignored.
    """

    def __init__(self, hint: str) -> None:
        self._hint = hint
        self._count = 0
        self._is_watched = False
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> int:
        """Return how often the user asked to stop."""
        if not self._is_watched:
            self._take_over()  # once more: Ray has put its own handlers in between
            self._is_watched = True
        return self._count

    def __enter__(self) -> Self:
        """Take the signals over."""
        taken = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]
        self._before = {number: signal.getsignal(number) for number in taken}
        self._take_over()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _take_over(self) -> None:
        for number in self._before:
            signal.signal(number, self._handle)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self._count > 2:
            _say(f"\nLeft at once. Go on with: {self._hint}", end_live_view=True)
            os._exit(ExitCode.INTERRUPTED)
        if not self._is_watched:
            _say(EARLY)


def _say(text: str, *, end_live_view: bool = False) -> None:
    """Write from a signal handler, where a stream may be in the middle of something else."""
    try:
        cursor = SHOW_CURSOR if end_live_view and os.isatty(2) else ""
        os.write(2, f"{cursor}{text}\n".encode())
    except OSError:
        pass
