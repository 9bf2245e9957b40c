"""One sweep: its trials as a table, a pane about them below, and keys that steer it."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType

from orchestrator.cli.watching import steering, takehome
from orchestrator.cli.watching.asking import Line, Question
from orchestrator.cli.watching.followed import Followed, Picture
from orchestrator.cli.watching.head import head, standing
from orchestrator.cli.watching.pane_view import PaneView
from orchestrator.cli.watching.panes import PANES
from orchestrator.cli.watching.rows import at_once
from orchestrator.cli.watching.screens import TableScreen
from orchestrator.cli.watching.trial_rows import TrialRows
from orchestrator.errors import SweepError
from orchestrator.layout import SweepDir
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.ledger.requests import Action
from orchestrator.printable import clean
from orchestrator.reporting import labels
from orchestrator.reporting.recipe import config_text
from orchestrator.watch.ending import on_sweep
from orchestrator.watch.plain import describe
from orchestrator.watch.progress import Note, TrialEnded, TrialRequeued

LOOK_S = 0.2
"""How often the ledger is looked at while somebody controls the sweep."""

CALM_S = 1.0
"""The same while nobody does."""

SHARE = 0.1
"""The largest share of the time that looking may take."""


class SweepScreen(TableScreen):
    """Follows a sweep until it is left."""

    DEFAULT_CSS = """
    SweepScreen #tabs { height: 1; padding: 0 1; background: $panel; }
    SweepScreen Rows.hidden { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        at_once("space", "mark", "mark the trial, or take its mark away"),
        at_once("u", "unmark", "take all marks away"),
        at_once("comma,less_than_sign", "sort(-1)", "sort by the column to the left, to the right"),
        at_once("full_stop,greater_than_sign", "sort(1)", "sort by the column to the left, to the right"),
        at_once("o", "reverse", "turn the order around"),
        at_once("c", "constants", "show or hide columns in which all trials are the same"),
        *(at_once(str(i), f"pane({name!r})", f"below: {', '.join(PANES)}") for i, name in enumerate(PANES, 1)),
        at_once("tab", "next_pane", f"below: {', '.join(PANES)}"),
        at_once("m", "metric", "below: another metric"),
        at_once("J", "scroll_pane(1)", "below: further down, up"),
        at_once("K", "scroll_pane(-1)", "below: further down, up"),
        at_once("z", "zoom", "only what is below, or the table again"),
        at_once("s", "trials('stop')", "stop trials softly: what they showed counts"),
        at_once("x", "trials('cancel')", "cancel trials, for good"),
        at_once("r", "trials('retry')", "run trials again that are over"),
        at_once("p", "pause", "pause the sweep, or let it go on"),
        at_once("plus,equals_sign", "concurrency(1)", "one trial more, or less, at once"),
        at_once("minus", "concurrency(-1)", "one trial more, or less, at once"),
        at_once("a", "add", "add trials to the sweep, or have fewer"),
        at_once("T", "time_out", "another time-out of trials, also for those that run"),
        at_once("n", "note(False)", "tags and a note of the trial"),
        at_once("N", "note(True)", "tags and a note of the whole sweep: its description"),
        at_once("S", "sweep('stop')", "stop the whole sweep: running trials finish"),
        at_once("X", "sweep('cancel')", "cancel the whole sweep"),
        at_once("y", "copy_command", "copy the trial's command, its config"),
        at_once("Y", "copy_config", "copy the trial's command, its config"),
        at_once("w", "page", "write the page of the sweep and open it"),
        at_once("b", "board", "copy the command that opens TensorBoard"),
        at_once("escape", "back", "take the filter away, else back to the list"),
    ]
    HINT = "? keys · q quit · / filter · s stop · x cancel · r retry · a add · p pause"
    MOVES: ClassVar[tuple[tuple[str, str], ...]] = (
        *TableScreen.MOVES,
        ("Enter", "only what is below, or the table again"),
    )

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

    def action_trials(self, action: str) -> None:
        """Ask something of the marked trials, or of the one at the cursor."""
        self._wish(steering.wish_for_trials(Action(action), self.trials.meant))

    def action_sweep(self, action: str) -> None:
        """Ask something of the whole sweep."""
        self._wish(steering.wish_for_sweep(Action(action)))

    def action_pause(self) -> None:
        """Pause the sweep, or let it go on."""
        self._with_picture(steering.pause_or_go_on)

    def action_concurrency(self, by: int) -> None:
        """Let more or fewer trials run at once."""
        self._with_picture(lambda picture: steering.other_concurrency(picture, by))

    def action_add(self) -> None:
        """Ask how many trials the sweep is to have, and set that."""
        if self.picture is None:
            return
        now = steering.trials_in_all(self.picture)
        self._ask_for_limit(
            f"How many trials in all? Now {now}.",
            "36, or +20 for 20 more; none for no limit",
            lambda answer: self._with_picture(lambda picture: steering.other_number_of_trials(picture, answer)),
        )

    def action_time_out(self) -> None:
        """Ask how long a trial may take, and set that."""
        if self.picture is None:
            return
        now = steering.time_out(self.picture)
        self._ask_for_limit(
            f"How long may a trial take? Now {now}.",
            "30s, 10m, 2h; none for no limit",
            lambda answer: self._wish(steering.other_time_out(answer)),
        )

    def _ask_for_limit(self, question: str, hint: str, take: Callable[[str], None]) -> None:
        """Take what is answered; an empty line, and Escape, leave the limit as it is."""
        self.app.push_screen(Line(question, "", hint=hint), lambda answer: take(answer) if answer else None)

    def action_note(self, of_sweep: bool) -> None:
        """Ask what is to be said of the trial at the cursor, or of the sweep, and write that down."""
        picture, trial = self.picture, None if of_sweep else self.trials.trial
        if picture is None or (trial is None and not of_sweep):
            self.say("there is no trial here")
            return
        number = None if trial is None else trial.number
        about = picture.labels.sweep if number is None else picture.labels.of(number)
        whose = "the sweep" if number is None else f"trial {number}"
        words = clean(about.words)
        line = Line(f"Tags and note of {whose}", words, hint="#good #slow the one to keep; empty for nothing")

        def take(answer: str | None) -> None:
            if answer is not None and answer != words:
                self._write_down(number, whose, answer)

        self.app.push_screen(line, take)

    @work(group="wishes")
    async def _write_down(self, number: int | None, whose: str, words: str) -> None:
        try:
            await asyncio.to_thread(labels.say, self.sweep_dir, number, words)
        except (OSError, SweepError) as error:
            self.say(clean(" ".join(str(error).split())))
        else:
            self.say(f"{whose}: {clean(words) or 'nothing is said of it any more'}")

    def _with_picture(self, wish: Callable[[Picture], steering.Wish | str]) -> None:
        if self.picture is not None:
            self._wish(wish(self.picture))

    def _wish(self, wish: steering.Wish | str) -> None:
        """Ask back where something is lost, and then ask for it."""
        if isinstance(wish, str):
            self.say(wish)
        elif wish.question is None:
            self._ask_for(wish)
        else:
            self.app.push_screen(Question(wish.question), partial(self._answered, wish))

    def _answered(self, wish: steering.Wish, yes: bool | None) -> None:
        if yes:
            self._ask_for(wish)
        else:
            self.say("nothing was asked for")

    @work(group="wishes")
    async def _ask_for(self, wish: steering.Wish) -> None:
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
        picture, trial = self.picture, self.trials.trial
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
