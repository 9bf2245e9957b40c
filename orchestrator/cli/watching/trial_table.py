"""The trials of a sweep as columns that grow and change trial by trial: what is shown, sorted and filtered.

The columns are those of the report's table, by the same names, so that a filter means here what it means there.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from orchestrator.ledger.ranking import WORTH_NOTHING
from orchestrator.ledger.records import TrialRecord
from orchestrator.printable import clean
from orchestrator.reporting.filter import Column, clock, number, passing, show
from orchestrator.reporting.results import values_of
from orchestrator.reporting.use_text import COLUMNS, UNITS
from orchestrator.space import SearchSpace
from orchestrator.space.axis import Axis
from orchestrator.space.nesting import MISSING, value_at
from orchestrator.spec.model import SweepSpec

LONGEST_TEXT = 300
"""Characters of a value or an error, as in the report's table."""

Value = tuple[str, float]
"""What a cell shows, and the number that counts in comparisons; NaN where it is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is known of a trial besides its record.

    Attributes:
        took_s: Seconds that its latest attempt took, or has taken so far.
        words: Why it ended, what is wrong with it and what people say of it; empty for nothing.
        use: What it used of its machine, a number or None for each of `COLUMNS`; None where nobody has looked.
    """

    took_s: float | None
    words: str
    use: tuple[float | None, ...] | None = None


class TrialTable:
    """Rows are added at the end and never go, so that the place of a trial stays."""

    def __init__(self, spec: SweepSpec) -> None:
        self.records: list[TrialRecord] = []
        self._objectives = spec.objectives
        self._spec = spec
        self._axes = list(SearchSpace.of(spec.parameters).axes)
        self._makers: list[tuple[str, Callable[[TrialRecord, Said], Value]]] = [
            ("trial", lambda trial, _: (str(trial.number), trial.number)),
            ("state", lambda trial, _: _text(str(trial.state))),
            *((clean(m.name), self._objective(i)) for i, m in enumerate(spec.objectives)),
            ("row", lambda trial, _: ("", math.nan) if trial.step is None else (str(trial.step), trial.step)),
            ("time", lambda _, said: ("", math.nan) if said.took_s is None else (clock(said.took_s), said.took_s)),
            *((clean(axis.name), _parameter(axis)) for axis in self._axes),
            *((name, _used(k)) for k, name in enumerate(COLUMNS)),
            ("where", lambda trial, _: _text(_place(trial))),
            ("note", lambda _, said: _text(said.words)),
        ]
        self.columns = [Column(name, [], []) for name, _ in self._makers]
        self.widths = [cell_len(name) + 2 for name, _ in self._makers]
        self._place_of: dict[int, int] = {}
        self._seen: list[str | None] = [None] * len(self._makers)
        self._varies = [False] * len(self._makers)

    @property
    def parameters(self) -> range:
        """The places of the columns that are parameters."""
        first = 4 + len(self._objectives)
        return range(first, first + len(self._axes))

    @property
    def _uses(self) -> range:
        """The places of the columns of what trials used."""
        return range(self.parameters.stop, self.parameters.stop + len(COLUMNS))

    @property
    def first_sorted(self) -> int:
        """The column that the rows are sorted by at first: the metric, else the number."""
        return 2 if self._objectives else 0

    def place_of(self, number_: int) -> int | None:
        """Return the place of a trial's row; None where there is none."""
        return self._place_of.get(number_)

    def put(self, trial: TrialRecord, said: Said) -> None:
        """Add a trial, or replace what is known of it."""
        values = [make(trial, said) for _, make in self._makers]
        place = self._place_of.get(trial.number)
        for i, (text, value) in enumerate(values):
            texts, numbers = self.columns[i].texts, self.columns[i].numbers
            assert isinstance(texts, list)
            assert isinstance(numbers, list)
            if place is None:
                texts.append(text)
                numbers.append(value)
            else:
                texts[place], numbers[place] = text, value
            self.widths[i] = max(self.widths[i], cell_len(text))
            if text or i in self.parameters:  # a parameter may be missing; all else is there sooner or later
                self._varies[i] = self._varies[i] or self._seen[i] not in {None, text}
                self._seen[i] = text
        if place is None:  # last: whoever reads in another thread goes by the records
            self._place_of[trial.number] = len(self.records)
            self.records.append(trial)
        else:
            self.records[place] = trial

    def is_known(self, column: int) -> bool:
        """Return whether there is such a column: one of what trials used needs a trial of which that is known."""
        return column not in self._uses or self._seen[column] is not None

    def is_constant(self, column: int) -> bool:
        """Return whether every trial so far has the same in a column; of the last, whether nothing is said of any."""
        is_last = column == len(self.columns) - 1
        return self._seen[column] is None if is_last else not self._varies[column]

    def head_of(self, column: int) -> str:
        """Return what stands above a column: its name, and the unit of what trials used."""
        name = self.columns[column].name
        return f"{name} {UNITS[column - self._uses.start]}".strip() if column in self._uses else name

    def arranged(self, where: str, by: int, *, downwards: bool) -> list[int]:
        """Return the places of the rows that pass a filter, in the order of a column; rows without a value are at the end.

        Trials that cannot be the best are behind the others where an objective gives the order.

        Raises:
            SweepError: The filter compares a column that there is not.
        """
        n = len(self.records)
        columns = [column for i, column in enumerate(self.columns) if self.is_known(i)]
        found = passing(where, columns, n) if where.strip() else list(range(n))
        column, is_objective = self.columns[by], 0 <= by - 2 < len(self._objectives)
        if is_objective:
            found = [place for place in found if self.records[place].state not in WORTH_NOTHING] + [
                place for place in found if self.records[place].state in WORTH_NOTHING
            ]
            with_value = [p for p in found if self.is_ranked(p) and not math.isnan(column.numbers[p])]
        elif any(not math.isnan(column.numbers[place]) for place in found):
            with_value = [place for place in found if not math.isnan(column.numbers[place])]
        else:
            with_value = [place for place in found if column.texts[place]]
            with_value.sort(key=lambda place: column.texts[place], reverse=downwards)
            return [*with_value, *(place for place in found if not column.texts[place])]
        chosen = set(with_value)
        with_value.sort(key=lambda place: column.numbers[place], reverse=downwards)
        return [*with_value, *(place for place in found if place not in chosen)]

    def is_ranked(self, place: int) -> bool:
        """Return whether the trial of a row may be the best."""
        return self.records[place].state not in WORTH_NOTHING

    def best_is_high(self, column: int) -> bool:
        """Return whether large numbers of a column come first where it is chosen to sort by."""
        objective = column - 2
        return column in self._uses or (
            0 <= objective < len(self._objectives) and self._objectives[objective].goal.sign < 0
        )

    def _objective(self, place: int) -> Callable[[TrialRecord, Said], Value]:
        def value(trial: TrialRecord, _: Said) -> Value:
            known = values_of(trial, self._spec)
            found = known.get(self._objectives[place].name, trial.value if place == 0 else None)
            return _number(found)

        return value


