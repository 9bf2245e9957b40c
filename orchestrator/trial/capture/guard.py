"""Work of ours inside a program: one piece at a time, its failure is one warning, and what it logs itself is not captured."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from orchestrator.trial.capture.patching import Patch
from orchestrator.trial.capture.sigterm import uninterruptible


class _Thread(threading.local):
    """What is so in one thread.

    Attributes:
        inside: Whether it does something of ours.
    """

    inside = False


class Guard:
    """Stands between a program and our own work in its process.

    Attributes:
        lock: Held by the thread that does something of ours. Whoever logs to W&B holds it first, since our work logs to W&B, too.
    """

    def __init__(self) -> None:
        self._said: set[str] = set()
        self._warned = False
        self.forked()

    def forked(self) -> None:
        """Take locks of its own in a process that the program forked."""
        self.lock = threading.RLock()
        self._local = _Thread()

    def is_inside(self) -> bool:
        """Whether this thread does something of ours now."""
        return self._local.inside

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Let nothing that this thread logs meanwhile be the program's."""
        was = self._local.inside
        self._local.inside = True
        try:
            yield
        finally:
            self._local.inside = was

    def quietly(self, action: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """Do something of ours; its failure is one warning. What it logs itself is not captured."""
        if self._local.inside:
            return
        with uninterruptible, self.lock:
            self.held(action, *args, **kwargs)

    def held(self, action: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """Do the same in a thread that has the lock, is uninterruptible, and does nothing of ours yet."""
        local = self._local
        local.inside = True
        try:
            action(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - capture never breaks a program
            self.warn(f"{type(error).__name__}: {error}")
        finally:
            local.inside = False

    def answer(self, action: Callable[..., Any], otherwise: Any, *args: Any) -> Any:
        """Return what something of ours says inside a call of the program's; where it fails, a warning and what holds then."""
        try:
            return action(*args)
        except Exception as error:  # noqa: BLE001 - a library that is not as we know it
            self.warn(f"{type(error).__name__}: {error}")
            return otherwise

    def harmless(self, patch: Patch) -> Patch:
        """Let a patch that does not fit a library as it is today leave the library alone, and say so."""

        def attempt(module: ModuleType) -> None:
            try:
                patch(module)
            except Exception as error:  # noqa: BLE001 - this runs inside the program's import
                self.warn(f"{type(error).__name__}: {error}")

        return attempt

    def warn(self, why: str) -> None:
        """Say in the trial's log what is not captured. Once."""
        if self._warned:
            return
        self._warned = True
        self.say(f"warning: not everything is captured: {why}")

    def say(self, text: str) -> None:
        """Say something in the trial's log. Once."""
        if text in self._said:
            return
        self._said.add(text)
        try:
            print(f"sweep: {text}", file=sys.stderr)  # noqa: T201 - into the trial's log
        except Exception:  # noqa: BLE001 - the program closed its own standard error
            return
