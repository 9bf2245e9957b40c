"""`wandb.Api` for sweeps that are kept here: their runs are answered from the ledger, everything else by W&B's own."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from orchestrator.api.results import SweepResults, Trial, load
from orchestrator.extras import need
from orchestrator.layout import run_id
from orchestrator.ledger.paths import ID_LENGTH, all_sweeps, runs_dir

if TYPE_CHECKING:
    import pandas as pd

STATES = {"stopped": "finished", "canceled": "killed"}
"""W&B's words for the states of trials, where they are others; a trial that was ended early counts there as here."""


class Api:
    """W&B's public API, which needs no server for the sweeps of this machine.

    ``sweep(path)``, ``run(path)`` and ``runs(path, filters={"sweep": id})`` are answered from the ledger when the path ends with
    the id of a sweep (or run) of the runs directory, which is what `wandb.sweep` returned. Any other path and every other call is
    W&B's own API, which needs a login. A sweep that went up has a second id, the server's: that one asks the server.

    Args:
        *args: As for W&B's own; not looked at before that is needed.
        **kwargs: As for W&B's own.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._given = args, kwargs

    @cached_property
    def _theirs(self) -> Any:
        import wandb

        args, kwargs = self._given
        return wandb.Api(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._theirs, name)

    @property
    def default_entity(self) -> str | None:
        """Whose runs are meant when nobody is named; None when nobody is logged in."""
        import wandb

        try:
            entity: str | None = self._theirs.default_entity
        except wandb.errors.Error:
            return os.environ.get("WANDB_ENTITY")
        return entity

    def sweep(self, path: str = "") -> Any:
        """Return a sweep: of the runs directory if its id is there, else of the server."""
        found = _kept(path.rstrip("/").rpartition("/")[2])
        return self._theirs.sweep(path) if found is None else Sweep(found)

    def run(self, path: str = "") -> Any:
        """Return a run: a trial of a sweep of the runs directory if its id is there, else of the server."""
        run_id = path.rstrip("/").rpartition("/")[2]
        found = _kept(run_id.partition("-")[0])
        runs = [] if found is None else [run for run in Sweep(found).runs if run.id == run_id]
        return runs[0] if runs else self._theirs.run(path)

    def runs(self, path: str | None = None, filters: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Return runs: those of one sweep of the runs directory, if the filter names it alone, else of the server."""
        found = _kept(str(filters["sweep"])) if filters and set(filters) == {"sweep"} else None
        return self._theirs.runs(path, filters, **options) if found is None else Sweep(found).runs


def _kept(sweep_id: str) -> SweepResults | None:
    """The results of the sweep of this id, if it is in the runs directory."""
    if len(sweep_id) != ID_LENGTH:
        return None
    found = [sweep for sweep in all_sweeps(runs_dir(None)) if sweep.sweep_id == sweep_id]
    return load(str(found[0].path)) if found else None


class _Kept:
    """Says of what the ledger cannot answer where it can be had."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"{name} of this {type(self).__name__.lower()} is not answered without a server: it is kept here.\n"
            "  `sweep sync` sends it; W&B's own Api then has all of it, under the id that the server gives."
        )


class Sweep(_Kept):
    """A sweep of the runs directory, with W&B's names."""

    def __init__(self, results: SweepResults) -> None:
        self._results = results

    def __repr__(self) -> str:
        """Path and state."""
        return f"<Sweep {'/'.join(self.path)} ({self.state})>"

    @property
    def id(self) -> str:
        """Its id here."""
        return self._results.id

    @property
    def name(self) -> str:
        """Its name."""
        return self._results.name

    @property
    def state(self) -> str:
        """``RUNNING``, ``PAUSED``, ``FINISHED``..., as `sweep ls` says it."""
        return self._results.state.upper()

    @property
    def entity(self) -> str:
        """Whose it is, by its spec; empty for nobody."""
        return self._results.spec.wandb_entity(os.environ) or ""

    @property
    def project(self) -> str:
        """Its project, by its spec."""
        return self._results.spec.wandb_project(os.environ)

    @property
    def path(self) -> list[str]:
        """Entity, project and id."""
        return [self.entity, self.project, self.id]

    @property
    def url(self) -> None:
        """None: it is on no server under this id."""
        return

    @property
    def config(self) -> dict[str, Any]:
        """The spec."""
        return self._results.config

    @property
    def expected_run_count(self) -> int | None:
        """The spec's cap."""
        return self._results.spec.run_cap

    @property
    def order(self) -> str | None:
        """The order in which the best run is the first, as W&B writes it."""
        objectives = self._results.spec.objectives
        if not objectives:
            return None
        return f"{'+' if str(objectives[0].goal) == 'minimize' else '-'}summary_metrics.{objectives[0].name}"

    @cached_property
    def runs(self) -> "Sequence[Run]":
        """Its trials, by number."""
        return [Run(trial, self) for trial in self._results]

    def best_run(self, order: str | None = None) -> "Run | None":
        """Return the best run: by the sweep's metric, or by an order such as ``-summary_metrics.accuracy``."""
        if order is None:
            best = self._results.best
            return None if best is None else Run(best, self)
        name, sign = order.lstrip("+-").removeprefix("summary_metrics."), -1 if order.startswith("-") else 1
        having = [run for run in self.runs if isinstance(run.summary.get(name), int | float)]
        return min(having, key=lambda run: sign * run.summary[name], default=None)

    def load(self, *, force: bool = False) -> "Sweep":  # noqa: ARG002 - W&B's signature
        """Return it as it is now."""
        return Sweep(load(str(self._results.path)))


