"""What the screens of the list and of a sweep have in common: a table, a filter, one line for what is to be said."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input, Static

from orchestrator.cli.watching.asking import Keys, Written
from orchestrator.cli.watching.looks import Palette, other_than, palette_of
from orchestrator.cli.watching.rows import Rows, at_once
from orchestrator.errors import SweepError

SAID_S = 6.0
"""How long it stands there what a key did."""


class FilterLine(Written):
    """Where the filter is written."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "screen.clear_filter", show=False),
        Binding("enter", "screen.keep_filter", show=False),
    ]


class TableScreen(Screen[None]):
    """A head, a table with a filter, and a last line. Its parts are kept by name: they can be drawn on until the very end.

    Args:
        rows: The table.
    """

    DEFAULT_CSS = """
    TableScreen { background: $background; }
    TableScreen Rows, TableScreen VerticalScroll { scrollbar-background: $panel; scrollbar-color: $secondary 50%; }
    TableScreen #head { height: auto; padding: 0 1; }
    TableScreen Rows { height: 1fr; padding: 0 0 0 1; }
    TableScreen Input { height: 1; border: none; padding: 0 1; background: $panel; display: none; }
    TableScreen Input.shown { display: block; }
    TableScreen #foot { height: auto; max-height: 3; padding: 0 1; background: $panel; color: $secondary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        at_once("question_mark", "keys", "these keys"),
        at_once("slash", "filter", "filter: lr<0.01 state=failed; Enter keeps it, Escape takes it away"),
        at_once("t", "turn_theme", "dark or light"),
        at_once("q", "leave", "leave; the sweep goes on, or it is asked"),
    ]
    HINT = ""
    MOVES: ClassVar[tuple[tuple[str, str], ...]] = (
        ("↑ ↓ j k", "up and down; PageUp, PageDown, g, G further"),
        ("← → h l", "columns to the left and to the right"),
    )

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self.head, self.foot = Static(id="head"), Static(id="foot")
        self.rows = rows
        self.filter_line = FilterLine(placeholder="filter: text, lr<0.01, state=failed", compact=True, id="filter")
        self.where = ""
        self._said: str | None = None
        self._silence = 0

    def compose(self) -> ComposeResult:
        """Return the parts, from top to bottom."""
        yield from (self.head, self.rows, self.filter_line, self.foot)

    def fill_rows(self) -> None:
        """Show the rows that pass `where`.

        Raises:
            SweepError: The filter means nothing here.
        """
        raise NotImplementedError

    @property
    def palette(self) -> Palette:
        """The colours of now."""
        return palette_of(self.app.theme)

    def on_mount(self) -> None:
        """Begin with the keys of the table."""
        self.set_focus(self.rows)
        self.app.theme_changed_signal.subscribe(self, lambda _: self.repaint())
        self._show_foot()

    def on_resize(self) -> None:
        """Draw what depends on the width."""
        self.call_after_refresh(self.repaint)

    def repaint(self) -> None:
        """Draw everything anew: colours or sizes are others."""
        raise NotImplementedError

    def say(self, text: str) -> None:
        """Show a sentence in the last line for a while."""
        self._said = " ".join(text.split())
        self._silence += 1
        mine = self._silence
        self._show_foot()
        self.set_timer(SAID_S, lambda: self._hush(mine))

    def _hush(self, which: int) -> None:
        if which == self._silence:
            self._said = None
            self._show_foot()

    def _show_foot(self) -> None:
        if self._said:
            self.foot.update(Text(self._said, style=f"bold {self.palette.ink}"))
            return
        hint = Text(self.HINT)
        hint.truncate(max(10, self.size.width - 2), overflow="ellipsis")
        self.foot.update(hint)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave every key to the filter while that is written; Enter and Escape come back behind what was written before."""
        if (self.focused is self.filter_line) != (action in {"clear_filter", "keep_filter"}):
            return False
        return super().check_action(action, parameters)

    def action_filter(self) -> None:
        """Open the line for the filter; the next key is for it."""
        line = self.filter_line
        line.add_class("shown")
        line.value = self.where
        self.set_focus(line)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed; what means nothing yet leaves the rows as they are."""
        if event.value == self.filter_line.value:  # else it says more by now, or was taken away
            self._filter_by(event.value)

    def _filter_by(self, where: str) -> None:
        before, self.where = self.where, where
        try:
            self.fill_rows()
        except SweepError as error:
            self.where = before
            self.say(_without_option(error))
        else:
            self._said = None
            self._show_foot()

    def action_keep_filter(self) -> None:
        """Keep the filter that was written, if it means something; the next key is for the table."""
        self._filter_by(self.filter_line.value)
        if self.filter_line.value == self.where:
            self._leave_filter()

    def _leave_filter(self) -> None:
        line = self.filter_line
        line.set_class(bool(self.where), "shown")
        self.set_focus(self.rows)

    def clear_filter(self) -> bool:
        """Take the filter away; return whether there was one."""
        line = self.filter_line
        if not (line.has_class("shown") or self.where):
            return False
        self.where = ""
        with line.prevent(Input.Changed):
            line.value = ""
        self._leave_filter()
        self.fill_rows()
        return True

    def action_clear_filter(self) -> None:
        """Take the filter away that is being written."""
        self.clear_filter()

    async def action_leave(self) -> None:
        """Leave the application."""
        await self.app.action_quit()

    def action_turn_theme(self) -> None:
        """Turn from dark to light, or back."""
        self.app.theme = other_than(self.app.theme)

    def action_keys(self) -> None:
        """Show which key does what."""
        keys = [*self.MOVES]
        bound = [each for bindings in self._bindings.key_to_bindings.values() for each in bindings]
        keys.extend((_key_name(each), each.description) for each in bound if each.description and each.show)
        merged: dict[str, list[str]] = {}
        for key, what in keys:
            merged.setdefault(what, []).append(key)
        self.app.push_screen(Keys([(" ".join(names), what) for what, names in merged.items()]))


NAMES = {
    "question_mark": "?", "slash": "/", "comma": ",", "full_stop": ".", "less_than_sign": "<", "greater_than_sign": ">",
    "plus": "+", "minus": "-", "equals_sign": "=", "escape": "Esc", "enter": "Enter", "space": "Space", "tab": "Tab",
    "exclamation_mark": "!",
}  # fmt: skip


def _key_name(binding: Binding) -> str:
    return NAMES.get(binding.key, binding.key)


def _without_option(error: SweepError) -> str:
    return str(error).splitlines()[0].removeprefix("--where ")
