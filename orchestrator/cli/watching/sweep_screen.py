"""One sweep: its trials as a table, a pane about them below, and keys that steer it."""

import asyncio
import time
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from orchestrator.cli.watching import steering, takehome
from orchestrator.cli.watching.asking import Question
from orchestrator.cli.watching.followed import Followed, Picture
from orchestrator.cli.watching.head import head, standing
from orchestrator.cli.watching.looks import MARKS
from orchestrator.cli.watching.panes import PANES, Pane, Wanted
from orchestrator.cli.watching.rows import Cell, Rows, Title
from orchestrator.cli.watching.screens import TableScreen
from orchestrator.cli.watching.trial_table import numbers_of
from orchestrator.errors import SweepError
from orchestrator.layout import SweepDir
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.ledger.requests import Action
from orchestrator.reporting.recipe import config_text
from orchestrator.reporting.wording import clean, counted
from orchestrator.watch.ending import on_sweep
from orchestrator.watch.plain import describe
from orchestrator.watch.progress import Note, TrialEnded, TrialRequeued

LOOK_S = 0.2
"""How often the ledger is looked at while somebody controls the sweep."""

CALM_S = 1.0
"""The same while nobody does."""

SHARE = 0.1
"""The largest share of the time that looking may take."""

WIDE = 80
"""Columns from which on a state is said in words, too."""

WIDEST = 28
"""Columns of a value; the last column has more."""


