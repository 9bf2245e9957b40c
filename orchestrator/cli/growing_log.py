"""A log that grows, printed piece by piece, without what could drive a terminal."""

import codecs
import sys
from pathlib import Path

from orchestrator import confined
from orchestrator.cli.terminal import write_log
from orchestrator.errors import SweepError

PIECE = 1 << 20
"""Bytes that are read at once: a log may be longer than memory."""


class Log:
    """A log that grows, printed piece by piece: as it is to a file or a pipe, without what could drive it to a terminal."""

    def __init__(self, path: Path, *, inside: Path) -> None:
        self._path = path
        self._inside = inside
        self._position = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._last = "\n"

    def print_more(self) -> None:
        """Print what has come since the last time.

        Raises:
            SweepError: The log is no file, or cannot be read.
        """
        try:
            with confined.open_file(self._path, self._inside) as file:
                file.seek(self._position)
                while data := file.read(PIECE):
                    self._position += len(data)
                    self._print(self._decoder.decode(data))
        except FileNotFoundError:
            return
        except OSError as error:
            raise SweepError(f"{self._path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Print the rest, and end its last line."""
        self.print_more()
        self._print(self._decoder.decode(b"", final=True))
        if self._last != "\n":
            self._print("\n")

    def _print(self, text: str) -> None:
        if not text:
            return
        write_log(text)
        sys.stdout.flush()
        self._last = text[-1]
