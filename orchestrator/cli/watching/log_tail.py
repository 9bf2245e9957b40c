"""The end of a trial's log, as a screen may show it: colours and the last state of progress bars, nothing that drives it."""

from pathlib import Path

from rich.text import Text

from orchestrator import confined
from orchestrator.cli.terminal import harmless

MOST_BYTES = 64 << 10
"""Of the end of a log: some hundred lines."""

MOST_LINES = 500


class LogTail:
    """One log, read again where it has grown. Its methods may be called from any thread, by one at a time."""

    def __init__(self, path: Path, *, inside: Path) -> None:
        self.path = path
        self._inside = inside
        self._stamp: tuple[int, int] | None = None
        self._text = Text()

    def look(self) -> Text:
        """Return its last lines, oldest first."""
        try:
            found = self.path.lstat()
            stamp = (found.st_mtime_ns, found.st_size)
            if stamp != self._stamp:
                self._text, self._stamp = _lines(self._read(found.st_size)), stamp
        except FileNotFoundError:
            return Text("it has printed nothing yet", style="dim")
        except OSError as error:
            return Text(f"the log cannot be read: {error.strerror or error}", style="dim")
        return self._text if self._text.plain else Text("it has printed nothing yet", style="dim")

    def _read(self, size: int) -> str:
        with confined.open_file(self.path, self._inside) as file:
            file.seek(max(0, size - MOST_BYTES))
            data = file.read(MOST_BYTES)
        if size > MOST_BYTES:
            data = data.partition(b"\n")[2] or data
        return data.decode("utf-8", "replace")


def _lines(text: str) -> Text:
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.rstrip("\n").split("\n")][-MOST_LINES:]
    return Text.from_ansi(harmless("\n".join(lines)).expandtabs(8))
