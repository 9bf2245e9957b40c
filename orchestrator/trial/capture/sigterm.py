"""How SIGTERM ends a trial: in order, as SystemExit, and never in the middle of a call that logs something."""

from __future__ import annotations

import _thread
import functools
import os
import signal
import threading
import time
import types
from collections.abc import Callable
from typing import Any

from orchestrator.trial.contract.end_record import STOPPED_EXIT

HOLD_S = 2.0
"""How long it is held back at most: a call of a library's may wait for a server that does not answer."""


def end_on_sigterm() -> None:
    """Let SIGTERM raise SystemExit in this process, so that a program that is stopped ends in order.

    What it forks ends by SIGTERM as it would have without us, also when that comes at once: an interpreter forgets the
    signals that arrive between `fork` and its first instruction, so it is held back until then.
    """
    signal.signal(signal.SIGTERM, _on_sigterm)
    uninterruptible.adopt()
    held = threading.local()

    def hold() -> None:
        held.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def release() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, held.before)

    def restore() -> None:
        uninterruptible.adopt()
        if signal.getsignal(signal.SIGTERM) is _on_sigterm:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        release()

    os.register_at_fork(before=hold, after_in_parent=release, after_in_child=restore)


def ignore_sigterm() -> None:
    """Let a process that is ending do so, unless its program listens to SIGTERM itself."""
    if signal.getsignal(signal.SIGTERM) is _on_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _on_sigterm(_number: int, _frame: types.FrameType | None) -> None:
    if not uninterruptible.holds():
        raise SystemExit(STOPPED_EXIT)


class _Uninterruptible:
    """A stretch that SIGTERM does not cut in two: it takes effect at the stretch's end, or after `HOLD_S`. Reentrant.

    Signals are handled in the main thread only, so that other threads have nothing to hold back.
    """

    def __init__(self) -> None:
        self._main = 0
        self._depth = 0
        self._until_s: float | None = None

    def adopt(self) -> None:
        """Take the calling thread for the main one: it handles SIGTERM."""
        caller = _thread.get_ident()
        if caller != self._main:
            self._main, self._depth = caller, 0

    def __enter__(self) -> None:
        if _thread.get_ident() == self._main:
            self._depth += 1

    def __exit__(self, *_: object) -> None:
        if _thread.get_ident() != self._main:
            return
        self._depth -= 1
        if self._until_s is not None and not self._depth:
            self._until_s = None
            raise SystemExit(STOPPED_EXIT)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that is such a stretch as a whole."""

        @functools.wraps(function)
        def held(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return held

    def holds(self) -> bool:
        """Whether a SIGTERM that is here now has to wait."""
        if not self._depth:
            return False
        if self._until_s is None:
            self._until_s = time.monotonic() + HOLD_S
            _thread.start_new_thread(self._insist, (self._until_s,))  # needs no lock that this thread may hold
            return True
        if time.monotonic() < self._until_s:
            return True
        self._until_s = None
        return False

    def _insist(self, until_s: float) -> None:
        time.sleep(HOLD_S)
        if self._until_s == until_s:
            signal.pthread_kill(self._main, signal.SIGTERM)


uninterruptible = _Uninterruptible()
"""Around what has to happen together: a row that a library takes, and our report of it; a call that another thread serves."""
