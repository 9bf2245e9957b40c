"""What W&B's core records of a run: rows and a summary, from the calls that reach it. Values in, values out.

Source: the `.wandb` files that wandb 0.31 writes; tests compare the two call by call. Only numbers are followed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

OPERATIONS = ("min", "max", "mean", "first", "last")
"""What `define_metric(summary=...)` may keep of a metric under a name of its own: ``loss.min``."""


class Row(NamedTuple):
    """One committed row.

    Attributes:
        time: Unix time of the last call that added to it.
        step: Its ``_step``.
        given: The step that its program gave; None where W&B counted.
        metrics: Its numbers by flat name.
    """

    time: float
    step: int
    given: int | None
    metrics: Mapping[str, float]


@dataclass
class _Open:
    """The row that calls go to.

    Attributes:
        replaced: Names that became something that is no number.
        absent: Those of them that are not in the row, since the mapping that they were in became something else.
        nulls: Those of them that are None.
        nested: Names whose numbers are in nested mappings.
        spelt: Numbers of the same names that are spelt with dots: W&B keeps both, and its dotted names mean the nested one.
    """

    time: float = 0.0
    given: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    replaced: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)
    nulls: set[str] = field(default_factory=set)
    nested: set[str] = field(default_factory=set)
    spelt: dict[str, float] = field(default_factory=dict)
    is_begun: bool = False
    is_counted: bool = False

    @property
    def names(self) -> set[str]:
        """Names that the row has, also of what is no number."""
        return self.metrics.keys() | (self.replaced - self.absent)


@dataclass
class _Values:
    """All values of a metric so far, as far as a summary needs them."""

    smallest: float = math.inf
    largest: float = -math.inf
    total: float = 0.0
    first: float = math.nan
    last: float = math.nan
    count: int = 0
    is_shown: bool = False

    def add(self, value: float) -> None:
        self.smallest = _with_nan(min, self.smallest, value)
        self.largest = _with_nan(max, self.largest, value)
        self.total += value
        self._see(value)
        self.count += 1

    def see_other(self) -> None:
        """Take what is no number."""
        self._see(math.nan)

    def _see(self, value: float) -> None:
        self.first = self.first if self.is_shown else value
        self.last = value
        self.is_shown = True

    def kept(self, operation: str) -> float:
        if operation == "mean":
            return self.total / self.count if self.count else math.nan
        return {"min": self.smallest, "max": self.largest, "first": self.first, "last": self.last}[operation]


@dataclass
class Definition:
    """What `define_metric` said of a metric.

    Attributes:
        step_metric: The metric that is put into rows that have this one and lack that.
        operations: What is kept of its values in the summary; empty for the last one under its own name.
        is_left_out: Whether the summary has none of it (``summary="none"``); None where nothing was said of a summary.
    """

    step_metric: str | None = None
    operations: set[str] = field(default_factory=set)
    is_left_out: bool | None = None


class WandbRows:
    """The rows of one run, as its calls alone make them.

    Args:
        step: The step of its first row: 0 but for a run that is resumed.
    """

    def __init__(self, step: int = 0) -> None:
        self._step = step
        self._open = _Open()
        self._nested: set[str] = set()

    def log(
        self,
        metrics: Mapping[str, float],
        *,
        time: float,
        step: int | None = None,
        commit: bool | None = None,
        gone: Collection[str] = (),
        nulls: Collection[str] = (),
        nested: Collection[str] = (),
        counts: bool = True,
    ) -> list[Row]:
        """Take a call; return the rows that it completes.

        A step above the current one completes the row that is open, a step below it is ignored, and a call without one
        belongs to the open row. A call completes its row when it says so (`commit`), and one without a step unless it
        says otherwise.

        Args:
            metrics: Numbers by flat name.
            time: Unix time in seconds.
            step: As given to `log`.
            commit: As given to `log`.
            gone: Names that the call replaces by something that is no number; what was in a mapping comes after its name.
            nulls: Those of the names gone that are None.
            nested: Names whose dots are those of nested mappings, not their own.
            counts: Whether a row with nothing but this call is a row of the program's.
        """
        rows: list[Row] = []
        if step is not None and step < self._step:
            return rows
        if step is not None and step > self._step:
            rows += self._commit(step)
        if nested:
            self._nested.update(nested)
        self._add(metrics, time, step, gone, nested, counts=counts)
        if nulls:
            self._open.nulls.update(nulls)
        if commit or (commit is None and step is None):
            rows += self._commit(self._step + 1)
        return rows

    def finish(self) -> list[Row]:
        """Return the row that was still open."""
        return self._commit(self._step)

    def _add(
        self,
        metrics: Mapping[str, float],
        time: float,
        step: int | None,
        gone: Collection[str],
        nested: Collection[str],
        *,
        counts: bool,
    ) -> None:
        row = self._open
        row.is_begun = True
        row.is_counted = row.is_counted or counts
        row.time = time
        row.given = step if step is not None else row.given
        if gone:
            self._replace(row, gone, set(metrics))
        if nested or row.nested:
            metrics = self._without_spelt(row, metrics, set(nested))
        row.metrics.update(metrics)

    @staticmethod
    def _without_spelt(row: _Open, metrics: Mapping[str, float], nested: set[str]) -> Mapping[str, float]:
        """What a call adds to a row, but for names with dots of their own that are those of nested numbers, too."""
        row.spelt |= {name: row.metrics[name] for name in nested - row.nested if name in row.metrics}
        row.nested |= nested
        spelt = {name: value for name, value in metrics.items() if name in row.nested and name not in nested}
        row.spelt |= spelt
        return {name: value for name, value in metrics.items() if name not in spelt}

    @staticmethod
    def _replace(row: _Open, gone: Collection[str], there: set[str]) -> None:
        row.nulls.difference_update(gone)
        for name in gone:
            is_inside = not there.isdisjoint(_above(name))
            if is_inside and _is_spelt(name, row):
                continue  # an earlier row's mapping had a number of this name; this row's has dots of its own
            row.metrics.pop(name, None)
            row.nested.discard(name)
            if name in row.spelt:
                row.metrics[name] = row.spelt.pop(name)
            row.replaced.add(name)
            (row.absent.add if is_inside else row.absent.discard)(name)
            there.add(name)

    def _commit(self, next_step: int) -> list[Row]:
        row, step = self._open, self._step
        self._step = next_step
        if not row.is_begun:
            return []
        self._open = _Open()
        self._complete(row)
        if not (row.is_counted or row.metrics):
            return []
        return [Row(time=row.time, step=step, given=row.given, metrics=row.metrics)]

    def _complete(self, row: _Open) -> None:
        """Do what else there is to do with a row before it is returned."""


class WandbRecord(WandbRows):
    """The record of one run: its rows with what definitions add to them, and its summary.

    Args:
        step: The step of its first row: 0 but for a run that is resumed.
    """

    def __init__(self, step: int = 0) -> None:
        super().__init__(step)
        self._definitions: dict[str, Definition] = {}
        self._globs: dict[str, Definition] = {}
        self._step_metrics: dict[str, float] = {}
        self._values: dict[str, _Values] = {}
        self._set: dict[str, float] = {}
        self._kept: dict[str, dict[str, float]] = {}
        self._plain: set[str] = set()
        self._keys: set[str] = set()

    def define(self, name: str, definition: Definition, *, overwrite: bool = False) -> None:
        """Take what `define_metric` says of a name, or of all that begin with it (``val*``)."""
        known = self._globs if name.endswith("*") else self._definitions
        before = known.get(name)
        if before is not None and not overwrite:
            definition.operations |= before.operations
            definition.step_metric = definition.step_metric or before.step_metric
            if definition.is_left_out is None:  # the last word on it holds, though what is kept adds up
                definition.is_left_out = before.is_left_out
        known[name] = definition
        if definition != before:
            self._plain.discard(name)
        if definition.step_metric:
            self._step_metrics.setdefault(definition.step_metric, 0.0)  # what W&B puts there before the first one

    def summarize(
        self,
        metrics: Mapping[str, float],
        gone: Collection[str] = (),
        nested: Collection[str] = (),
        removed: Collection[str] = (),
    ) -> None:
        """Take what the program puts into `run.summary` itself, and names that it takes out of it.

        Args:
            metrics: Numbers by flat name.
            gone: Names that have no number any more.
            nested: Names whose dots are those of nested mappings, not their own.
            removed: Those of the names gone that have nothing else either.
        """
        self._nested.update(nested)
        self._keys.update(self._key(name) for name in (*metrics, *gone))
        self._keys.difference_update(removed)
        for name in (*gone, *metrics):
            self._set.pop(name, None)
            self._kept.pop(name, None)
        self._plain.update({*gone, *metrics}.difference(removed))
        for name in self._values.keys() & set(removed):
            self._values[name].is_shown = False
        self._set |= metrics

    def summary(self) -> dict[str, float]:
        """Return the finite numbers of the summary that are not simply a metric's last value in the rows."""
        kept = {f"{name}.{each}": value for name, values in self._kept.items() for each, value in values.items()}
        return {name: value for name, value in (self._set | kept).items() if math.isfinite(value)}

    def outlasts(self, name: str) -> bool:
        """Return whether an earlier session's summary keeps a number: W&B replaces all that is under an outermost key."""
        return name not in self._keys and name.partition(".")[0] not in self._keys

    def _key(self, name: str) -> str:
        """The outermost key of a number's name."""
        return name.partition(".")[0] if name in self._nested else name

    def _complete(self, row: _Open) -> None:
        mappings = {above for name in row.names if not _is_spelt(name, row) for above in _above(name)}
        self._match_globs(row.names - mappings)
        self._put_step_metrics(row)
        for name, value in row.metrics.items():
            if _is_spelt(name, row):
                self._keys.add(name)
                self._forget_set(name)
                continue
            self._values.setdefault(name, _Values()).add(value)
            self._keep(name)
        for name in row.replaced - row.absent - row.metrics.keys() - mappings:
            self._values.setdefault(name, _Values()).see_other()
            if self._operations(name) or name not in row.nulls:  # None by itself leaves a summary as it was
                self._keep(name)
        self._give_way(mappings, row.names - mappings)

    def _put_step_metrics(self, row: _Open) -> None:
        """Put the last values of step metrics into a row that has metrics defined by them, as `step_sync` says."""
        if not self._step_metrics:
            return
        there = row.names
        in_place = {name for name in there if not _is_spelt(name, row)}
        self._step_metrics |= {
            name: row.metrics[name] for name in self._step_metrics.keys() & row.metrics.keys() & in_place
        }
        wanted = {d.step_metric for name in there if (d := self._definitions.get(name)) is not None and d.step_metric}
        for name in wanted - in_place:
            row.metrics.pop(name.partition(".")[0], None)
            row.metrics[name] = self._step_metrics[name]
            row.nested.add(name)
            self._nested.update([name] if "." in name else ())

    def _keep(self, name: str) -> None:
        """Bring the summary of a metric up to date, after a further value."""
        definition = self._definitions.get(name)
        if definition is not None and definition.is_left_out:
            return
        self._keys.add(self._key(name))
        for inner in [known for known in self._set if known in self._nested and known.startswith(f"{name}.")]:
            del self._set[inner]
        self._set.pop(name, None)
        operations = self._operations(name)
        self._kept[name] = {each: self._values[name].kept(each) for each in OPERATIONS if each in operations}

    def _operations(self, name: str) -> set[str]:
        """What is kept of a metric in the summary, besides its last value."""
        definition = self._definitions.get(name)
        return definition.operations if definition is not None and name not in self._plain else set()

    def _forget_set(self, name: str) -> None:
        """Take a value of a name with dots of its own: W&B's summary has it beside a nested one, without a definition."""
        if name not in self._nested:
            self._set.pop(name, None)

    def _give_way(self, mappings: set[str], others: set[str]) -> None:
        """Forget what mappings took the place of, and what was in the mappings that something else took the place of.

        W&B keeps nothing of it and, should it come back, its last value alone until a definition says otherwise.
        """
        known = self._values.keys() | self._definitions.keys()
        inside = {name for name in known & self._nested if not others.isdisjoint(_above(name))}
        for name in (known & mappings) | inside:
            self._values.pop(name, None)
            self._kept.pop(name, None)
            self._plain.add(name)
        for name in self._set.keys() & mappings:
            del self._set[name]

    def _match_globs(self, names: set[str]) -> None:
        """Let the patterns define what names of a row are new to them. What W&B itself puts into the row comes later."""
        for name in names - self._definitions.keys() if self._globs else ():
            found = next((each for glob, each in self._globs.items() if name.startswith(glob[:-1])), None)
            if found is not None and not name.startswith("_"):
                self._definitions[name] = replace(found, operations=set(found.operations))
                self._plain.discard(name)


def _is_spelt(name: str, row: _Open) -> bool:
    """Whether a number's dots are those of its name, and not of nested mappings."""
    return "." in name and name in row.metrics and name not in row.nested


def _above(name: str) -> list[str]:
    """The names of the mappings that a name is in."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def _with_nan(choose: Any, one: float, other: float) -> float:
    """The smaller or larger of two numbers; NaN, once there, stays."""
    return math.nan if math.isnan(one) or math.isnan(other) else float(choose(one, other))
