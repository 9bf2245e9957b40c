"""What a command on the head is asked to do, as one word of its command line."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator.errors import SweepError

LAND = "land"
"""Take a parcel apart and run the sweep in it."""

SEND = "send"
"""Print the files of a sweep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One command.

    Attributes:
        words: Behind `sweep`; or what only a head does: `LAND`, `SEND`.
        is_framed: Whether what it prints travels in frames, through a log.
        columns: Width of the terminal that it is printed on; None for no terminal.
        runs_dir: Where sweeps are kept there; None for SWEEP_RUNS_DIR, else ``~/sweep-runs``.
        version: Of the package that asks.
    """

    words: Sequence[str]
    is_framed: bool = False
    columns: int | None = None
    runs_dir: str | None = None
    version: str = ""

    def encode(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self))


def decode(text: str) -> Request:
    """Return what a text asks for.

    Raises:
        SweepError: It is of another release, or none.
    """
    try:
        data: dict[str, Any] = json.loads(text)
        request = Request(**data)
        is_sound = isinstance(request.words, list) and all(isinstance(word, str) for word in request.words)
    except (ValueError, TypeError):
        is_sound = False
    if not is_sound or not request.words:
        raise SweepError("this is for `sweep` on another machine, of the same release: it asks for nothing known here")
    return request
