"""The table of a sweep's trials: which columns it has, in which order the trials stand, and which are marked."""

from orchestrator.cli.watching.looks import MARKS, Palette
from orchestrator.cli.watching.rows import Cell, Rows, Title
from orchestrator.cli.watching.trial_table import TrialTable, numbers_of
from orchestrator.ledger.records import TrialRecord

WIDE = 80
"""Columns from which on a state is said in words, too."""

WIDEST = 28
"""Columns of a value; the last column has more."""


class TrialRows(Rows):
    """Shows a table of trials, sorted by one of its columns."""

    def __init__(self) -> None:
        super().__init__(nothing="no trials", id="trials")
        self._table: TrialTable | None = None
        self._where = ""
        self._order: list[int] = []
        self._columns: list[int] = []
        self._by = 0
        self._downwards = False
        self._shows_constants = False
        self._marked: dict[int, None] = {}

    def show(self, table: TrialTable, where: str, palette: Palette) -> None:
        """Show the trials that pass a filter; the cursor stays with its trial.

        Raises:
            SweepError: The filter means nothing here.
        """
        if table is not self._table:
            self._table, self._order, self._by = table, [], table.first_sorted
            self._downwards = table.best_is_high(self._by)
        at = self.trial
        self._order = table.arranged(where, self._by, downwards=self._downwards)
        self._where = where
        self._columns = [
            i
            for i in range(len(table.columns))
            if i <= table.first_sorted or (table.is_known(i) if self._shows_constants else not table.is_constant(i))
        ]
        cursor = self.cursor if at is None else numbers_of(table, self._order).get(at.number, self.cursor)
        self.nothing = "no trial passes the filter" if where.strip() else "no trials yet"
        self.fill(self._heads(table), len(self._order), self._cells, palette, cursor=cursor)

    def _show_again(self) -> None:
        """Show the same trials, arranged anew."""
        if self._table is not None and self._palette is not None:
            self.show(self._table, self._where, self._palette)

    def _heads(self, table: TrialTable) -> list[Title]:
        found = []
        for i in self._columns:
            name = table.head_of(i) + ((" ▼" if self._downwards else " ▲") if i == self._by else "")
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
        return self.app.size.width >= WIDE  # the table may be taken from its screen at the end

    def _cells(self, row: int) -> list[Cell]:
        assert self._table is not None
        table, place = self._table, self._order[row]
        trial = table.records[place]
        mark, colour = MARKS[trial.state]
        cells: list[Cell] = []
        for i in self._columns:
            text = table.columns[i].texts[place]
            if i == 0:
                is_marked = trial.number in self._marked
                cells.append((("● " if is_marked else "") + text, "accent" if is_marked else ""))
            elif i == 1:
                cells.append((f"{mark} {text}" if self._is_wide else mark, colour))
            else:
                cells.append((text, "muted" if i == len(table.columns) - 1 else ""))
        return cells

    @property
    def is_filtered(self) -> bool:
        """Whether a filter is set."""
        return bool(self._where.strip())

    @property
    def numbers(self) -> list[int]:
        """The trials that are shown, from top to bottom."""
        return [] if self._table is None else [self._table.records[place].number for place in self._order]

    @property
    def trial(self) -> TrialRecord | None:
        """The trial at the cursor."""
        if self._table is None or not 0 <= self.cursor < len(self._order):
            return None
        return self._table.records[self._order[self.cursor]]

    @property
    def marked(self) -> tuple[int, ...]:
        """The trials that are marked, in the order they were."""
        return tuple(self._marked)

    @property
    def meant(self) -> list[TrialRecord]:
        """The marked trials, else the one at the cursor."""
        table = self._table
        if table is None:
            return []
        places = [place for number in self._marked if (place := table.place_of(number)) is not None]
        found = [table.records[place] for place in places]
        return found or ([] if self.trial is None else [self.trial])

    def mark(self) -> None:
        """Mark the trial at the cursor and go to the next, or take its mark away."""
        if self.trial is None:
            return
        number = self.trial.number
        if number in self._marked:
            del self._marked[number]
        else:
            self._marked[number] = None
        self.refresh()
        self.action_move(1)

    def unmark(self) -> None:
        """Take all marks away."""
        self._marked.clear()
        self.refresh()

    def sort(self, by: int) -> None:
        """Sort by the column that is shown so many places to the right of the one that counts now."""
        if self._table is not None:
            place = self._columns.index(self._by) if self._by in self._columns else 0
            self._sort_by(self._columns[(place + by) % len(self._columns)])

    def on_rows_headed(self, event: Rows.Headed) -> None:
        """Sort by the column whose head was clicked."""
        self._sort_by(self._columns[event.column])

    def _sort_by(self, column: int) -> None:
        assert self._table is not None
        if column == self._by:
            self.reverse()
            return
        self._by, self._downwards = column, self._table.best_is_high(column)
        self._show_again()

    def reverse(self) -> None:
        """Turn the order around."""
        self._downwards = not self._downwards
        self._show_again()

    def toggle_constants(self) -> bool:
        """Show columns in which all trials are the same, or hide them; return whether they are shown now."""
        self._shows_constants = not self._shows_constants
        self._show_again()
        return self._shows_constants
