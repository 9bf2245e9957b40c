"""The door between the `sweep` command and its reader: whatever a command prints, nothing in it can drive a terminal."""

import os
import re
import shutil
import sys
from typing import Any, TextIO, cast

from orchestrator.printable import clean_lines
from orchestrator.watch.outlet import redirect_to_nothing

OURS = re.compile(r"(\r\x1b\[K|\x1b\[(?:0|1|3[0-7]|9[0-7])m)")
"""Control sequences that commands print themselves: an emptied line, bold, a colour, and the end of both."""

COLOURS = re.compile(r"(\x1b\[[0-9;]*m|\r)")
"""What is left of a log on a terminal: colours and progress bars."""


def is_screen() -> bool:
    """Return whether an application can have the terminal: all three streams are there, and the keys come to this process.

    They do not for a command in the background (`sweep run &`), nor for one of a notebook's cell.
    """
    if os.environ.get("TERM", "dumb") == "dumb" or not all(os.isatty(stream) for stream in (0, 1, 2)):
        return False
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:  # it is another session's terminal
        return False


class Guarded:
    """A text stream through which control characters do not pass, but for a command's own colours on a terminal.

    Names, errors and values come from specs, programs and directories that anybody may have made. Commands clean what
    they show where they know what it is; here nothing is forgotten.
    """

    def __init__(self, stream: TextIO) -> None:
        self.unguarded = stream

    def write(self, text: str) -> int:
        """Write what of the text may be shown."""
        self.unguarded.write(
            _writable(_kept(text, OURS) if self.unguarded.isatty() else clean_lines(text), self.unguarded)
        )
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write each of the lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name in {"buffer", "detach"}:  # the ways around
            raise AttributeError(name)
        return getattr(self.unguarded, name)


class Spoken(Guarded):
    """Standard error behind the door. What nobody can hear (a closed pipe, a full disk) is no reason to stop."""

    def write(self, text: str) -> int:
        """Write what of the text may be shown, as long as that is possible."""
        try:
            return super().write(text)
        except OSError:
            self._fall_silent()
        return len(text)

    def flush(self) -> None:
        """Send what was written, as long as that is possible."""
        try:
            self.unguarded.flush()
        except OSError:
            self._fall_silent()

    def _fall_silent(self) -> None:
        redirect_to_nothing(self.unguarded.fileno())


def guard() -> None:
    """Put both of the process's streams behind the door; done by the command's entry, once.

    A stream that the command was started without (``2>&-``) leads to nothing from here on, or the next file that is
    opened, a ledger's lock perhaps, would take its descriptor and get what libraries and programs say.
    """
    for descriptor, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(descriptor)
        except OSError:
            redirect_to_nothing(descriptor)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, mode, encoding="utf-8", closefd=False))
    for name, door in (("stdout", Guarded), ("stderr", Spoken)):
        stream = getattr(sys, name)
        if not isinstance(stream, Guarded):
            setattr(sys, name, cast("Any", door(stream)))


def fitted(text: str) -> str:
    """Return a table with its lines cut at the width of the terminal that it goes to; elsewhere as it is."""
    if not sys.stdout.isatty():
        return text
    from rich.cells import cell_len, set_cell_size

    width = shutil.get_terminal_size().columns
    return "\n".join(
        line if cell_len(line) <= width else f"{set_cell_size(line, width - 1)}…" for line in text.split("\n")
    )


def write_data(text: str) -> None:
    """Write what a program may read to standard output: as it is, but harmless on a terminal."""
    stream = _unguarded(sys.stdout)
    stream.write(_writable(clean_lines(text) if stream.isatty() else text, stream))


def write_log(text: str) -> None:
    """Write what a trial printed to standard output: as it is, on a terminal with its colours and nothing that drives it."""
    stream = _unguarded(sys.stdout)
    stream.write(_writable(harmless(text) if stream.isatty() else text, stream))


def harmless(text: str) -> str:
    """Return a log as a terminal may show it: colours and progress bars stay, other control sequences go."""
    return _kept(text, COLOURS)


def _kept(text: str, sequences: re.Pattern[str]) -> str:
    """The text made clean between the sequences that may stay."""
    parts = sequences.split(text)
    return "".join(part if i % 2 else clean_lines(part) for i, part in enumerate(parts))


def _writable(text: str, stream: TextIO) -> str:
    """The text as the stream's encoding has it; what it lacks becomes ``?``."""
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.encode(encoding, "replace").decode(encoding)
    return text


def _unguarded(stream: TextIO) -> TextIO:
    return cast("TextIO", getattr(stream, "unguarded", stream))
