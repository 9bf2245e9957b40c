"""What lies above a screen for a moment: a question that takes one of some keys or a line, and the list of keys."""

from collections.abc import Sequence
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Input, Static

SHOWN_KEYS = {"escape": "Esc"}
"""Keys that are called otherwise where they are shown."""


class Question(ModalScreen[bool]):
    """A question before something is lost. Escape and n are no; Enter is nothing, and so is a yes before it is seen."""

    DEFAULT_CSS = """
    Question { align: center middle; background: $background 60%; }
    Question > Vertical {
        width: 56; max-width: 96%; height: auto; padding: 1 2; background: $panel; border: round $accent;
    }
    Question .answers { margin-top: 1; color: $secondary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"),
        Binding("n,escape,q", "answer(False)", "no"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question
        self._is_seen = False

    def compose(self) -> ComposeResult:
        """Return the question and its answers."""
        with Vertical():
            yield Static(Text(self._question))
            yield Static(Text("y yes    n no"), classes="answers")

    def on_mount(self) -> None:
        """Take answers once it is drawn."""
        self.call_after_refresh(setattr, self, "_is_seen", True)

    def action_answer(self, answer: bool) -> None:
        """Leave with the answer."""
        if self._is_seen or not answer:
            self.dismiss(answer)


class Choice(ModalScreen[str]):
    """A question with several answers, each a key; Enter alone does nothing."""

    DEFAULT_CSS = """
    Choice { align: center middle; background: $background 60%; }
    Choice > Vertical {
        width: 68; max-width: 96%; height: auto; padding: 1 2; background: $panel; border: round $accent;
    }
    Choice .answers { margin-top: 1; }
    """

    def __init__(self, question: str, answers: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._question = question
        self._answers = dict(answers)

    def compose(self) -> ComposeResult:
        """Return the question and its answers."""
        lines = Text("\n").join(
            Text.assemble((SHOWN_KEYS.get(key, key).ljust(5), "bold"), what) for key, what in self._answers.items()
        )
        with Vertical():
            yield Static(Text(self._question))
            yield Static(lines, classes="answers")

    def on_key(self, event: Key) -> None:
        """Leave with the answer that was pressed."""
        event.stop()
        if event.key in self._answers:
            self.dismiss(event.key)


class Written(Input):
    """An input that follows its keys in the order in which they come, and no more of them once it was left.

    Textual's own takes a letter as it comes, but follows Ctrl-U, Backspace or Enter only when they have come up to the
    application: of several keys that come at once the letters behind these would be there before.
    """

    async def on_key(self, event: Key) -> None:
        """Follow a key that has a meaning of its own; leave letters to the input."""
        bindings = self._bindings.key_to_bindings.get(event.key, ())
        if self.screen.focused is not self or any([await self.app.run_action(b.action, self) for b in bindings]):
            event.stop()
            event.prevent_default()


class Line(ModalScreen[str | None]):
    """A line to write: Enter takes it, Escape leaves everything as it is."""

    DEFAULT_CSS = """
    Line { align: center middle; background: $background 60%; }
    Line > Vertical {
        width: 76; max-width: 96%; height: auto; padding: 1 2; background: $panel; border: round $accent;
    }
    Line Input { height: 1; border: none; margin: 1 0; padding: 0; background: $background; }
    Line .answers { color: $secondary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "leave it as it is")]

    def __init__(self, question: str, value: str, *, hint: str) -> None:
        super().__init__()
        self._question = question
        self._hint = hint
        self._line = Written(value, select_on_focus=False, compact=True)  # what is there is changed, not replaced

    def compose(self) -> ComposeResult:
        """Return the question, the line and its keys."""
        with Vertical():
            yield Static(Text(self._question))
            yield self._line
            yield Static(Text(f"{self._hint}\nEnter keep    Esc leave it as it is"), classes="answers")

    def on_mount(self) -> None:
        """Write at once."""
        self._line.focus()

    def on_key(self, event: Key) -> None:
        """Write what was typed before the line was there."""
        if event.is_printable and event.character:
            self._line.insert_text_at_cursor(event.character)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take what was written."""
        self.dismiss(event.value)

    def action_leave(self) -> None:
        """Leave everything as it is."""
        self.dismiss(None)


class Keys(ModalScreen[None]):
    """Which key does what."""

    DEFAULT_CSS = """
    Keys { align: center middle; background: $background 60%; }
    Keys > VerticalScroll {
        width: 74; max-width: 100%; height: auto; max-height: 100%; padding: 0 1; background: $panel; border: round $secondary;
        scrollbar-size-vertical: 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q,enter", "dismiss", "close")]

    def __init__(self, keys: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._keys = keys

    def compose(self) -> ComposeResult:
        """Return the list."""
        keys = Table.grid(padding=(0, 2, 0, 0))
        for key, what in self._keys:
            keys.add_row(Text(key, style="bold", no_wrap=True), Text(what))
        with VerticalScroll():
            yield Static(keys)
