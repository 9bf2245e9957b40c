"""`load()`: a sweep's trials as Python objects and data frames, while it runs and after it.

What is shown comes from a `Kept`: the ledger where `sweep` is installed, its answer in a Python that drives it.
"""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload

from orchestrator import confined
from orchestrator.extras import need
from orchestrator.layout import SweepDir, TrialDir
from orchestrator.trial.contract.events import Report
from orchestrator.trial.contract.flat import METRIC, told_apart
from orchestrator.trial.contract.history import joined

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator.ledger.records import TrialRecord
    from orchestrator.ledger.rows import MetricRow
    from orchestrator.reporting.results import Results
    from orchestrator.spec import SweepSpec


class Kept(Protocol):
    """What is kept of a sweep.

    Attributes:
        label: Name and id, harmless to any terminal or file.
        trials: By number; `ranked` and `front` are some of them.
    """

    id: str
    name: str
    label: str
    state: str
    metric: str | None
    dir: SweepDir
    config: dict[str, Any]
    trials: Sequence[TrialRecord]
    ranked: Sequence[TrialRecord]
    front: Sequence[TrialRecord]

    @property
    def spec(self) -> SweepSpec:
        """The spec, as it was read."""
        ...

    def columns(self) -> dict[str, list[Any]]:
        """Return the table of all trials; `started` and `ended` are moments in UTC."""
        ...

    def attempts(self, number: int) -> list[list[Report]]:
        """Return the rows of a trial that are in the ledger, by attempt."""
        ...


def load(sweep: str | os.PathLike[str] = "last", *, runs_dir: str | os.PathLike[str] | None = None) -> SweepResults:
    """Return the results of a sweep as they are now.

        results = orchestrator.load("k3x9w2ab")
        results.best.config             # {'lr': 0.0031, 'batch_size': 32}
        results.df.sort_values("loss")  # one row per trial
        for trial in results:
            print(trial.number, trial.value, trial.history["loss"].min())

    Args:
        sweep: An id, a name, a directory, how one of these begins, or ``last``.
        runs_dir: Where sweeps are kept; None for ``SWEEP_RUNS_DIR``, else ``./sweep-runs``.

    Raises:
        UnknownSweepError: No sweep, or more than one, answers to the name.
        LedgerError: Its ledger cannot be read.
    """
    return SweepResults(in_ledger(sweep, runs_dir=runs_dir))


def in_ledger(sweep: str | os.PathLike[str] = "last", *, runs_dir: str | os.PathLike[str] | None = None) -> InLedger:
    """Return what the ledger of a sweep holds; arguments and errors are those of `load`."""
    from orchestrator.ledger.lock import holder
    from orchestrator.ledger.paths import find_sweep
    from orchestrator.ledger.paths import runs_dir as runs_dir_of
    from orchestrator.ledger.reader import LedgerReader
    from orchestrator.reporting.results import read_results

    sweep_dir = find_sweep(runs_dir_of(None if runs_dir is None else Path(runs_dir)), os.fspath(sweep))
    who = holder(sweep_dir.lock_path)
    with LedgerReader(sweep_dir.ledger_path) as reader:
        results = read_results(sweep_dir, reader)
    if results.damage:
        text = f"{sweep_dir.ledger_path} is damaged: {results.damage[0]}; the rest was read"
        warnings.warn(f"{text}. `sweep repair {sweep_dir.sweep_id}` rebuilds it.", stacklevel=3)
    return InLedger(results, who)


