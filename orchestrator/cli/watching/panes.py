"""What stands below the table of a sweep: each pane draws one thing about the trials that are meant, as text."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from rich.text import Text

from orchestrator.cli.watching.followed import Picture
from orchestrator.cli.watching.log_tail import LogTail
from orchestrator.cli.watching.looks import Palette
from orchestrator.layout import SweepDir


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a pane is asked for.

    Attributes:
        number: The trial at the cursor; None where there is none.
        marked: The trials that are marked, in the order they were.
        width: Columns that there are.
        height: Lines that there are.
    """

    number: int | None
    marked: tuple[int, ...]
    width: int
    height: int
    palette: Palette


class Pane(Protocol):
    """Draws; may take its time, for it is asked in a thread, never twice at once."""

    def draw(self, picture: Picture, wanted: Wanted) -> Text:
        """Return what is to be shown.

        Raises:
            SweepError, OSError: It cannot be read.
        """
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


class LogPane:
    """The end of the log of the trial at the cursor."""

    def __init__(self, sweep_dir: SweepDir) -> None:
        self._sweep_dir = sweep_dir
        self._tail: LogTail | None = None

    def draw(self, picture: Picture, wanted: Wanted) -> Text:  # noqa: ARG002 - all panes are asked alike
        """Return its lines."""
        if wanted.number is None:
            return Text("there is no trial yet", style=wanted.palette.muted)
        path = self._sweep_dir.trial(wanted.number).log_path
        if self._tail is None or self._tail.path != path:
            self._tail = LogTail(path, inside=self._sweep_dir.path)
        return self._tail.look()

    def close(self) -> None:
        """Nothing is kept open."""


PANES: Mapping[str, Callable[[SweepDir], Pane]] = {"log": LogPane}
"""What there is, in the order of their keys."""
