"""The end of a log that grows, as text that a page can show: no colours, no bars that were drawn over."""

import codecs
import re
from pathlib import Path

from orchestrator import confined
from orchestrator.printable import clean

MOST_BYTES = 64 << 10
"""Bytes of the end that are shown at first, and that are read at once."""

MOST_KEPT = 96 << 10
"""Characters that are kept for whoever comes later."""

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)|\x1b[^\[\]]")
"""What drives a terminal."""

_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]{0,200})?$")


class LogTail:
    """The log of one trial.

    Attributes:
        text: Its end as of the last look; what was drawn over and over is there once.
        left_out: Bytes before it.
    """

    def __init__(self, path: Path, inside: Path) -> None:
        self.text = ""
        self.left_out = 0
        self._path = path
        self._inside = inside
        self._begin()

    def _begin(self) -> None:
        self._position = 0
        self._held = ""
        self._file_id: tuple[int, int] | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.text = ""

    def look(self) -> bool:
        """Read what is new; return whether the text has changed."""
        try:
            status = self._path.stat()
            file_id = (status.st_dev, status.st_ino)
            if self._file_id is not None and (file_id != self._file_id or status.st_size < self._position):
                self._begin()
            if status.st_size == self._position and self._file_id is not None:
                return False
            self._file_id = file_id
            return self._read(status.st_size)
        except OSError:  # not there yet, gone, or no file of this sweep
            return False

    def _read(self, size: int) -> bool:
        with confined.open_file(self._path, self._inside) as file:
            if size - self._position > MOST_BYTES:
                self._position = self.left_out = size - MOST_BYTES
                self.text = ""
            file.seek(self._position)
            data = file.read(MOST_BYTES)
        self._position += len(data)
        text = _ESCAPES.sub("", self._held + self._decoder.decode(data))
        unfinished = _UNFINISHED.search(text)
        self._held = unfinished[0] if unfinished else ""
        self._append(text[: len(text) - len(self._held)])
        return bool(data)

    def _append(self, text: str) -> None:
        """Add text to the last line; of a line that returns to its beginning only what stands there last is kept."""
        whole, _, last = self.text.rpartition("\n")
        lines = (last + text.replace("\r\n", "\n")).split("\n")
        shown = "\n".join(_last_drawn(line) for line in lines)
        joined = f"{whole}\n{shown}" if whole or self.text.startswith("\n") else shown
        if len(joined) > MOST_KEPT:
            cut = joined[-MOST_KEPT // 2 :]
            self.left_out += len(joined) - len(cut)
            joined = cut.partition("\n")[2] or cut
        self.text = joined


def _last_drawn(line: str) -> str:
    """What a line shows that was drawn several times; a return at its end waits for what comes."""
    body = line.rstrip("\r")
    tail = "\r" if body != line else ""
    return clean(body.rpartition("\r")[2]) + tail
