"""A table of any length on a terminal: only the rows that can be seen are ever drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from orchestrator.cli.watching.looks import Palette

GAP = "  "


@dataclass(frozen=True, slots=True, kw_only=True)
class Title:
    """The head of a column, and how many cells wide the column is; numbers stand at its right end."""

    text: str
    width: int
    is_number: bool = False


Cell = tuple[str, str]
"""A text that may be shown, and the name of its colour in the palette; no name for the usual one."""

Row = Callable[[int], Sequence[Cell]]
"""Gives the cells of a row, by its place."""


def at_once(key: str, action: str, description: str, *, show: bool = True) -> Binding:
    """Return a binding that is followed as the key comes, before the next key finds out who it is for.

    Textual passes any other key on to what has the focus by then: of several that come at once those behind `/` would reach
    the table, and steer the sweep.
    """
    return Binding(key, action, description, show=show, priority=True)


class Rows(ScrollView, can_focus=True):
    """A table with a cursor. Its first column stays where it is when the others are scrolled.

    Args:
        nothing: What is said while there are no rows.
    """

    DEFAULT_CSS = """
    Rows { background: $background; color: $foreground; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        at_once("up,k", "move(-1)", "up", show=False),
        at_once("down,j", "move(1)", "down", show=False),
        at_once("pageup,ctrl+b", "turn(-1)", "page up", show=False),
        at_once("pagedown,ctrl+f", "turn(1)", "page down", show=False),
        at_once("home,g", "jump(0)", "first row", show=False),
        at_once("end,G", "jump(-1)", "last row", show=False),
        at_once("left,h", "shift(-1)", "columns to the left", show=False),
        at_once("right,l", "shift(1)", "columns to the right", show=False),
        at_once("enter", "choose", "choose", show=False),
    ]

    class Moved(Message):
        """The cursor stands on another row."""

    class Chosen(Message):
        """Enter was pressed, or the row at the cursor clicked."""

    @dataclass
    class Headed(Message):
        """The head of a column was clicked."""

        column: int

    def __init__(self, *, nothing: str, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.cursor = 0
        self.n_rows = 0
        self.nothing = nothing
        self._titles: Sequence[Title] = ()
        self._row: Row = lambda _: ()
        self._palette: Palette | None = None

    def fill(self, titles: Sequence[Title], n_rows: int, row: Row, palette: Palette, *, cursor: int) -> None:
        """Show other rows; `row` is asked for those that are seen."""
        self._titles, self.n_rows, self._row, self._palette = titles, n_rows, row, palette
        self.cursor = max(0, min(cursor, n_rows - 1))
        width = sum(title.width + len(GAP) for title in titles)
        if self.virtual_size != (size := Size(width, n_rows + 1)):
            self.virtual_size = size
        self._keep_in_sight()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw a line: the head, or a row."""
        width, palette = self.size.width, self._palette
        if palette is None:
            return Strip.blank(width, self.rich_style)
        base = Style(color=palette.ink, bgcolor=palette.page)
        place = self.scroll_offset.y + y - 1
        if y == 0:
            head = Style(color=palette.muted, bgcolor=palette.panel, bold=True)
            return self._line([(title.text, "") for title in self._titles], head, palette)
        if not self.n_rows and y == 1:
            return Strip([Segment(set_cell_size(self.nothing, width), base + Style(color=palette.muted))], width)
        if not 0 <= place < self.n_rows:
            return Strip.blank(width, base)
        if place == self.cursor:
            base = Style(color=palette.ink, bgcolor=palette.line, bold=self.has_focus)
        return self._line(self._row(place), base, palette)

    def _line(self, cells: Sequence[Cell], base: Style, palette: Palette) -> Strip:
        segments = []
        for (text, colour), title in zip(cells, self._titles, strict=True):
            style = base + Style(color=getattr(palette, colour)) if colour else base
            segments.append((Segment(_fitted(text, title), style), Segment(GAP, base)))
        width, fixed = self.size.width, self._titles[0].width + len(GAP) if self._titles else 0
        first = Strip([segment for pair in segments[:1] for segment in pair])
        rest = Strip([segment for pair in segments[1:] for segment in pair])
        x = self.scroll_offset.x
        return Strip.join([first, rest.crop(x, x + max(0, width - fixed))]).adjust_cell_length(width, base)

    def _keep_in_sight(self) -> None:
        """Scroll no further than it takes to see the cursor."""
        room, top = max(1, self.size.height - 1), round(self.scroll_y)
        if self.cursor < top:
            top = self.cursor
        elif self.cursor >= top + room:
            top = self.cursor - room + 1
        self.scroll_to(y=max(0, top), animate=False)

    def _go(self, place: int) -> None:
        place = max(0, min(place, self.n_rows - 1))
        if place == self.cursor:
            return
        self.cursor = place
        self._keep_in_sight()
        self.refresh()
        self.post_message(self.Moved())

    def action_move(self, by: int) -> None:
        """Move the cursor by rows."""
        self._go(self.cursor + by)

    def action_turn(self, pages: int) -> None:
        """Move the cursor by pages."""
        self._go(self.cursor + pages * max(1, self.size.height - 2))

    def action_jump(self, place: int) -> None:
        """Move the cursor to the first row, or with -1 to the last."""
        self._go(self.n_rows - 1 if place < 0 else place)

    def action_shift(self, columns: int) -> None:
        """Scroll by columns."""
        edges = [0]
        for title in self._titles[1:]:
            edges.append(edges[-1] + title.width + len(GAP))
        now = self.scroll_offset.x
        x = next((e for e in edges if e > now), now) if columns > 0 else max((e for e in edges if e < now), default=0)
        self.scroll_to(x=x, animate=False)

    def action_choose(self) -> None:
        """Say that the row at the cursor was chosen."""
        if self.n_rows:
            self.post_message(self.Chosen())

    def on_click(self, event: events.Click) -> None:
        """Move the cursor, choose with a second click, or take a click on a head."""
        if event.y == 0:
            x = event.x if event.x < self._titles[0].width + len(GAP) else event.x + self.scroll_offset.x
            self.post_message(self.Headed(column=self._column_at(x)))
            return
        place = self.scroll_offset.y + event.y - 1
        if place == self.cursor:
            self.action_choose()
        elif 0 <= place < self.n_rows:
            self._go(place)

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self._keep_in_sight()

    def _column_at(self, x: int) -> int:
        for i, title in enumerate(self._titles):
            x -= title.width + len(GAP)
            if x < 0:
                return i
        return len(self._titles) - 1


def _fitted(text: str, title: Title) -> str:
    width = cell_len(text)
    if width > title.width:
        return set_cell_size(text, title.width - 1) + "…" if title.width > 1 else "…"
    blank = " " * (title.width - width)
    return blank + text if title.is_number else text + blank
