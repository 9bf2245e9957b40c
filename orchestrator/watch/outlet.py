"""Where a view writes: a stream that may go away or stand still, which is no reason for a sweep to do so."""

import contextlib
import os
import select
import threading
from collections import deque
from typing import IO, Any

IDLE_S = 0.1
"""How long the thread that writes waits for more before it ends; the interpreter's end may wait for that."""


def redirect_to_nothing(descriptor: int) -> None:
    """Let what is written to a descriptor from now on go nowhere, if that can be opened."""
    with contextlib.suppress(OSError):
        nothing = os.open(os.devnull, os.O_RDWR)
        if nothing == descriptor:
            os.set_inheritable(nothing, True)  # as a standard stream is, and a copy
        else:
            os.dup2(nothing, descriptor)
            os.close(nothing)


class Outlet:
    """A stream to somebody who may leave (a closed pipe, a terminal that hung up) or pause.

    A terminal pauses at Ctrl-S or when its connection is down, a pipe when its reader is a pager. So a thread writes, which
    lives for little longer than there is something to write: the interpreter's end waits for it, and nothing is lost. It
    writes straight to the descriptor and holds no lock of the stream's.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._texts: deque[str] = deque()
        self._changed = threading.Condition()
        self._is_writing = False

    @property
    def is_behind(self) -> bool:
        """Whether something that was written has not left yet."""
        return bool(self._texts)

    def write(self, text: str) -> int:
        """Write soon, or do nothing once the stream is gone. Never waits."""
        with self._changed:
            self._texts.append(text)
            self._changed.notify_all()
            if not self._is_writing:
                self._is_writing = True
                threading.Thread(target=self._write_on, name="outlet").start()
        return len(text)

    def flush(self) -> None:
        """Do nothing: what was written is on its way."""

    def drain(self) -> None:
        """Wait until everything has left or the stream is gone, however long it stands still."""
        with self._changed:
            self._changed.wait_for(lambda: not self._texts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _write_on(self) -> None:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._texts, IDLE_S):
                    self._is_writing = False
                    return
            self._send(self._texts[0])
            with self._changed:
                self._texts.popleft()
                self._changed.notify_all()

    def _send(self, text: str) -> None:
        try:
            self._stream.flush()
            descriptor = self._stream.fileno()
        except (OSError, ValueError):
            self._send_without_descriptor(text)
            return
        data = text.encode(getattr(self._stream, "encoding", None) or "utf-8", "replace")
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:  # it does not wait by itself
                select.select([], [descriptor], [])
            except OSError:
                redirect_to_nothing(descriptor)  # or Python would complain about its buffer at exit
                return

    def _send_without_descriptor(self, text: str) -> None:
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            return  # it is closed
