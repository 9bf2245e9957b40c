"""Ctrl-C, counted: the first asks, the second insists, the third leaves."""

import os
import signal
import sys
from types import FrameType, TracebackType
from typing import Self

from orchestrator.errors import ExitCode

MESSAGES = {
    1: "\nStopping: running trials are asked to end, everything is kept. Ctrl-C again to end them now.",
    2: "\nEnding running trials now. Ctrl-C again to leave at once.",
}


class Interrupts:
    """While entered, SIGINT, SIGTERM and SIGHUP are counted instead of ending the process; the third ends it.

    Leaving at once is safe at any moment: the ledger is always whole, and trials die with their controller.
    """

    def __init__(self, hint: str) -> None:
        self._hint = hint
        self._count = 0
        self._before: dict[signal.Signals, signal._HANDLER] = {}

    def __call__(self) -> int:
        """Return how often the user asked to stop."""
        return self._count

    def __enter__(self) -> Self:
        """Take the signals over."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1
        if self._count in MESSAGES:
            os.write(sys.stderr.fileno(), (MESSAGES[self._count] + "\n").encode())
            return
        os.write(sys.stderr.fileno(), f"\nLeft at once. Go on with: {self._hint}\n".encode())
        os._exit(ExitCode.INTERRUPTED)
