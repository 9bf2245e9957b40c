"""Every key of a sweep's screen, what they ask of the sweep, and what they take from it."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual import work
from textual.binding import BindingType

from orchestrator.cli.watching import steering, takehome
from orchestrator.cli.watching.asking import Line, Question
from orchestrator.cli.watching.followed import Picture
from orchestrator.cli.watching.following_screen import FollowingScreen
from orchestrator.cli.watching.panes import PANES
from orchestrator.cli.watching.rows import at_once
from orchestrator.cli.watching.screens import TableScreen
from orchestrator.errors import SweepError
from orchestrator.ledger.records import TrialRecord
from orchestrator.ledger.requests import Action
from orchestrator.printable import clean
from orchestrator.reporting import labels
from orchestrator.reporting.recipe import config_text
from orchestrator.watch.ending import on_sweep


class SweepScreen(FollowingScreen):
    """Follows a sweep and steers it."""

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
