"""The W&B run of a trial whose Python has no wandb: written from its reports where `sweep` is, which has it."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.trial.contract.events import Ended, Report
from orchestrator.trial.contract.launch import Launch, WandbRun
from orchestrator.trial.contract.reports import ReportTail
from orchestrator.trial.formats.wandb_log import LogWriter, exit_record


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
    writer = LogWriter(directory / f"run-{run.run_id}.wandb")
    for record in _records(launch, run, rows, summary, began_s):
        writer.write(record)
    writer.write(exit_record(0 if ended.run_code is None else ended.run_code))
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
) -> Iterator[Any]:
    """Yield wandb's messages: who reads the log, the run, its rows, its summary."""
    import wandb
    from wandb.proto import wandb_internal_pb2 as messages

    head = messages.VersionInfo(producer=wandb.__version__, min_consumer="0.40.0")
    yield messages.Record(header=messages.HeaderRecord(version_info=head))
    about = messages.RunRecord(
        run_id=run.run_id,
        project=run.project,
        run_group=run.group,
        display_name=run.name,
        entity=run.entity or "",
        sweep_id=run.sweep_id or "",
        tags=run.tags,
    )
    about.start_time.FromNanoseconds(int(began_s * 1e9))
    for name, value in {"_wandb": {}, **launch.config}.items():
        about.config.update.add(key=name, value_json=json.dumps(value))
    yield messages.Record(run=about)
    last: dict[str, Any] = {}
    for step, moment, metrics in rows:
        last |= dict(metrics) | {"_timestamp": moment, "_runtime": moment - began_s, "_step": step}
        row = messages.HistoryRecord(step=messages.HistoryStep(num=step))
        for name in (*metrics, "_timestamp", "_runtime", "_step"):
            row.item.add(nested_key=[name], value_json=json.dumps(last[name]))
        yield messages.Record(history=row)
    whole = messages.SummaryRecord()
    for name, value in (last | dict(summary)).items():
        whole.update.add(nested_key=[name], value_json=json.dumps(value))
    yield messages.Record(summary=whole)
