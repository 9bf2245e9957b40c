"""A sweep that is followed: its trials as a table, a pane about them below, and how both are turned."""

import asyncio
import time
from collections.abc import Callable

from rich.text import Text
from textual import work
from textual.app import ComposeResult

from orchestrator.cli.watching.followed import Followed, Picture
from orchestrator.cli.watching.head import head, standing
from orchestrator.cli.watching.pane_view import PaneView
from orchestrator.cli.watching.screens import TableScreen
from orchestrator.cli.watching.trial_rows import TrialRows
from orchestrator.errors import SweepError
from orchestrator.layout import SweepDir
from orchestrator.ledger.records import TrialState
from orchestrator.printable import clean
from orchestrator.watch.plain import describe
from orchestrator.watch.progress import Note, TrialEnded, TrialRequeued

LOOK_S = 0.2
"""How often the ledger is looked at while somebody controls the sweep."""

CALM_S = 1.0
"""The same while nobody does."""

SHARE = 0.1
"""The largest share of the time that looking may take."""


class FollowingScreen(TableScreen):
    """Follows a sweep until it is left, and asks nothing of it."""

    DEFAULT_CSS = """
    FollowingScreen #tabs { height: 1; padding: 0 1; background: $panel; }
    FollowingScreen Rows.hidden { display: none; }
    """

    def __init__(self, sweep_dir: SweepDir, *, clock: Callable[[], float] = time.time) -> None:
        self.sweep_dir = sweep_dir
        self.trials = TrialRows()
        super().__init__(self.trials)
        self.below = PaneView(sweep_dir, self.trials)
        self.picture: Picture | None = None
        self._clock = clock
        self._error: str | None = None

    def compose(self) -> ComposeResult:
        """Return the parts, from top to bottom."""
        yield from (self.head, self.trials, self.below.tabs, self.below, self.filter_line, self.foot)

    def on_mount(self) -> None:
        """Follow the sweep from now on."""
        super().on_mount()
        self.head.update(Text(f"reading {clean(self.sweep_dir.path.name)} ...", style=self.palette.muted))
        self._follow()

    @work(exclusive=True, group="follow")
    async def _follow(self) -> None:
        followed: Followed | None = None
        try:
            while True:
                began_s, calm = time.monotonic(), True
                try:
                    if followed is None:
                        followed = await asyncio.to_thread(Followed, self.sweep_dir, clock=self._clock)
                    picture = await asyncio.to_thread(followed.look)
                    calm = picture.who is None
                    if not self.is_attached:
                        return
                    self._take(picture)
                except (OSError, SweepError) as error:
                    self._fail(str(error))
                await asyncio.sleep(max(CALM_S if calm else LOOK_S, (time.monotonic() - began_s) / SHARE))
        finally:
            if followed is not None:
                followed.close()

    def _fail(self, error: str) -> None:
        """Say that the ledger cannot be read; what was read before stays."""
        if error != self._error:
            self._error = error
            self.say(clean(error.splitlines()[0]))
            if self.picture is None:
                self.head.update(Text(clean(error), style=self.palette.failed))

    def _take(self, picture: Picture) -> None:
        """Show a new picture."""
        before, self.picture, self._error = self.picture, picture, None
        self._show_head()
        if before is None or picture.has_moved or before.table is not picture.table:
            self._fill_safely()
        else:
            self.below.show(picture)
        if before is not None:
            self._tell(before, picture)

    def _tell(self, before: Picture, picture: Picture) -> None:
        """Say in the last line what stands out of what has happened."""
        if before.who is not None and picture.who is None:
            self.app.bell()
            self.say(f"the sweep has ended: {standing(picture)}")
            return
        for event in picture.events:
            failed = isinstance(event, TrialEnded) and event.trial.state is TrialState.FAILED
            line = describe(event, verbose=False) if failed or isinstance(event, Note | TrialRequeued) else None
            if line:
                self.say(clean(line.strip().splitlines()[0]))

    def repaint(self) -> None:
        """Draw everything anew."""
        if self.picture is not None:
            self._show_head()
            self._fill_safely()
        else:
            self.below.show(None)
        self._show_foot()

    def _show_head(self) -> None:
        assert self.picture is not None
        self.head.update(head(self.picture, self.palette, max(20, self.size.width - 2)))

    def _fill_safely(self) -> None:
        try:
            self.fill_rows()
        except SweepError:  # the table is another one, without that column
            self.where = ""
            self.fill_rows()

    def fill_rows(self) -> None:
        """Show the trials that pass the filter, and what is below for the one at the cursor."""
        if self.picture is not None:
            self.trials.show(self.picture.table, self.where, self.palette)
            self.below.show(self.picture)

    def on_rows_moved(self) -> None:
        """Show what is below for the trial at the cursor."""
        self.below.moved()

    def on_rows_chosen(self) -> None:
        """Give all room to what is below."""
        self.action_zoom()

    def action_mark(self) -> None:
        """Mark the trial at the cursor and go to the next, or take its mark away."""
        self.trials.mark()
        self.below.show(self.picture)

    def action_unmark(self) -> None:
        """Take all marks away."""
        self.trials.unmark()
        self.below.show(self.picture)

    def action_sort(self, by: int) -> None:
        """Sort by the next column that is shown."""
        self.trials.sort(by)

    def action_reverse(self) -> None:
        """Turn the order around."""
        self.trials.reverse()

    def action_constants(self) -> None:
        """Show columns in which all trials are the same, or hide them."""
        are_shown = self.trials.toggle_constants()
        self.say("every column is shown" if are_shown else "columns in which all trials are the same are hidden")

    def action_pane(self, name: str) -> None:
        """Show another pane."""
        self.below.turn_to(name)

    def action_next_pane(self) -> None:
        """Show the next pane."""
        self.below.turn_on()

    def action_metric(self) -> None:
        """Draw another metric."""
        self.below.other_metric()

    def action_scroll_pane(self, pages: int) -> None:
        """Scroll what is below by half of its height."""
        self.below.scroll_relative(y=pages * max(1, self.below.size.height // 2), animate=False)

    def action_zoom(self) -> None:
        """Hide the table, or show it again; its keys go on working."""
        hidden = not self.trials.has_class("hidden")
        self.trials.set_class(hidden, "hidden")
        self.below.can_focus = hidden
        self.set_focus(self.below if hidden else self.trials)
        self.call_after_refresh(self.below.show, self.picture)

    def action_back(self) -> None:
        """Take back what is set, one thing at a time, and leave at last."""
        if self.trials.has_class("hidden"):
            self.action_zoom()
        elif not self.clear_filter():
            self.dismiss()
