"""From the lines of `reports.jsonl` to the rows of a trial: what counts, once it is complete. Values in, values out.

A program's calls are written as they happen, so that a kill loses none. What they come to is decided here, where they are read:

* Calls on the trial's own W&B run become the rows that W&B records (`wandb_record`). Each process that began the run itself
  has a record of its own of it, and all of them count.
* Of a `SummaryWriter`, and of MLflow, the last value of a tag's step counts, once the tag goes on to another step. Values
  without a step count one by one. What the program logs to its W&B run under the same name itself counts there alone, also
  what came first; while its run is open and has logged nothing yet, they are waited with, `HOLD_S` at most.
* Ranks may write one tag into one directory. What one of them has at a step below another's, which goes on, does not count;
  a process that comes after another has ended may begin at any step, and one that goes back below its own last step begins
  anew. Until it is seen which one it is, `HOLD_S` at most, it is waited with.
* A W&B run that the program disabled itself counts unless the trial has a real one: then it is another rank's, or a
  rehearsal. In a process that the trial started it is waited for `HOLD_S`; what counted before the real one begins is void.
* Everything else (`orchestrator.report`, Tune) is a row by itself.

What is returned depends on the lines alone, not on when they are read, so that a reader who begins anew gets the same rows.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.trial.contract.series import Series, Split
from orchestrator.trial.contract.wandb_record import OPERATIONS, Definition, WandbRecord
from orchestrator.trial.contract.wandb_record import Row as WandbRow

LONGEST_PAST = 4096
"""Values of a TensorBoard series that can be given another name, should another writer turn up with its tag."""

HOLD_S = 10.0
"""How long rows of a disabled run wait for a real one, and a writer's for the run's first: by the times of further lines."""


@dataclass(frozen=True)
class Row:
    """A row that is complete.

    Attributes:
        part: Whether it belongs to the row before it, or to none: it is not counted.
        purged: Names whose values from `step` on (all, if that is None) are void from now on.
        voids: How many rows that were counted are none any more.
    """

    time: float
    step: int | None
    metrics: Mapping[str, float]
    part: bool = False
    purged: tuple[str, ...] = ()
    voids: int = 0


@dataclass
class RunEnd:
    """What the program said of the end of its W&B run.

    Attributes:
        exit_code: What it finished the run with; None while it is open, or where there is none.
        preempting: Whether it marked the run as about to be preempted.
        is_open: Whether the run was begun and not finished.
    """

    exit_code: int | None = None
    preempting: bool = False
    is_open: bool = False


@dataclass
class _Tag:
    step: int
    value: float
    time: float
    process: int | None


@dataclass
class _Held:
    time: float
    line: Mapping[str, Any]
    key: Any = field(default=None)


class Rows:
    """Assembles the rows of one attempt."""

    def __init__(self) -> None:
        self.end = RunEnd()
        self.files: set[str] = set()
        self.names: set[str] = set()
        self._runs: dict[int | None, WandbRecord] = {}
        self._open_runs: set[int | None] = set()
        self._disabled: dict[Any, WandbRecord] = {}
        self._rows_disabled: Counter[frozenset[str]] = Counter()
        self._reported: set[str] = set()
        self._held: list[_Held] = []
        self._tags: dict[str, _Tag] = {}
        self._behind: dict[str, list[_Tag]] = {}
        self._writers: dict[str, dict[int | None, int]] = {}
        self.apart: dict[str, tuple[str, ...]] = {}
        self._past: dict[str, deque[Row]] = {}
        self._unsure: deque[tuple[str, Row]] = deque()
        self._is_synced = False
        self._of_run: set[str] = set()
        self._series = Series(os.sep)
        self._last_step: int | None = None
        self._summary: dict[str, float] = {}

    def take(self, line: Mapping[str, Any]) -> list[Row]:
        """Take the next line, in the order of the file; return the rows that it completes."""
        rows, api = self._due(line["t"]), line.get("api")
        if api == "tensorboard":
            line, told_apart = self._by_place(line)
            rows += told_apart
        self.names.update(line["m"])
        if api == "wandb":
            return rows + self._of_wandb(line)
        if api in {"tensorboard", "mlflow"}:
            return rows + self._of_series(line)
        if api == "disabled":
            return rows + self._of_disabled(line)
        if api == "watch":
            return [*rows, Row(time=line["t"], step=line["step"], metrics=line["m"], part=True)]
        if api == "file":
            self.files.add(line.get("path", ""))
            return rows
        self._reported.update(line["m"])
        return [*rows, Row(time=line["t"], step=line["step"], metrics=line["m"])]

    def series_name(self, place: str, name: str) -> str:
        """Return what a series is called by now that a process calls `name`, and writes into a directory."""
        return self._series.known_at(place, name)

    def rest(self) -> list[Row]:
        """Return the rows that were still open: there will be no further line."""
        rows = [row for record in self._runs.values() for row in _rows(record.finish())]
        rows += [row for held in self._held for row in self._released(held)]
        self._held = []
        rows += [row for name in list(self._behind) for row in self._caught_up(name)]
        rows += [row for record in self._disabled.values() for row in _rows(record.finish())]
        tags = sorted(self._tags.items(), key=lambda item: item[1].time)
        self._tags = {}
        rows += self._sure()
        return rows + [row for name, tag in tags for row in self._complete(name, tag)] + self._sure()

    def summary(self) -> dict[str, float]:
        """Return what the summary of the trial's W&B run has beyond the last value of each metric."""
        runs = list((self._runs or self._disabled).values())
        earlier = {name: value for name, value in self._summary.items() if all(run.outlasts(name) for run in runs)}
        return earlier | {name: value for run in runs for name, value in run.summary().items()}

    def _of_wandb(self, line: Mapping[str, Any]) -> list[Row]:
        operation = line.get("op")
        if operation == "begin":
            return self._begin(line)
        process = line.get("process")
        run = self._runs.get(process)
        if run is None:
            run = self._runs[process] = WandbRecord()
        if operation == "finish":
            self._open_runs.discard(process)
            self.end.exit_code, self.end.is_open = line.get("code", 0), bool(self._open_runs)
            return _rows(run.finish()) + self._sure()
        if operation == "preempting":
            self.end.preempting = True
            return []
        is_row = operation is None and not line.get("mirrored", False)
        taken_back = self._taken_back(line) if is_row else []
        return taken_back + (self._sure() if is_row else []) + _applied(run, line)

    def _taken_back(self, line: Mapping[str, Any]) -> list[Row]:
        """Void what `SummaryWriter`s have under names that the program logs to its run for the first time."""
        fresh = line["m"].keys() - self._of_run
        self._of_run |= fresh
        for name in fresh:
            self._tags.pop(name, None)
            self._behind.pop(name, None)
        names = tuple(sorted(name for name in fresh if self._past.get(name)))
        return self._purge(None, names, line["t"]) if names else []

    def _begin(self, line: Mapping[str, Any]) -> list[Row]:
        """The program has (another) run of the trial's: what disabled ones logged was another rank's."""
        process = line.get("process")
        rows = _rows(self._runs[process].finish()) if process in self._runs else []
        self._summary = self.summary() if self._runs else {}  # W&B's own is of the run, which goes on
        self._runs[process] = WandbRecord(line.get("start", 0))
        self._open_runs.add(process)
        self.end = RunEnd(is_open=True)
        rows += self._disowned(line["t"])
        self._is_synced = line.get("synced", False)
        if line.get("file"):
            self.files.add(line["file"])
        return rows

    def _disowned(self, time: float) -> list[Row]:
        """Void what disabled runs came to, but for names that the program reports otherwise, too: those values are its own."""
        kept = self._reported | {name for name, past in self._past.items() if past}
        found, self._held, self._disabled, self._rows_disabled = self._rows_disabled, [], {}, Counter()
        names = tuple(sorted(set().union(*found).difference(kept)))
        voids = sum(n for each, n in found.items() if each.isdisjoint(kept))
        return [Row(time=time, step=None, metrics={}, part=True, purged=names, voids=voids)] if names else []

    def _of_disabled(self, line: Mapping[str, Any]) -> list[Row]:
        if self._runs:
            return []
        held = _Held(line["t"], line, line.get("process"))
        if line.get("leads"):
            return self._released(held)
        self._held.append(held)
        return []

    def _due(self, now: float) -> list[Row]:
        """The rows of disabled runs that have waited long enough."""
        rows: list[Row] = []
        while self._held and self._held[0].time <= now - HOLD_S:
            rows += self._released(self._held.pop(0))
        while self._unsure and self._unsure[0][1].time <= now - HOLD_S:
            rows.append(self._keep(*self._unsure.popleft()))
        for name in [name for name, behind in self._behind.items() if behind[0].time <= now - HOLD_S]:
            rows += self._caught_up(name)
        return rows

    def _released(self, held: _Held) -> list[Row]:
        rows = _applied(self._disabled.setdefault(held.key, WandbRecord()), held.line)
        self._rows_disabled.update(frozenset(row.metrics) for row in rows)
        return rows

    def _by_place(self, line: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Row]]:
        """A writer's line with the names that its series have, and what that makes of a series that had a name before.

        A process tells its own writers apart. Two processes that write one tag into two directories are told apart here.
        """
        place = line.get("place", os.curdir)
        if line.get("op") == "split":
            self._series.forget(place, line.get("tag", ""))
            return line, []
        if line.get("op") == "called":
            return line, self._told_apart(
                line["t"], self._series.called(place, line.get("tag", ""), line.get("name", ""))
            )
        rows: list[Row] = []
        names: dict[str, str] = {}
        for name in (*line["m"], *line.get("names", ())):
            names[name], split = self._series.name_at(place, name)
            rows += self._told_apart(line["t"], split)
        metrics = {names[name]: value for name, value in line["m"].items()}
        return {**line, "m": metrics, "names": [names[name] for name in line.get("names", ())]}, rows

    def _told_apart(self, time: float, split: Split | None) -> list[Row]:
        return [] if split is None else self._split({"t": time, "name": split.first, **vars(split)})

    def _of_series(self, line: Mapping[str, Any]) -> list[Row]:
        if line.get("op") == "purge":
            return self._purge(line["step"], tuple(line.get("names", ())), line["t"])
        if line.get("op") == "split":
            return self._split(line)
        step, time = line["step"], line["t"]
        if step is None:
            fresh = {name: value for name, value in line["m"].items() if name not in self._of_run}
            told = [self._tell(name, Row(time=time, step=None, metrics={name: value})) for name, value in fresh.items()]
            return [Row(time=time, step=None, metrics=fresh)] if any(told) else []
        rows: list[Row] = []
        for name, value in line["m"].items():
            self.apart.pop(name, None)
            rows += self._tagged(name, _Tag(step, value, time, line.get("process")))
        return rows

    def _tagged(self, name: str, tag: _Tag) -> list[Row]:
        """Take a further value of a tag: its process may be one of several that write it."""
        current = self._tags.get(name)
        writers = self._writers.setdefault(name, {} if current is None else {current.process: current.step})
        last_step = writers.get(tag.process)
        if last_step is not None and tag.step < last_step:
            return self._begun_anew(name, tag)
        if current is not None and tag.process != current.process and tag.step < current.step:
            if last_step is None:
                self._behind.setdefault(name, []).append(tag)
            else:
                writers[tag.process] = tag.step
            return []
        rows: list[Row] = []
        if last_step is not None:  # it goes on: whoever is behind it writes at the same time
            writers.update((each.process, each.step) for each in self._behind.pop(name, ()))
        else:
            rows = self._caught_up(name)
        writers[tag.process] = tag.step
        return rows + self._next(name, tag)

    def _begun_anew(self, name: str, tag: _Tag) -> list[Row]:
        """Take a value at a step that its own process has gone by: who else writes the tag from here on is yet to be seen."""
        rows = self._caught_up(name)
        self._writers[name] = {tag.process: tag.step}
        return rows + self._next(name, tag)

    def _next(self, name: str, tag: _Tag) -> list[Row]:
        current = self._tags.get(name)
        self._tags[name] = tag
        return [] if current is None or current.step == tag.step else self._complete(name, current)

    def _caught_up(self, name: str) -> list[Row]:
        """Count what was behind another process's, which has ended."""
        behind = self._behind.pop(name, [])
        self._writers.setdefault(name, {}).update((tag.process, tag.step) for tag in behind)
        return [row for tag in behind for row in self._next(name, tag)]

    def _complete(self, name: str, tag: _Tag) -> list[Row]:
        if name in self._of_run:
            return []
        part = tag.step == self._last_step
        self._last_step = tag.step
        return self._tell(name, Row(time=tag.time, step=tag.step, metrics={name: tag.value}, part=part))

    def _tell(self, name: str, row: Row) -> list[Row]:
        """A writer's row, unless the run may be about to log its name: then it waits."""
        is_open = bool(self._runs) and self.end.exit_code is None
        if is_open and not (self._of_run or self._is_synced):
            self._unsure.append((name, row))
            return []
        return [self._keep(name, row)]

    def _sure(self) -> list[Row]:
        """What waited of the names that the run does not log."""
        waited, self._unsure = self._unsure, deque()
        return [self._keep(name, row) for name, row in waited if name not in self._of_run]

    def _keep(self, name: str, row: Row) -> Row:
        self._past.setdefault(name, deque(maxlen=LONGEST_PAST)).append(row)
        return row

    def _purge(self, step: int | None, names: tuple[str, ...], time: float) -> list[Row]:
        """Forget what tags have from a step on."""
        voids = 0
        self._unsure = deque((n, row) for n, row in self._unsure if n not in names or _is_before(row.step, step))
        for name in names:
            tag = self._tags.get(name)
            if tag is not None and not _is_before(tag.step, step):
                del self._tags[name]
            self._behind.pop(name, None)
            past = self._past.get(name, deque())
            kept = [row for row in past if _is_before(row.step, step)]
            voids += sum(not row.part for row in past) - sum(not row.part for row in kept)
            self._past[name] = deque(kept, maxlen=LONGEST_PAST)
        return [Row(time=time, step=step, metrics={}, part=True, purged=names, voids=voids)]

    def _split(self, line: Mapping[str, Any]) -> list[Row]:
        """Give a series another name from its beginning."""
        tag, name = line.get("tag", ""), line.get("name", "")
        if not line.get("taken"):
            self.apart[tag] = tuple(line.get("names", ()))
        rows = self._caught_up(tag)
        self.names.discard(tag)
        sure = [self._keep(name_, row) for name_, row in self._unsure if name_ == tag]
        self._unsure = deque((name_, row) for name_, row in self._unsure if name_ != tag)
        past, still_open = list(self._past.get(tag, ())), self._tags.get(tag)
        rows += [*sure, *(replace(row, voids=0) for row in self._purge(None, (tag,), line["t"]))]
        if still_open is not None:
            self._tags[name] = still_open
        renamed = [Row(time=row.time, step=row.step, metrics={name: row.metrics[tag]}, part=True) for row in past]
        return rows + [self._keep(name, row) for row in renamed]