class InLedger:
    """What a ledger holds of a sweep."""

    def __init__(self, results: Results, holder: str | None) -> None:
        import yaml

        self.results = results
        self.id, self.name, self.label = results.record.sweep_id, results.record.name, results.label
        self.state = str(results.record.standing(holder))
        self.metric = results.metric.name if results.metric else None
        self.dir = results.sweep_dir
        self.config: dict[str, Any] = dict(yaml.safe_load(results.record.spec_text))
        self.trials: Sequence[TrialRecord] = results.trials
        self.ranked: Sequence[TrialRecord] = results.ranked
        self.front: Sequence[TrialRecord] = results.front

    @property
    def spec(self) -> SweepSpec:
        """The spec, as it was read."""
        return self.results.spec

    def columns(self) -> dict[str, list[Any]]:
        """Return the table of all trials."""
        from orchestrator.reporting.table import as_columns, table_of

        return as_columns(table_of(self.results))

    def attempts(self, number: int) -> list[list[Report]]:
        """Return the rows of a trial that are in the ledger, by attempt."""
        from orchestrator.ledger.reader import LedgerReader

        with LedgerReader(self.dir.ledger_path) as reader:
            rows = reader.metric_rows(number)
        last = max((row.attempt for row in rows), default=-1)
        return [_together(rows, attempt) for attempt in range(last + 1)]


MOST_LOG = 1 << 30
"""Bytes of a log that are read at once."""


class Trial:
    """One trial: its config, its value, and what it reported."""

    def __init__(self, record: TrialRecord, kept: Kept) -> None:
        self._record = record
        self._kept = kept

    def __repr__(self) -> str:
        """Number, state, value and config."""
        return f"Trial({self.number}, {self.state}, value={self.value}, config={dict(self.config)})"

    @property
    def number(self) -> int:
        """Its number in the sweep, from 0."""
        return self._record.number

    @property
    def config(self) -> Mapping[str, Any]:
        """Its hyperparameters, nested as the spec nests them."""
        return self._record.config

    @property
    def state(self) -> str:
        """``pending``, ``running``, ``finished``, ``stopped`` (ended early), ``failed`` or ``canceled``."""
        return str(self._record.state)

    @property
    def value(self) -> float | None:
        """The sweep's metric: its best value in this trial, or its last one, as the spec says; None when never reported."""
        return self._record.value

    @property
    def metrics(self) -> Mapping[str, float]:
        """The last value of everything it reported."""
        return self._record.metrics

    @property
    def started(self) -> float | None:
        """When it began, in seconds since 1970; None when it has not."""
        return self._record.started

    @property
    def error(self) -> str | None:
        """One line, if it failed."""
        return self._record.error

    @property
    def run_id(self) -> str | None:
        """The id of its W&B run."""
        return self._record.run_id

    @property
    def path(self) -> Path:
        """Its directory: ``output.log``, TensorBoard events, ``wandb/``, ``checkpoints/``."""
        return self._dir.path

    @property
    def _dir(self) -> TrialDir:
        return self._kept.dir.trial(self.number)

    @property
    def log(self) -> str:
        """What it printed."""
        path, inside = self._dir.log_path, self._kept.dir.path
        return (
            confined.read_text(path, inside, errors="replace", most=MOST_LOG) if confined.is_file(path, inside) else ""
        )

    def reports(self) -> Iterator[Report]:
        """Yield what its attempts reported, in order, without what a later one repeated.

        Rows have `step`, `time` and `metrics`. They are read when they are asked for. Metrics that were read from the files of a
        program that is not Python are thinned out beyond a few hundred rows.
        """
        rows = joined(self._told(attempt) for attempt in range(self._record.attempt + 1))
        yield from rows or joined(self._kept.attempts(self.number))

    def _told(self, attempt: int) -> list[Report]:
        """What one attempt reported."""
        from orchestrator.trial.contract.reports import ReportTail

        if not confined.is_file(self._dir.reports_path, self._kept.dir.path):
            return []
        tail = ReportTail(self._dir.reports_path, attempt)
        try:
            return [*tail.read(), *tail.rest()]
        finally:
            tail.close()

    @cached_property
    def history(self) -> pd.DataFrame:
        """What it reported, as a data frame: one row per report, with ``step``, ``time`` (UTC) and one column per metric.

        A metric that is called ``step`` or ``time`` has ``metric.`` before its name.
        """
        need("pandas", "a data frame")
        import pandas as pd

        reports = list(self.reports())
        names = list(dict.fromkeys(name for report in reports for name in report.metrics))
        columns = dict(zip(names, told_apart(names, METRIC, {"step", "time"})))
        rows = [
            {"step": report.step, "time": _moment(report.time)} | {columns[n]: v for n, v in report.metrics.items()}
            for report in reports
        ]
        return _with_moments(pd.DataFrame(rows, columns=["step", "time", *columns.values()]), "time")


