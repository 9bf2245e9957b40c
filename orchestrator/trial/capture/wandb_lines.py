"""What calls on W&B runs are: each a line of the trial's reports, with what W&B needs to make rows of it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from orchestrator.trial.capture.guard import Guard
from orchestrator.trial.capture.hub import Hub
from orchestrator.trial.capture.mirroring import WANDB
from orchestrator.trial.capture.own_run import Kind, shown
from orchestrator.trial.capture.wandb_mirror import RunMirror
from orchestrator.trial.capture.wandb_runs import TrialRuns, next_step
from orchestrator.trial.contract.scalars import flat_items, flat_row, flat_scalars, scalar
from orchestrator.trial.contract.wandb_record import WandbRows

NOT_LOGGED = frozenset({"_step", "_timestamp", "_runtime", "_wandb", ""})
"""What W&B adds to a row by itself, and the name that it leaves out."""


class WandbLines:
    """What this process knows of the rows of W&B's runs.

    Args:
        hub: Where reports go.
        guard: Says what does not count.
        runs: The process's runs.
        mirror: The one among them that is ours.
        leads: Whether this process is the trial, and not one that the trial started.

    Attributes:
        leads: The same; never in a process that the program forked.
    """

    def __init__(self, hub: Hub, guard: Guard, runs: TrialRuns, mirror: RunMirror, *, leads: bool) -> None:
        self._hub = hub
        self._guard = guard
        self._runs = runs
        self._mirror = mirror
        self._processes: dict[int, int | None] = {}
        self.forked(leads=leads)

    def forked(self, *, leads: bool = False) -> None:
        """Begin anew in a process that the program forked: an open row is its parent's."""
        self.leads = leads
        self._records: dict[int, WandbRows] = {}
        self._begun: set[int] = set()
        self._ended: set[int] = set()
        self._named: set[str] = set()
        self._last: dict[str, float] = {}
        self._branches: dict[str, set[str]] = {}
        self._has_step_metrics = False

    def opened(self, run: Any) -> None:
        """Note that `wandb.init` gave the program a run."""
        if self._runs.kind(run) is not Kind.OTHER:
            self._hub.use(WANDB)
        self._begin(run)

    def _begin(self, run: Any) -> None:
        if self._runs.kind(run) is not Kind.OWN or id(run) in self._begun:
            return
        self._begun.add(id(run))
        start = next_step(run)
        self._records[id(run)] = WandbRows(start)
        self._processes[id(run)] = None if self.leads else os.getpid()
        marks = {"start": start, "file": self._file(run), "synced": self._runs.is_synced}
        self._hub.line({}, None, op="begin", **marks, **self._marks(Kind.OWN, run))

    def announce(self, run: Any) -> None:
        """Say that the log of a run of ours, which mirrors, is not to be read from outside: its rows are reports already."""
        file = self._file(run)
        if file is not None:
            self._hub.note(api="file", path=file)

    def _file(self, run: Any) -> str | None:
        """The log of a run, by the path that whoever reads it from outside knows it by."""
        file = getattr(getattr(run, "_settings", None), "sync_file", None) if self._runs.is_recorded(run) else None
        return None if file is None else os.path.realpath(file)

    def taken(self, run: Any, data: Mapping[str, Any], step: Any, commit: bool | None) -> None:  # noqa: FBT001
        """Note a row, or a part of one, that the program logged to a run."""
        if id(run) in self._ended:
            return  # one that is switched off does not refuse it
        kind = self._runs.kind(run)
        if kind is Kind.OTHER:
            self._guard.say(
                f"rows of W&B run {shown(run)} do not count, for it is not the trial's: only {self._runs.own_name} do"
            )
            return
        if self._mirror.is_mirror(run):
            self._begin(run)
        number = None if step is None else self._hub.step(step)
        data = {name: value for name, value in data.items() if name not in NOT_LOGGED}
        numbers, others = flat_row(data)
        is_flat = numbers.keys() == data.keys()
        dicts = [] if is_flat else [key for key, value in data.items() if isinstance(value, dict)]
        gone = self._gone(data, numbers, others, dicts) if dicts or others or self._branches else []
        nested = [name for name in numbers if name.startswith(tuple(f"{key}." for key in dicts))] if dicts else None
        nulls = _nulls(data, gone) if gone else None
        self._named.update(numbers)
        fresh, moment, commit = self._hub.fresh(numbers, number, WANDB), time.time(), _flag(commit)
        marks = self._marks(kind, run)
        marks |= {"gone": gone or None, "nulls": nulls or None, "nested": nested}
        self._hub.line(fresh, number, moment=moment, commit=commit, **marks)
        self._last.update(numbers)
        if kind is Kind.DISABLED and not self.leads:
            return
        record = self._records.get(id(run))
        if record is None:
            record = self._records[id(run)] = WandbRows()
        for row in record.log(numbers, time=moment, step=number, commit=commit, gone=gone, nested=nested or ()):
            self._hub.mirror_row(row)

    def mirrored(self, run: Any, step: int | None, *, commit: bool | None) -> None:
        """Note what a call of ours does to the rows of a run that the program logs to itself."""
        if id(run) not in self._begun or (step is None and commit is False):
            return
        self._hub.line({}, step, commit=commit, mirrored=True, **self._marks(Kind.OWN, run))
        for row in self._records[id(run)].log({}, time=time.time(), step=step, commit=commit, counts=False):
            self._hub.mirror_row(row)

    def defined(self, run: Any, record: Any) -> None:
        """Note the definition of a metric, as W&B records it."""
        self._define(
            run,
            record.name or record.glob_name,
            by=record.step_metric if record.options.step_sync else "",
            summary=[field.name for field, is_said in record.summary.ListFields() if is_said is True],
            overwrite=record._control.overwrite,  # noqa: SLF001 - the protocol's own name
        )

    def defined_by_hand(self, run: Any, name: str, *args: Any, **kwargs: Any) -> None:
        """Take a metric's definition from a call on a run that is switched off, which does not keep it."""
        given = dict(zip(("step_metric", "step_sync", "hidden", "summary", "overwrite"), args)) | kwargs
        by = given.get("step_metric")
        kept = [each.strip().lower() for each in (given.get("summary") or "").split(",") if each.strip()]
        self._define(
            run,
            name,
            by=getattr(by, "name", by) or "" if given.get("step_sync") in {None, True} else "",
            summary=kept,
            overwrite=bool(given.get("overwrite")),
        )

    def _define(self, run: Any, name: str, *, by: str, summary: list[str], overwrite: bool) -> None:
        kind = self._runs.kind(run)
        if kind is Kind.OTHER:
            return
        self._has_step_metrics = self._has_step_metrics or bool(by)
        marks = self._marks(kind, run)
        self._hub.line({}, None, op="define", name=name, by=by, summary=summary, overwrite=overwrite, **marks)

    def summarized(self, run: Any, record: Any) -> None:
        """Note what the program put into a run's summary, as W&B records it."""
        kind = self._runs.kind(run)
        if kind is Kind.OTHER:
            return
        numbers: dict[str, float] = {}
        nested: list[str] = []
        removed = [".".join(item.key) for item in record.remove]
        gone = list(removed)
        for item in record.update:
            name = ".".join(item.key)
            found = _inner(name, item.value) if isinstance(item.value, Mapping) else _single(name, item.value)
            numbers |= found
            nested += found if len(item.key) > 1 or isinstance(item.value, Mapping) else ()
            gone += [known for known in self._named if known.startswith(f"{name}.")] + ([] if found else [name])
        self._named.update(numbers)
        lists = {"gone": gone or None, "nested": nested or None, "removed": removed or None}
        self._hub.line(numbers, None, op="summary", **lists, **self._marks(kind, run))

    def preempting(self, run: Any) -> None:
        """Note that the program said it is about to be preempted."""
        if self._runs.kind(run) is Kind.OWN:
            self._hub.line({}, None, op="preempting", **self._marks(Kind.OWN, run))

    def alerted(self, _run: Any, *args: Any, **kwargs: Any) -> None:
        """Note an alert of the program's."""
        given = dict(zip(("title", "text", "level", "wait_duration"), args)) | kwargs
        level = getattr(given.get("level"), "value", given.get("level"))
        said = [str(part) for part in (level, given.get("title"), given.get("text")) if part]
        self._hub.line({}, None, api="wandb", op="alert", name=": ".join(said))

    def finished(self, run: Any, code: int | None) -> None:
        """Note that a run is over. What its program left open is finished by us, with the program's own exit code."""
        self._runs.end(run)
        kind = self._runs.kind(run)
        if kind is Kind.OTHER or id(run) in self._ended or (self._mirror.is_mirror(run) and id(run) not in self._begun):
            return
        self._ended.add(id(run))
        if not self._runs.is_recorded(run):
            self._summarize_switched_off(run)
        found = getattr(run, "_exit_code", None)
        self._hub.line(
            {}, None, op="finish", code=int(found if found is not None else code or 0), **self._marks(kind, run)
        )
        for row in self._records.pop(id(run), WandbRows()).finish():
            self._hub.mirror_row(row)

    def _summarize_switched_off(self, run: Any) -> None:
        """Note the summary of a run that is switched off: all that was logged is in there, and what the program put there."""
        found = flat_scalars(dict(run.summary))
        own = {name: value for name, value in found.items() if self._last.get(name) != value}
        if own:
            self._hub.line(own, None, op="summary", **self._marks(self._runs.kind(run), run))

    def close(self) -> None:
        """Mirror the rows that are still open; note the summaries of runs that are switched off."""
        for run in self._runs.all():
            if (
                not self._runs.is_recorded(run)
                and id(run) not in self._ended
                and self._runs.kind(run) is not Kind.OTHER
            ):
                self._summarize_switched_off(run)
        records, self._records = self._records, {}
        for row in [row for record in records.values() for row in record.finish()]:
            self._hub.mirror_row(row)

    def _marks(self, kind: Kind, run: Any) -> dict[str, Any]:
        """Whose a line is: an own run has one record for each process that began it, also for what forks of that one log."""
        if kind is Kind.OWN:
            return {"api": "wandb", "process": self._processes.get(id(run))}
        return {"api": "disabled", "process": os.getpid(), "leads": self.leads or None}

    def _gone(
        self, data: Mapping[str, Any], numbers: Mapping[str, float], others: list[str], dicts: list[str]
    ) -> list[str]:
        """Names that a call takes out of the open row: numbers that became something else, what a dict replaces or was."""
        gone = [name for name in others if self._has_step_metrics or name in self._named]
        for key in data.keys() & self._branches.keys() if self._branches else ():
            if not isinstance(data[key], dict):
                gone += self._branches[key]  # it stays: W&B may drop this call, or it may be another run's
        for key in dicts:
            gone += [key] if key in self._named else []
            self._branches.setdefault(key, set()).update(name for name in numbers if name.startswith(f"{key}."))
        return gone


def _inner(name: str, value: Mapping[str, Any]) -> dict[str, float]:
    return {f"{name}.{inner}": number for inner, number in flat_scalars(value).items()}


def _single(name: str, value: Any) -> dict[str, float]:
    found = scalar(value)
    return {} if found is None or found != found else {name: found}  # noqa: PLR0124 - W&B stores NaN as null there


def _nulls(data: Mapping[str, Any], names: list[str]) -> list[str]:
    """Return which flat names a call has None by."""
    items = {**dict(flat_items(data)[0]), **data}
    return [name for name in names if items.get(name, name) is None]


def _flag(commit: Any) -> bool | None:
    return None if commit is None else bool(commit)