def _is_before(row_step: int | None, step: int | None) -> bool:
    """Whether a purge from a step on leaves a row as it is."""
    return step is not None and row_step is not None and row_step < step


def _applied(record: WandbRecord, line: Mapping[str, Any]) -> list[Row]:
    """Let a run's record take a line."""
    operation = line.get("op")
    if operation == "define":
        known = set(line.get("summary", ()))
        definition = Definition(
            step_metric=line.get("by"),
            operations=known & set(OPERATIONS),
            is_left_out="none" in known if known else None,
        )
        record.define(line.get("name", ""), definition, overwrite=line.get("overwrite", False))
    elif operation == "summary":
        record.summarize(line["m"], line.get("gone", ()), line.get("nested", ()), line.get("removed", ()))
    elif operation == "finish":
        return _rows(record.finish())
    elif operation is None:
        found = record.log(
            line["m"],
            time=line["t"],
            step=line["step"],
            commit=line.get("commit"),
            gone=line.get("gone", ()),
            nulls=line.get("nulls", ()),
            nested=line.get("nested", ()),
            counts=not line.get("mirrored", False),
        )
        return _rows(found)
    return []


def _rows(found: list[WandbRow]) -> list[Row]:
    return [Row(time=row.time, step=row.step, metrics=row.metrics) for row in found]
