"""`load()`: a sweep's trials as Python objects and data frames, while it runs and after it."""

import os
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from orchestrator import confined
from orchestrator.extras import need
from orchestrator.layout import TrialDir
from orchestrator.ledger.records import TrialRecord
from orchestrator.ledger.rows import MetricRow
from orchestrator.reporting.results import Results
from orchestrator.spec import SweepSpec
from orchestrator.trial.contract.events import Report
from orchestrator.trial.contract.history import joined

if TYPE_CHECKING:
    import pandas as pd


def load(sweep: str = "last", *, runs_dir: str | os.PathLike[str] | None = None) -> "SweepResults":
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
    from orchestrator.ledger.lock import holder
    from orchestrator.ledger.paths import find_sweep
    from orchestrator.ledger.paths import runs_dir as runs_dir_of
    from orchestrator.ledger.reader import LedgerReader
    from orchestrator.reporting.results import read_results

    sweep_dir = find_sweep(runs_dir_of(None if runs_dir is None else Path(runs_dir)), sweep)
    who = holder(sweep_dir.lock_path)
    with LedgerReader(sweep_dir.ledger_path) as reader:
        results = read_results(sweep_dir, reader)
    if results.damage:
        text = f"{sweep_dir.ledger_path} is damaged: {results.damage[0]}; the rest was read"
        warnings.warn(f"{text}. `sweep repair {sweep_dir.sweep_id}` rebuilds it.", stacklevel=2)
    return SweepResults(results, who)


MOST_LOG = 1 << 30
"""Bytes of a log that are read at once."""


class Trial:
    """One trial: its config, its value, and what it reported."""

    def __init__(self, record: TrialRecord, results: Results) -> None:
        self._record = record
        self._results = results

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
        return self._results.sweep_dir.trial(self.number)

    @property
    def log(self) -> str:
        """What it printed."""
        path, inside = self._dir.log_path, self._results.sweep_dir.path
        return (
            confined.read_text(path, inside, errors="replace", most=MOST_LOG) if confined.is_file(path, inside) else ""
        )

    def reports(self) -> Iterator[Report]:
        """Yield what its attempts reported, in order, without what a later one repeated.

        Rows have `step`, `time` and `metrics`. They are read when they are asked for. Metrics that were read from the files of a
        program that is not Python are thinned out beyond a few hundred rows.
        """
        from orchestrator.ledger.reader import LedgerReader

        attempts = range(self._record.attempt + 1)
        rows = joined(self._told(attempt) for attempt in attempts)
        if not rows:
            with LedgerReader(self._results.sweep_dir.ledger_path) as reader:
                kept = reader.metric_rows(self.number)
            rows = joined(_together(kept, attempt) for attempt in attempts)
        yield from rows

    def _told(self, attempt: int) -> list[Report]:
        """What one attempt reported."""
        from orchestrator.trial.contract.reports import ReportTail

        if not confined.is_file(self._dir.reports_path, self._results.sweep_dir.path):
            return []
        tail = ReportTail(self._dir.reports_path, attempt)
        try:
            return [*tail.read(), *tail.rest()]
        finally:
            tail.close()

    @cached_property
    def history(self) -> "pd.DataFrame":
        """What it reported, as a data frame: one row per report, with ``step``, ``time`` (UTC) and one column per metric.

        A metric that is called ``step`` or ``time`` has ``metric.`` before its name.
        """
        need("pandas", "a data frame")
        import pandas as pd

        from orchestrator.reporting.table import METRIC, moment, told_apart

        reports = list(self.reports())
        names = list(dict.fromkeys(name for report in reports for name in report.metrics))
        columns = dict(zip(names, told_apart(names, METRIC, {"step", "time"}), strict=True))
        rows = [
            {"step": report.step, "time": moment(report.time)} | {columns[n]: v for n, v in report.metrics.items()}
            for report in reports
        ]
        return _with_moments(pd.DataFrame(rows, columns=["step", "time", *columns.values()]), "time")


def _with_moments(frame: "pd.DataFrame", *names: str) -> "pd.DataFrame":
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

    def __init__(self, results: Results, holder: str | None) -> None:
        self._results = results
        self._holder = holder
        self._trials = [Trial(record, results) for record in results.trials]

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
        return f"<sweep {self._results.label}: {len(self)} trials{best}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the sweep, and the best trials as a table."""
        ranked = [record.number for record in self._results.ranked[:10]]
        shown = self.df.set_index("trial").loc[ranked] if ranked else self.df.head(10)
        return f"<p>{escape(repr(self))}</p>{shown.to_html(max_cols=20)}"

    @property
    def id(self) -> str:
        """The sweep's id."""
        return self._results.record.sweep_id

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self._results.record.name

    @property
    def spec(self) -> SweepSpec:
        """The spec that it runs, as it was read."""
        return self._results.spec

    @property
    def config(self) -> dict[str, Any]:
        """The spec that it runs, as it was written."""
        import yaml

        return dict(yaml.safe_load(self._results.record.spec_text))

    @property
    def state(self) -> str:
        """``running``, ``paused``, ``stopping``, ``canceling``, ``finished`` or ``interrupted``."""
        return str(self._results.record.standing(self._holder))

    @property
    def path(self) -> Path:
        """The sweep's directory."""
        return self._results.sweep_dir.path

    @property
    def metric(self) -> str | None:
        """The name of the metric that trials are ranked by; None when the spec has none."""
        return self._results.metric.name if self._results.metric else None

    @property
    def best(self) -> Trial | None:
        """The best trial; None as long as no trial has a value. Failed trials do not count."""
        return Trial(self._results.ranked[0], self._results) if self._results.ranked else None

    @property
    def front(self) -> list[Trial]:
        """With several metrics: the trials that no other trial beats in all of them."""
        return [Trial(record, self._results) for record in self._results.front]

    @cached_property
    def df(self) -> "pd.DataFrame":
        """One row per trial: what there is to know about it, its parameters by dotted name, and the last value of each metric.

        Where a parameter and a metric have one name they are ``config.lr`` and ``metric.lr``, as is what has the name of a column
        about the trial. ``started`` and ``ended`` are in UTC.
        """
        need("pandas", "a data frame")
        import pandas as pd

        from orchestrator.reporting.table import as_columns, table_of

        return _with_moments(pd.DataFrame(as_columns(table_of(self._results))), "started", "ended")