def _parameter(axis: Axis) -> Callable[[TrialRecord, Said], Value]:
    is_number = axis.is_numeric and not axis.is_categorical

    def value(trial: TrialRecord, _: Said) -> Value:
        found: Any = value_at(trial.config, axis.path)
        if found is MISSING:
            return "", math.nan
        if is_number and isinstance(found, int | float) and not isinstance(found, bool):
            return _number(found)
        return _text(f"{found:.5g}" if isinstance(found, float) else str(found))

    return value


def _used(place: int) -> Callable[[TrialRecord, Said], Value]:
    def value(_: TrialRecord, said: Said) -> Value:
        found = None if said.use is None else said.use[place]
        return ("", math.nan) if found is None else _number(found)

    return value


def _number(value: float | None) -> Value:
    """A number as the report has it: in five digits."""
    if value is None or not math.isfinite(value):
        return show(None), math.nan
    kept = value if isinstance(value, int) and abs(value) < 2**53 else float(f"{value:.5g}")
    return show(kept), kept


def _text(text: str) -> Value:
    shown = clean(text[:LONGEST_TEXT])
    return shown, number(shown)


def _place(trial: TrialRecord) -> str:
    return " ".join([trial.host or "", *(f"GPU {gpu}" for gpu in trial.gpu_ids)]).strip()


def numbers_of(table: TrialTable, places: Sequence[int]) -> Mapping[int, int]:
    """Return which row each trial is in, by number, where rows are at some places in order."""
    return {table.records[place].number: row for row, place in enumerate(places)}