class Summary(dict[str, Any]):
    """A run's summary."""

    @property
    def _json_dict(self) -> dict[str, Any]:
        """What W&B's guide to exports uses."""
        return dict(self)


class Run(_Kept):
    """A trial as a run, with W&B's names."""

    def __init__(self, trial: Trial, sweep: Sweep) -> None:
        self._trial = trial
        self.sweep = sweep

    def __repr__(self) -> str:
        """Path and state."""
        return f"<Run {'/'.join(self.path)} ({self.state})>"

    @property
    def id(self) -> str:
        """The id of its W&B run."""
        return self._trial.run_id or run_id(self.sweep.id, self._trial.number)

    @property
    def name(self) -> str:
        """The name of its W&B run."""
        return f"{self.sweep.name}-{self._trial.number}"

    @property
    def state(self) -> str:
        """``pending``, ``running``, ``finished``, ``failed`` or ``killed``."""
        return STATES.get(self._trial.state, self._trial.state)

    @property
    def entity(self) -> str:
        """The sweep's."""
        return self.sweep.entity

    @property
    def project(self) -> str:
        """The sweep's."""
        return self.sweep.project

    @property
    def path(self) -> list[str]:
        """Entity, project and id."""
        return [self.entity, self.project, self.id]

    @property
    def url(self) -> None:
        """None: it is on no server under this sweep."""
        return

    @property
    def created_at(self) -> str | None:
        """When it began, in ISO 8601, UTC."""
        started = self._trial.started
        return None if started is None else datetime.fromtimestamp(started, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def config(self) -> dict[str, Any]:
        """Its hyperparameters."""
        return dict(self._trial.config)

    @property
    def summary(self) -> Summary:
        """The last value of everything it reported."""
        return Summary(self._trial.metrics)

    @property
    def summary_metrics(self) -> dict[str, Any]:
        """The same."""
        return dict(self._trial.metrics)

    @property
    def lastHistoryStep(self) -> int:  # noqa: N802 - W&B's name
        """The step of its last row; -1 without any."""
        return max((row["_step"] for row in self.scan_history()), default=-1)

    def history(
        self,
        samples: int = 500,
        keys: Sequence[str] | None = None,
        x_axis: str = "_step",
        pandas: bool = True,  # noqa: FBT001, FBT002 - W&B's signature
        stream: str = "default",
    ) -> "pd.DataFrame | list[dict[str, Any]]":
        """Return its rows, as many as `samples` of them at even distances; with `keys` those that have all of these."""
        if stream != "default":
            raise ValueError(f"stream={stream!r} is not kept here; only 'default' is: what the run logged")
        rows = list(self.scan_history(None if keys is None else [*keys, x_axis]))
        if len(rows) > samples > 0:
            rows = [rows[i * len(rows) // samples] for i in range(samples)]
        if not pandas:
            return rows
        need("pandas", "a data frame (pandas=False is a list)")
        import pandas as pd

        return pd.DataFrame(rows)

    def scan_history(
        self, keys: Sequence[str] | None = None, page_size: int = 1000, min_step: int = 0, max_step: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield all of its rows; with `keys` those that have all of these, and only them."""
        del page_size
        began: float | None = None
        for index, report in enumerate(self._trial.reports()):
            began = report.time if began is None else began
            step = index if report.step is None else report.step
            own = {"_step": step, "_timestamp": report.time, "_runtime": report.time - began}
            row = {**report.metrics, **own}
            if step < min_step or (max_step is not None and step >= max_step):
                continue
            if keys is None:
                yield row
            elif all(key in row for key in keys):
                yield {key: row[key] for key in keys}

    def files(self, names: Sequence[str] | None = None, per_page: int = 50) -> "list[File]":
        """Return the files that it saved."""
        del per_page
        found = {file.name: file for root in self._roots() for file in _files(root)}
        return [file for name, file in sorted(found.items()) if not names or name in names]

    def file(self, name: str) -> "File":
        """Return the file that it saved by this name.

        Raises:
            FileNotFoundError: There is none.
        """
        found = self.files([name])
        if not found:
            kept = ", ".join(file.name for file in self.files()) or "none"
            raise FileNotFoundError(f"run {self.id} saved no file {name!r}; its files are: {kept}")
        return found[0]

    def load(self, *, force: bool = False) -> "Run":  # noqa: ARG002 - W&B's signature
        """Return it as it is now."""
        return self.sweep.load().runs[self._trial.number]

    def _roots(self) -> list[Path]:
        return sorted(self._trial.path.glob(f"wandb/*run-*-{self.id}*/files"))


class File:
    """A file that a run saved."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self.name = name
        self.size = path.stat().st_size

    def __repr__(self) -> str:
        """Name and size."""
        return f"<File {self.name} ({self.size} bytes)>"

    @property
    def url(self) -> str:
        """Where it is."""
        return self._path.as_uri()

    def download(self, root: str = ".", *, replace: bool = False, exist_ok: bool = False) -> IO[str]:
        """Copy it below `root`; return it, open.

        Raises:
            ValueError: It is there, and neither `replace` nor `exist_ok` is given.
        """
        target = Path(root) / self.name
        if target.exists() and not (replace or exist_ok):
            raise ValueError(
                f"{target} is there already. Give replace=True to overwrite it, or exist_ok=True to keep it"
            )
        if replace or not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._path, target)
        return target.open(encoding="utf-8", errors="replace")


def _files(root: Path) -> Iterator[File]:
    for path in root.rglob("*"):
        if path.is_file():
            yield File(path, str(path.relative_to(root)))
