"""The W&B run of a trial whose Python has no wandb: written from its reports, with nothing installed."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.layout import wandb_log
from orchestrator.trial.contract.events import Ended, Report
from orchestrator.trial.contract.launch import Launch, WandbRun
from orchestrator.trial.contract.reports import ReportTail
from orchestrator.trial.formats import wandb_messages
from orchestrator.trial.formats.wandb_log import LogWriter

PRODUCER = "0.31.0"
"""The wandb whose log it is: what is written here is as that version writes it."""


def record_run(launch: Launch, ended: Ended, began_s: float) -> None:
    """Write the run of an attempt that left none, as W&B's client records one offline; nothing where it left one.

    Args:
        launch: The attempt; its Python is another than the one that `sweep` runs in.
        ended: How it ended.
        began_s: Unix time of its start.
    """
    run = launch.wandb
    if run is None or any(log.stat().st_mtime >= began_s for log in launch.dir.wandb_log_paths()):
        return
    tail = ReportTail(launch.dir.reports_path, launch.attempt)
    rows = list(_rows([*tail.read(), *tail.rest()]))
    summary = tail.summary()
    tail.close()
    stamp = time.strftime("%Y%m%d_%H%M%S", time.localtime(began_s))
    directory = launch.dir.wandb_path / f"offline-run-{stamp}-{run.run_id}"
    for part in ("files", "logs"):
        (directory / part).mkdir(parents=True, exist_ok=True)
    writer = LogWriter(directory / wandb_log(run.run_id))
    for record in _records(launch, run, rows, summary, began_s):
        writer.append(record)
    writer.append(wandb_messages.exit_code(0 if ended.run_code is None else ended.run_code))
    writer.close()


def _rows(reports: Sequence[Report]) -> Iterator[tuple[int, float, dict[str, float]]]:
    """Yield (step, Unix time, metrics) as a run has them: one row per step, in the order of steps; without steps, counted."""
    if any(report.step is None for report in reports):
        yield from ((i, report.time, dict(report.metrics)) for i, report in enumerate(reports))
        return
    by_step: dict[int, tuple[float, dict[str, float]]] = {}
    for report in reports:
        assert report.step is not None
        moment, metrics = by_step.get(report.step, (report.time, {}))
        by_step[report.step] = (moment, metrics | dict(report.metrics))
    yield from ((step, *by_step[step]) for step in sorted(by_step))


def _records(
    launch: Launch,
    run: WandbRun,
    rows: Sequence[tuple[int, float, Mapping[str, float]]],
    summary: Mapping[str, float],
    began_s: float,
) -> Iterator[bytes]:
    """Yield who writes the log, the run, its rows, its summary."""
    yield wandb_messages.header(PRODUCER)
    about = {
        "run_id": run.run_id,
        "project": run.project,
        "run_group": run.group,
        "display_name": run.name,
        "entity": run.entity or "",
        "sweep_id": run.sweep_id or "",
    }
    yield wandb_messages.run(about, run.tags, {"_wandb": {}, **launch.config}, began_s)
    last: dict[str, Any] = {}
    for step, moment, metrics in rows:
        last |= dict(metrics) | {"_timestamp": moment, "_runtime": moment - began_s, "_step": step}
        row = {name: last[name] for name in (*metrics, "_timestamp", "_runtime", "_step")}
        yield wandb_messages.history(row, step)
    yield wandb_messages.summary(last | dict(summary))