def _moment(seconds: float) -> datetime | None:
    """A Unix time in UTC; None for what is no time that can be shown."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, OSError, ValueError):  # a sweep may come from elsewhere
        return None


def _with_moments(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """The frame with columns of moments in UTC, also where no row has one."""
    import pandas as pd

    for name in names:
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame


def _together(rows: Sequence[MetricRow], attempt: int) -> list[Report]:
    """Put values of one moment and step back into one row."""
    found: dict[tuple[float, int | None], dict[str, float]] = defaultdict(dict)
    for row in rows:
        if row.attempt == attempt:
            found[row.time, row.step][row.name] = row.value
    ordered = sorted(found.items(), key=lambda item: item[0][0])
    return [Report(index=i, time=time, step=step, metrics=metrics) for i, ((time, step), metrics) in enumerate(ordered)]


class SweepResults(Sequence[Trial]):
    """The trials of a sweep at one moment, by number; `load` it again for a later one."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._trials = [Trial(record, kept) for record in kept.trials]

    def __len__(self) -> int:
        """The number of trials."""
        return len(self._trials)

    @overload
    def __getitem__(self, index: int) -> Trial: ...
    @overload
    def __getitem__(self, index: slice) -> list[Trial]: ...
    def __getitem__(self, index: int | slice) -> Trial | list[Trial]:
        """The trial of that number."""
        return self._trials[index]

    def __repr__(self) -> str:
        """Name, id, number of trials and the best of them."""
        best = f", best {self.metric} {self.best.value} in trial {self.best.number}" if self.best else ""
        return f"<sweep {self._kept.label}: {len(self)} trials{best}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the sweep, and the best trials as a table."""
        ranked = [record.number for record in self._kept.ranked[:10]]
        shown = self.df.set_index("trial").loc[ranked] if ranked else self.df.head(10)
        return f"<p>{escape(repr(self))}</p>{shown.to_html(max_cols=20)}"

    @property
    def id(self) -> str:
        """The sweep's id."""
        return self._kept.id

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self._kept.name

    @property
    def spec(self) -> SweepSpec:
        """The spec that it runs, as it was read."""
        return self._kept.spec

    @property
    def config(self) -> dict[str, Any]:
        """The spec that it runs, as it was written."""
        return self._kept.config

    @property
    def state(self) -> str:
        """``running``, ``paused``, ``stopping``, ``canceling``, ``finished`` or ``interrupted``."""
        return self._kept.state

    @property
    def path(self) -> Path:
        """The sweep's directory."""
        return self._kept.dir.path

    @property
    def metric(self) -> str | None:
        """The name of the metric that trials are ranked by; None when the spec has none."""
        return self._kept.metric

    @property
    def best(self) -> Trial | None:
        """The best trial; None as long as no trial has a value. Failed trials do not count."""
        return Trial(self._kept.ranked[0], self._kept) if self._kept.ranked else None

    @property
    def front(self) -> list[Trial]:
        """With several metrics: the trials that no other trial beats in all of them."""
        return [Trial(record, self._kept) for record in self._kept.front]

    @cached_property
    def df(self) -> pd.DataFrame:
        """One row per trial: what there is to know about it, its parameters by dotted name, and the last value of each metric.

        Where a parameter and a metric have one name they are ``config.lr`` and ``metric.lr``, as is what has the name of a column
        about the trial. ``started`` and ``ended`` are in UTC.
        """
        need("pandas", "a data frame")
        import pandas as pd

        return _with_moments(pd.DataFrame(self._kept.columns()), "started", "ended")
