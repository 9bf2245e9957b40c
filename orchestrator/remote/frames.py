"""Bytes of two streams and an exit code as lines of text: what a command says on the head, on its way through a job's log.

Whatever else is in the log (Ray's own words) is no frame, and is passed over.
"""

import base64
import re
import zlib
from dataclasses import dataclass

MOST = 32 << 10
"""Bytes of a stream in one frame: its line, in base64, is what the job server passes on at once."""

LINE = re.compile(r"sweep>([12x]) ([A-Za-z0-9+/=-]+)")


@dataclass(frozen=True, slots=True)
class Said:
    """Bytes of standard output (1) or standard error (2)."""

    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The command has ended; nothing follows."""

    exit_code: int


def encode(frame: Said | Ended) -> str:
    """Return a frame as one line."""
    if isinstance(frame, Ended):
        return f"sweep>x {frame.exit_code}\n"
    return f"sweep>{frame.stream} {base64.b64encode(zlib.compress(frame.data, 1)).decode()}\n"


class Decoder:
    """Frames out of text that comes in any pieces."""

    def __init__(self) -> None:
        self._rest = ""
        self.others: list[str] = []
        """The last lines that are no frames."""

    def feed(self, text: str) -> list[Said | Ended]:
        """Return the frames that are complete now."""
        *lines, self._rest = (self._rest + text).split("\n")
        return [frame for line in lines if (frame := self._frame(line)) is not None]

    def _frame(self, line: str) -> Said | Ended | None:
        found = LINE.fullmatch(line)
        if found is None:
            self.others = [*self.others, line][-20:]
            return None
        kind, text = found.groups()
        try:
            if kind == "x":
                return Ended(int(text))
            unpacker = zlib.decompressobj()
            return Said(int(kind), unpacker.decompress(base64.b64decode(text, validate=True), 2 * MOST))
        except (ValueError, zlib.error):
            return None
