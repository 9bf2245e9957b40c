"""The list of sweeps."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.binding import BindingType
from textual.message import Message

from orchestrator.cli.watching.listing import Line, Listing, cells_of, passing_lines
from orchestrator.cli.watching.rows import Rows, Title, at_once
from orchestrator.cli.watching.screens import TableScreen
from orchestrator.errors import SweepError
from orchestrator.layout import SweepDir
from orchestrator.printable import clean
from orchestrator.reporting.wording import counted

LOOK_S = 1.0
"""How often the directory is looked at."""

SHARE = 0.1
"""The largest share of the time that looking may take."""

NAMES = ("id", "state", "trials", "best", "started", "name", "about")


class SweepsScreen(TableScreen):
    """All sweeps of a runs directory, the newest first; Enter opens one."""

    BINDINGS: ClassVar[list[BindingType]] = [at_once("escape", "back", "take the filter away")]
    MOVES: ClassVar[tuple[tuple[str, str], ...]] = (*TableScreen.MOVES, ("Enter", "open the sweep"))
    HINT = "Enter open · / filter · t theme · ? keys · q quit"

    @dataclass
    class Opened(Message):
        """A sweep was chosen."""

        sweep_dir: SweepDir

    def __init__(self, listing: Listing, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(Rows(nothing=f"no sweeps in {clean(str(listing.runs.resolve()))}", id="sweeps"))
        self._listing = listing
        self._clock = clock
        self._lines: list[Line] = []
        self._shown: list[Line] = []
        self._error: str | None = None

    def on_mount(self) -> None:
        """Look at the directory from now on."""
        super().on_mount()
        self._follow()

    @work(exclusive=True, group="follow")
    async def _follow(self) -> None:
        while True:
            began_s = time.monotonic()
            if self.is_current or not self._lines:
                try:
                    self._lines, self._error = await asyncio.to_thread(self._listing.look), None
                except (OSError, SweepError) as error:
                    self._error = str(error)
                self.repaint()
            await asyncio.sleep(max(LOOK_S, (time.monotonic() - began_s) / SHARE))

    def repaint(self) -> None:
        """Draw the head and the rows."""
        n_live = sum(line.is_live for line in self._lines)
        head = Text(no_wrap=True, overflow="ellipsis")
        head.append(counted(len(self._lines), "sweep"), style="bold")
        head.append(f" in {clean(str(self._listing.runs))}, {n_live} running", style=self.palette.muted)
        if self._error:
            head.append(f" · {clean(self._error)}", style=self.palette.failed)
        self.head.update(head)
        try:
            self.fill_rows()
        except SweepError:
            self.where = ""
            self.fill_rows()

    def fill_rows(self) -> None:
        """Show the sweeps that pass the filter; the cursor stays with its sweep."""
        at = self._shown[self.rows.cursor].sweep_dir if self.rows.cursor < len(self._shown) else None
        self._shown = passing_lines(self._lines, self.where) if self.where.strip() else self._lines
        now = self._clock()
        cells = [cells_of(line, now) for line in self._shown]
        widths = [max([len(name), *(len(row[i][0]) for row in cells)]) for i, name in enumerate(NAMES)]
        titles = [
            Title(text=name, width=min(width, 60), is_number=name in {"trials", "best", "started"})
            for name, width in zip(NAMES, widths, strict=True)
        ]
        place = next((i for i, line in enumerate(self._shown) if line.sweep_dir == at), self.rows.cursor)
        self.rows.fill(titles, len(cells), cells.__getitem__, self.palette, cursor=place)

    def on_rows_chosen(self) -> None:
        """Open the sweep at the cursor."""
        self.post_message(self.Opened(sweep_dir=self._shown[self.rows.cursor].sweep_dir))

    def action_back(self) -> None:
        """Take the filter away."""
        self.clear_filter()
