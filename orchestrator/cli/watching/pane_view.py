"""What stands below the table of a sweep: one of the panes, drawn in a thread, and a line that names them all."""

import asyncio

from rich.text import Text
from textual import work
from textual.containers import VerticalScroll
from textual.widgets import Static

from orchestrator.cli.watching.followed import Picture
from orchestrator.cli.watching.looks import Palette, palette_of
from orchestrator.cli.watching.panes import PANES, Pane, Wanted
from orchestrator.cli.watching.trial_rows import TrialRows
from orchestrator.errors import SweepError
from orchestrator.layout import SweepDir
from orchestrator.printable import clean
from orchestrator.reporting.wording import counted


class PaneView(VerticalScroll):
    """Draws a pane about the trials that a table means.

    Args:
        sweep_dir: The sweep.
        trials: The table.
    """

    DEFAULT_CSS = """
    PaneView { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
    """

    def __init__(self, sweep_dir: SweepDir, trials: TrialRows) -> None:
        self._drawn = Static(id="drawn")
        super().__init__(self._drawn, id="pane", can_focus=False)
        self.tabs = Static(id="tabs")
        self._trials = trials
        self._panes: dict[str, Pane] = {name: make(sweep_dir) for name, make in PANES.items()}
        self._shown = next(iter(PANES))
        self._which = 0
        self._picture: Picture | None = None
        self._drawing: set[str] = set()
        self._again: set[str] = set()
        self._is_at_end = True

    def on_unmount(self) -> None:
        """Let go of what the panes have open."""
        for pane in self._panes.values():
            pane.close()

    @property
    def _palette(self) -> Palette:
        return palette_of(self.app.theme)

    def show(self, picture: Picture | None) -> None:
        """Draw what there is to see of a picture, and of the trials that the table means now."""
        self._picture = picture
        self._show_tabs()
        self._draw()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Take note whether somebody is at the end: what grows below a question that is open moves nobody from there."""
        super().watch_scroll_y(old_value, new_value)
        self._is_at_end = new_value >= self.max_scroll_y

    def moved(self) -> None:
        """Draw it for the trial that the cursor went to; a log from its end."""
        self.show(self._picture)
        if self._shown == "log":
            self.scroll_end(animate=False)

    def turn_to(self, name: str) -> None:
        """Show another pane."""
        self._shown = name
        self._drawn.update(Text("...", style=self._palette.muted))
        self.show(self._picture)

    def turn_on(self) -> None:
        """Show the next pane."""
        names = list(PANES)
        self.turn_to(names[(names.index(self._shown) + 1) % len(names)])

    def other_metric(self) -> None:
        """Draw another metric."""
        self._which += 1
        self._draw()

    def _show_tabs(self) -> None:
        line, palette = Text(no_wrap=True, overflow="ellipsis"), self._palette
        for i, name in enumerate(PANES, 1):
            line.append(f"{i} {name}", style=f"bold {palette.accent}" if name == self._shown else palette.muted)
            line.append("  ")
        trial, about = self._trials.trial, []
        if self._shown == "log" and trial is not None:
            about.append(f"trial {trial.number}")
        if self._trials.marked:
            about.append(f"{len(self._trials.marked)} marked")
        if self._picture is not None and self._trials.is_filtered:
            about.append(f"{self._trials.n_rows} of {counted(len(self._picture.table.records), 'trial')}")
        line.append(" · ".join(about), style=palette.ink)
        self.tabs.update(line)

    def _draw(self) -> None:
        """Draw the pane, unless that is being done: then once more."""
        if self._picture is None:
            return
        if self._shown in self._drawing:
            self._again.add(self._shown)
            return
        self._drawing.add(self._shown)
        self._draw_aside(self._shown, self._picture, self._wanted())

    def _wanted(self) -> Wanted:
        trial = self._trials.trial
        return Wanted(
            number=None if trial is None else trial.number,
            marked=self._trials.marked,
            which=self._which,
            width=max(20, self.size.width - 1),
            height=max(3, self.size.height),
            palette=self._palette,
        )

    @work(group="panes")
    async def _draw_aside(self, name: str, picture: Picture, wanted: Wanted) -> None:
        try:
            text = await asyncio.to_thread(self._panes[name].draw, picture, wanted)
        except (OSError, SweepError) as error:
            text = Text(clean(str(error).splitlines()[0]), style=wanted.palette.failed)
        finally:
            self._drawing.discard(name)
        if not self.is_attached:
            return
        if name == self._shown:
            self._show_drawn(text)
        if name in self._again:
            self._again.discard(name)
            if name == self._shown:
                self._draw()

    def _show_drawn(self, text: Text) -> None:
        self._drawn.update(text)
        if self._shown == "log" and self._is_at_end:
            self.scroll_end(animate=False)
