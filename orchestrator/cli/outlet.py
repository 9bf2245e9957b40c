"""Where a view writes: a stream that may go away or stand still, which is no reason for a sweep to do so."""

import os
import threading
from collections import deque
from typing import IO, Any

DRAIN_S = 2.0
"""How long the end of a command waits for a stream that stands still."""


class Outlet:
    """A stream to somebody who may leave (a closed pipe, a terminal that hung up) or pause.

    A terminal pauses at Ctrl-S or when its connection is down, a pipe when its reader is a pager. So a thread of its own
    writes, straight to the descriptor: it holds no lock of the stream's that the interpreter would want at its end.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._texts: deque[str] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def is_behind(self) -> bool:
        """Whether something that was written has not left yet."""
        return bool(self._texts)

    def write(self, text: str) -> int:
        """Write soon, or do nothing once the stream is gone. Never waits."""
        with self._changed:
            self._texts.append(text)
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_on, name="outlet", daemon=True)
            self._thread.start()
        return len(text)

    def flush(self) -> None:
        """Do nothing: what was written is on its way."""

    def drain(self) -> None:
        """Wait until everything has left; not for long if the stream stands still."""
        with self._changed:
            self._changed.wait_for(lambda: not self._texts, DRAIN_S)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _write_on(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._texts)
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
        try:
            while data:
                data = data[os.write(descriptor, data) :]
        except OSError:
            self._leave(descriptor)

    def _send_without_descriptor(self, text: str) -> None:
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            return  # it is closed

    def _leave(self, descriptor: int) -> None:
        """Let what follows go nowhere, or Python would complain about its buffer at exit."""
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
        except OSError:
            return