class SweepScreen(TableScreen):
    """Follows a sweep until it is left."""

    DEFAULT_CSS = """
    SweepScreen #tabs { height: 1; padding: 0 1; background: $panel; }
    SweepScreen #pane { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
    SweepScreen #pane.zoomed { height: 1fr; }
    SweepScreen Rows.hidden { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "mark the trial, or take its mark away"),
        Binding("u", "unmark", "take all marks away"),
        Binding("comma,less_than_sign", "sort(-1)", "sort by the column to the left"),
        Binding("full_stop,greater_than_sign", "sort(1)", "sort by the column to the right"),
        Binding("o", "reverse", "turn the order around"),
        Binding("c", "constants", "show or hide columns in which all trials are the same"),
        *(Binding(str(i), f"pane({name!r})", f"below: {name}") for i, name in enumerate(PANES, 1)),
        Binding("tab", "next_pane", "below: the next one"),
        Binding("m", "metric", "below: another metric"),
        Binding("J", "scroll_pane(1)", "below: further down"),
        Binding("K", "scroll_pane(-1)", "below: further up"),
        Binding("z", "zoom", "only what is below, or the table again"),
        Binding("s", "trials('stop')", "stop trials softly: what they showed counts"),
        Binding("x", "trials('cancel')", "cancel trials, for good"),
        Binding("r", "trials('retry')", "run trials again that are over"),
        Binding("p", "pause", "pause the sweep, or let it go on"),
        Binding("plus,equals_sign", "concurrency(1)", "one trial more at once"),
        Binding("minus", "concurrency(-1)", "one trial less at once"),
        Binding("S", "sweep('stop')", "stop the whole sweep: running trials finish"),
        Binding("X", "sweep('cancel')", "cancel the whole sweep"),
        Binding("y", "copy_command", "copy the trial's command"),
        Binding("Y", "copy_config", "copy the trial's config"),
        Binding("w", "page", "write the page of the sweep and open it"),
        Binding("b", "board", "copy the command that opens TensorBoard"),
        Binding("escape", "back", "take the filter away, else back to the list"),
    ]
    HINT = "? keys · / filter · Space mark · s stop · x cancel · r retry · p pause · q quit"
    MOVES: ClassVar[tuple[tuple[str, str], ...]] = (
        *TableScreen.MOVES,
        ("Enter", "only what is below, or the table again"),
    )

    def __init__(self, sweep_dir: SweepDir, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.tabs, self.drawn = Static(id="tabs"), Static(id="drawn")
        self.below = VerticalScroll(self.drawn, id="pane", can_focus=False)
        self.sweep_dir = sweep_dir
        self._clock = clock
        self.picture: Picture | None = None
        self.marked: dict[int, None] = {}
        self.pane = next(iter(PANES))
        self._panes: dict[str, Pane] = {name: make(sweep_dir) for name, make in PANES.items()}
        self._drawing: set[str] = set()
        self._again: set[str] = set()
        self._order: list[int] = []
        self._columns: list[int] = []
        self._by = 0
        self._which = 0
        self._downwards = False
        self._shows_constants = False
        self._error: str | None = None

    def compose(self) -> ComposeResult:
        """Return the parts, from top to bottom."""
        yield from (self.head, self.rows, self.tabs, self.below, self.filter_line, self.foot)

    def make_rows(self) -> Rows:
        """Return the table."""
        return Rows(nothing="no trials", id="trials")

    def on_mount(self) -> None:
        """Follow the sweep from now on."""
        super().on_mount()
        self.head.update(Text(f"reading {clean(self.sweep_dir.path.name)} ...", style=self.palette.muted))
        self._show_tabs()
        self._follow()

    def on_unmount(self) -> None:
        """Let go of what the panes have open."""
        for pane in self._panes.values():
            pane.close()

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
        if before is None or before.table is not picture.table:
            self._by = picture.table.first_sorted
            self._downwards = picture.table.best_is_high(self._by)
        self._show_head()
        if before is None or picture.has_moved or before.table is not picture.table:
            self._fill_safely()
        if before is not None:
            self._tell(before, picture)
        self._draw_pane()

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
            self._draw_pane()
        self._show_tabs()
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
        """Show the trials that pass the filter; the cursor stays with its trial."""
        if self.picture is None:
            return
        table, at = self.picture.table, self.trial
        order = table.arranged(self.where, self._by, downwards=self._downwards)
        self._order = order
        self._columns = [
            i
            for i in range(len(table.columns))
            if self._shows_constants or i <= table.first_sorted or not table.is_constant(i)
        ]
        rows = self.rows
        cursor = rows.cursor if at is None else numbers_of(table, order).get(at.number, rows.cursor)
        self.rows.nothing = "no trial passes the filter" if self.where.strip() else "no trials yet"
        rows.fill(self._titles(), len(order), self._cells, self.palette, cursor=cursor)
        self._show_tabs()

    def _titles(self) -> list[Title]:
        assert self.picture is not None
        table, found = self.picture.table, []
        for i in self._columns:
            name = table.columns[i].name + ((" ▼" if self._downwards else " ▲") if i == self._by else "")
            last = i == len(table.columns) - 1
            width = max(len(name), min(table.widths[i], 200 if last else WIDEST))
            if i == 1:
                width = 10 if self._is_wide else 2
                name = name if self._is_wide else ""
            is_number = i not in {1, len(table.columns) - 1, len(table.columns) - 2}
            found.append(Title(text=name, width=width + (i == 0), is_number=is_number))
        return found

    @property
    def _is_wide(self) -> bool:
        return self.size.width >= WIDE

    def _cells(self, row: int) -> list[Cell]:
        assert self.picture is not None
        table, place = self.picture.table, self._order[row]
        trial = table.records[place]
        mark, colour = MARKS[trial.state]
        cells: list[Cell] = []
        for i in self._columns:
            text = table.columns[i].texts[place]
            if i == 0:
                is_marked = trial.number in self.marked
                cells.append((("● " if is_marked else "") + text, "accent" if is_marked else ""))
            elif i == 1:
                cells.append((f"{mark} {text}" if self._is_wide else mark, colour))
            else:
                cells.append((text, "muted" if i == len(table.columns) - 1 else ""))
        return cells

    @property
    def trial(self) -> TrialRecord | None:
        """The trial at the cursor."""
        row = self.rows.cursor
        if self.picture is None or not 0 <= row < len(self._order):
            return None
        return self.picture.table.records[self._order[row]]

    @property
    def meant(self) -> list[TrialRecord]:
        """The marked trials, else the one at the cursor."""
        if self.picture is None:
            return []
        table = self.picture.table
        places = [place for number in self.marked if (place := table.place_of(number)) is not None]
        found = [table.records[place] for place in places]
        return found or ([] if self.trial is None else [self.trial])

    def _show_tabs(self) -> None:
        line = Text(no_wrap=True, overflow="ellipsis")
        for i, name in enumerate(PANES, 1):
            line.append(f"{i} {name}", style=f"bold {self.palette.accent}" if name == self.pane else self.palette.muted)
            line.append("  ")
        trial, about = self.trial, []
        if self.pane == "log" and trial is not None:
            about.append(f"trial {trial.number}")
        if self.marked:
            about.append(f"{len(self.marked)} marked")
        if self.picture is not None and self.where.strip():
            about.append(f"{len(self._order)} of {counted(len(self.picture.table.records), 'trial')}")
        line.append(" · ".join(about), style=self.palette.ink)
        self.tabs.update(line)

    def _draw_pane(self) -> None:
        """Draw what is below, unless that is being done: then once more."""
        if self.picture is None:
            return
        if self.pane in self._drawing:
            self._again.add(self.pane)
            return
        self._drawing.add(self.pane)
        self._draw(self.pane, self.picture, self._wanted())

    def _wanted(self) -> Wanted:
        size = self.below.size
        return Wanted(
            number=None if self.trial is None else self.trial.number,
            marked=tuple(self.marked),
            which=self._which,
            width=max(20, size.width - 1),
            height=max(3, size.height),
            palette=self.palette,
        )

    @work(group="panes")
    async def _draw(self, name: str, picture: Picture, wanted: Wanted) -> None:
        try:
            text = await asyncio.to_thread(self._panes[name].draw, picture, wanted)
        except (OSError, SweepError) as error:
            text = Text(clean(str(error).splitlines()[0]), style=self.palette.failed)
        finally:
            self._drawing.discard(name)
        if not self.is_attached:
            return
        if name == self.pane:
            self._show_drawn(text)
        if name in self._again:
            self._again.discard(name)
            if name == self.pane:
                self._draw_pane()

    def _show_drawn(self, text: Text) -> None:
        was_at_end = self.below.scroll_offset.y >= self.below.max_scroll_y
        self.drawn.update(text)
        if self.pane == "log" and was_at_end:
            self.below.scroll_end(animate=False)

    def on_rows_moved(self) -> None:
        """Show the log of the trial at the cursor."""
        self._show_tabs()
        self._draw_pane()
        if self.pane == "log":
            self.below.scroll_end(animate=False)

    def on_rows_chosen(self) -> None:
        """Give all room to what is below."""
        self.action_zoom()

    def on_rows_headed(self, event: Rows.Headed) -> None:
        """Sort by the column whose head was clicked."""
        self._sort_by(self._columns[event.column])

    def action_mark(self) -> None:
        """Mark the trial at the cursor and go to the next, or take its mark away."""
        if self.trial is None:
            return
        number = self.trial.number
        if number in self.marked:
            del self.marked[number]
        else:
            self.marked[number] = None
        self.rows.refresh()
        self.rows.action_move(1)
        self._show_tabs()
        self._draw_pane()

    def action_unmark(self) -> None:
        """Take all marks away."""
        self.marked.clear()
        self.rows.refresh()
        self._show_tabs()
        self._draw_pane()

    def action_sort(self, by: int) -> None:
        """Sort by the next column that is shown."""
        if self.picture is None:
            return
        place = self._columns.index(self._by) if self._by in self._columns else 0
        self._sort_by(self._columns[(place + by) % len(self._columns)])

    def _sort_by(self, column: int) -> None:
        assert self.picture is not None
        if column == self._by:
            self.action_reverse()
            return
        self._by, self._downwards = column, self.picture.table.best_is_high(column)
        self.fill_rows()

    def action_reverse(self) -> None:
        """Turn the order around."""
        self._downwards = not self._downwards
        self.fill_rows()

    def action_constants(self) -> None:
        """Show columns in which all trials are the same, or hide them."""
        self._shows_constants = not self._shows_constants
        self.fill_rows()
        self.say(
            "every column is shown" if self._shows_constants else "columns in which all trials are the same are hidden"
        )

    def action_pane(self, name: str) -> None:
        """Show another pane."""
        self.pane = name
        self._show_tabs()
        self.drawn.update(Text("...", style=self.palette.muted))
        self._draw_pane()

    def action_next_pane(self) -> None:
        """Show the next pane."""
        names = list(PANES)
        self.action_pane(names[(names.index(self.pane) + 1) % len(names)])

    def action_metric(self) -> None:
        """Draw another metric."""
        self._which += 1
        self._draw_pane()

    def action_scroll_pane(self, pages: int) -> None:
        """Scroll what is below by half of its height."""
        self.below.scroll_relative(y=pages * max(1, self.below.size.height // 2), animate=False)

    def action_zoom(self) -> None:
        """Hide the table, or show it again; its keys go on working."""
        self.rows.toggle_class("hidden")
        self.set_focus(None if self.rows.has_class("hidden") else self.rows)
        self.below.can_focus = self.rows.has_class("hidden")
        if self.rows.has_class("hidden"):
            self.below.focus()
        self.call_after_refresh(self._draw_pane)

    def action_back(self) -> None:
        """Take back what is set, one thing at a time, and leave at last."""
        if self.rows.has_class("hidden"):
            self.action_zoom()
        elif not self.clear_filter():
            self.dismiss()

    def action_trials(self, action: str) -> None:
        """Ask something of the marked trials, or of the one at the cursor."""
        self._wish(steering.wish_for_trials(Action(action), self.meant))

    def action_sweep(self, action: str) -> None:
        """Ask something of the whole sweep."""
        self._wish(steering.wish_for_sweep(Action(action)))

    def action_pause(self) -> None:
        """Pause the sweep, or let it go on."""
        self._with_picture(steering.pause_or_go_on)

    def action_concurrency(self, by: int) -> None:
        """Let more or fewer trials run at once."""
        self._with_picture(lambda picture: steering.other_concurrency(picture, by))

    def _with_picture(self, wish: Callable[[Picture], steering.Wish | str]) -> None:
        if self.picture is not None:
            self._wish(wish(self.picture))

    @work(group="wishes")
    async def _wish(self, wish: steering.Wish | str) -> None:
        """Ask back where something is lost, and then ask for it."""
        if isinstance(wish, str):
            self.say(wish)
            return
        if wish.question is not None and not await self.app.push_screen_wait(Question(wish.question)):
            self.say("nothing was asked for")
            return
        try:
            self.say(clean(await asyncio.to_thread(steering.ask, self.sweep_dir, wish)))
        except (OSError, SweepError) as error:
            self.say(clean(" ".join(str(error).split())))

    def action_copy_command(self) -> None:
        """Copy what runs the trial once more, as a line for a shell."""
        self._copy("command", lambda picture, trial: takehome.command_of(self.sweep_dir, picture, trial))

    def action_copy_config(self) -> None:
        """Copy the trial's config as YAML."""
        self._copy("config", lambda _, trial: config_text(trial.config))

    @work(group="copies")
    async def _copy(self, what: str, make: Callable[[Picture, TrialRecord], str | None]) -> None:
        picture, trial = self.picture, self.trial
        if picture is None or trial is None:
            self.say("there is no trial here")
            return
        try:
            text = await asyncio.to_thread(make, picture, trial)
        except (OSError, SweepError) as error:
            self.say(clean(str(error)))
            return
        if text is None:
            self.say(f"trial {trial.number} has no {what} of its own")
            return
        self.app.copy_to_clipboard(text)
        self.say(f"copied the {what} of trial {trial.number}: {clean(' '.join(text.split()))}")

    def action_board(self) -> None:
        """Copy the command that opens TensorBoard on the sweep."""
        command = on_sweep("board", self.sweep_dir)
        self.app.copy_to_clipboard(command)
        self.say(f"copied: {clean(command)}")

    @work(group="page")
    async def action_page(self) -> None:
        """Write report.html and open it, where there is a screen for it."""
        self.say("writing the page")
        try:
            path = await asyncio.to_thread(takehome.write_page, self.sweep_dir)
        except (OSError, SweepError) as error:
            self.say(clean(str(error)))
            return
        if await asyncio.to_thread(takehome.opens, path):
            self.say(f"opened {clean(str(path))}")
        else:
            self.app.copy_to_clipboard(str(path))
            self.say(f"written, and its path copied: {clean(str(path))}")
