"""`sweep ls|show|best`: look at sweeps, also while they run."""

import json
import math
import shlex
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.control import RunsDirOption, SweepArgument
from orchestrator.cli.text import brief, clean, duration, number, sparkline, table
from orchestrator.errors import SweepError

if TYPE_CHECKING:
    from orchestrator.ledger.paths import SweepDir
    from orchestrator.ledger.reader import LedgerReader
    from orchestrator.ledger.records import SweepRecord, TrialRecord
    from orchestrator.spec import SweepSpec

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def ls(runs_dir: RunsDirOption = None, as_json: JsonOption = False) -> None:
    """List sweeps, the newest first."""
    from orchestrator.ledger.paths import all_sweeps
    from orchestrator.ledger.paths import runs_dir as runs_dir_of
    from orchestrator.ledger.reader import LedgerReader

    runs = runs_dir_of(runs_dir)
    rows = []
    for sweep_dir in all_sweeps(runs):
        with LedgerReader(sweep_dir.ledger_path) as reader:
            rows.append(_sweep_data(sweep_dir, reader))
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        typer.echo(f"no sweeps in {runs.resolve()}", err=True)
    cells = [
        [r["id"], clean(r["name"]), r["state"], str(sum(r["trials"].values())), number(r["best"]), _ago(r["created"])]
        for r in rows
    ]
    typer.echo(table(["id", "name", "state", "trials", "best", "started"], cells), nl=bool(rows))


def show(
    sweep: SweepArgument = "last",
    trial: Annotated[int | None, typer.Argument(help="A trial's number.", show_default=False)] = None,
    runs_dir: RunsDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a sweep, or one of its trials: states, causes, values, paths."""
    sweep_dir, reader = _open(sweep, runs_dir)
    with reader:
        if trial is not None:
            _show_trial(sweep_dir, reader, trial, as_json=as_json)
        else:
            _show_sweep(sweep_dir, reader, as_json=as_json)


def best(
    sweep: SweepArgument = "last",
    k: Annotated[int, typer.Option("-k", min=1, help="How many.")] = 5,
    runs_dir: RunsDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the best trials: value, config, the exact command line, and where everything of them is."""
    sweep_dir, reader = _open(sweep, runs_dir)
    with reader:
        record = reader.sweep()
        spec = _spec(record)
        trials = reader.front() if spec.metrics else reader.best(k)
        if as_json:
            data = {"sweep": _sweep_data(sweep_dir, reader), "trials": [_trial_data(sweep_dir, t) for t in trials]}
            typer.echo(json.dumps(data, indent=2, default=str))
            return
    if not trials:
        metric = spec.objectives[0].name if spec.objectives else None
        wanted = f"no trial has reported {clean(metric)} yet" if metric else "the spec has no metric to rank by"
        raise SweepError(f"sweep {sweep_dir.sweep_id}: {wanted}")
    names = ", ".join(f"{clean(m.name)} ({m.goal})" for m in spec.objectives)
    typer.echo(f"{clean(record.name)} {sweep_dir.sweep_id}: best {names}")
    rows = [[str(t.number), _value(t, spec), str(t.step), str(t.state), brief(t.config, width=80)] for t in trials]
    typer.echo(table(["trial", "value", "report", "state", "config"], rows))
    typer.echo(_recipe(sweep_dir, record, spec, trials[0]))


# ---- what is printed -------------------------------------------------------------------------------------------------


def _show_sweep(sweep_dir: "SweepDir", reader: "LedgerReader", *, as_json: bool) -> None:
    from orchestrator.cli.summary import failures
    from orchestrator.ledger.lock import holder

    record = reader.sweep()
    trials = reader.trials()
    if as_json:
        data = {"sweep": _sweep_data(sweep_dir, reader), "trials": [_trial_data(sweep_dir, t) for t in trials]}
        typer.echo(json.dumps(data, indent=2, default=str))
        return
    spec = _spec(record)
    who = holder(sweep_dir.lock_path)
    state = f"{record.state}, controlled by {who}" if who else f"{record.state}, not controlled by anybody"
    metric = ", ".join(f"{clean(m.name)} ({m.goal})" for m in spec.objectives) or "none"
    lines = [
        f"{clean(record.name)} {sweep_dir.sweep_id}: {state}" + (f" ({clean(record.reason)})" if record.reason else ""),
        f"  method    {spec.method}, metric {metric}, seed {record.seed}",
        "  trials    " + (", ".join(f"{n} {state}" for state, n in sorted(reader.counts().items())) or "none yet"),
        f"  directory {clean(str(sweep_dir.path))}",
    ]
    typer.echo("\n".join(lines))
    for line in failures(trials, sweep_dir):
        typer.echo(line)
    rows = [_trial_row(trial, reader) for trial in trials]
    if rows:
        typer.echo(table(["trial", "state", "value", "report", "time", "curve", "config or reason"], rows))


def _trial_row(trial: "TrialRecord", reader: "LedgerReader") -> list[str]:
    took = (trial.ended or time.time()) - trial.started if trial.started else None
    words = trial.error or trial.reason
    last = clean(words)[:70] if words else brief(trial.config, width=70)
    curve = sparkline(reader.values(trial.number))
    return [
        str(trial.number),
        str(trial.state),
        number(trial.value),
        str(trial.step or "-"),
        duration(took),
        curve,
        last,
    ]


def _show_trial(sweep_dir: "SweepDir", reader: "LedgerReader", trial_number: int, *, as_json: bool) -> None:
    trial = reader.trial(trial_number)
    if trial is None:
        n = sum(reader.counts().values())
        raise SweepError(f"sweep {sweep_dir.sweep_id} has no trial {trial_number}; its trials are 0 to {n - 1}")
    attempts = reader.attempts(trial_number)
    if as_json:
        data = _trial_data(sweep_dir, trial) | {"attempts": [asdict(a) for a in attempts]}
        typer.echo(json.dumps(data, indent=2, default=str))
        return
    record = reader.sweep()
    typer.echo(f"trial {trial.number} of {clean(record.name)} {sweep_dir.sweep_id}: {trial.state}")
    for attempt in attempts:
        took = (attempt.ended or time.time()) - attempt.started if attempt.started else None
        gpus = f" GPU {','.join(attempt.gpu_ids)}" if attempt.gpu_ids else ""
        cold = f", started cold: {clean(attempt.cold_reason)}" if attempt.cold_reason else ""
        how = (attempt.cause or "running").replace("_", " ") + (f": {clean(attempt.error)}" if attempt.error else "")
        typer.echo(f"  attempt {attempt.attempt} on {attempt.host or '?'}{gpus}: {how}, {duration(took)}{cold}")
    for when, what, reason in reader.decisions(trial_number):
        typer.echo(f"  {time.strftime('%H:%M:%S', time.localtime(when))} {what}: {clean(reason or '')}")
    values = reader.values(trial_number)
    if values:
        typer.echo(
            f"  curve {sparkline(values, width=48)}  best {number(trial.value)} at report {trial.step} of {len(values)}"
        )
    rows = [["  " + clean(name), number(value)] for name, value in sorted(trial.metrics.items())]
    if rows:
        typer.echo(table(["  metric", "last value"], rows))
    typer.echo(_recipe(sweep_dir, record, _spec(record), trial))
    if attempts and trial.error:
        typer.echo("\n".join(f"  | {clean(line)}" for line in attempts[-1].log_tail[-8:]))


def _recipe(sweep_dir: "SweepDir", record: "SweepRecord", spec: "SweepSpec", trial: "TrialRecord") -> str:
    """The config as YAML, the command line, and the paths of a trial."""
    import os

    import yaml

    from orchestrator.launching import Launcher

    text = yaml.safe_dump(dict(trial.config), sort_keys=False, allow_unicode=True)
    lines = [f"\ntrial {trial.number}", *("  " + clean(line) for line in text.splitlines())]
    if spec.program is not None or spec.command is not None:
        launcher = Launcher(spec=spec, sweep=record, sweep_dir=sweep_dir, environ=os.environ)
        lines += ["", "  " + clean(shlex.join(launcher.argv(trial.number, trial.config)))]
    lines.append("")
    lines += [f"  {what:11} {clean(str(path))}" for what, path in _paths(sweep_dir, trial).items() if path]
    return "\n".join(lines)


# ---- data ------------------------------------------------------------------------------------------------------------


def _open(sweep: str, runs_dir: Path | None) -> tuple["SweepDir", "LedgerReader"]:
    from orchestrator.ledger.paths import find_sweep
    from orchestrator.ledger.paths import runs_dir as runs_dir_of
    from orchestrator.ledger.reader import LedgerReader

    sweep_dir = find_sweep(runs_dir_of(runs_dir), sweep)
    return sweep_dir, LedgerReader(sweep_dir.ledger_path)


def _spec(record: "SweepRecord") -> "SweepSpec":
    from orchestrator.spec import load_text

    return load_text(record.spec_text, path="recorded spec", needs_program=False).require()


def _sweep_data(sweep_dir: "SweepDir", reader: "LedgerReader") -> dict[str, Any]:
    from orchestrator.ledger.lock import holder

    record = reader.sweep()
    top = reader.best(1)
    state = str(record.state)
    if state in {"running", "paused", "stopping"} and holder(sweep_dir.lock_path) is None:
        state = "interrupted"
    return {
        "id": record.sweep_id,
        "name": record.name,
        "state": state,
        "reason": record.reason,
        "created": record.created,
        "seed": record.seed,
        "trials": {str(s): n for s, n in reader.counts().items()},
        "best": top[0].value if top else None,
        "path": str(sweep_dir.path),
        "wandb_sweep_id": record.wandb_sweep_id,
    }


def _trial_data(sweep_dir: "SweepDir", trial: "TrialRecord") -> dict[str, Any]:
    names = ("number", "value", "step", "config", "state", "cause", "error", "reason", "attempt", "n_reports", "host")
    data = {name: getattr(trial, name) for name in names}
    metrics = {name: value if math.isfinite(value) else str(value) for name, value in trial.metrics.items()}
    return data | {"metrics": metrics, "paths": _paths(sweep_dir, trial)}


def _paths(sweep_dir: "SweepDir", trial: "TrialRecord") -> dict[str, str | None]:
    path = sweep_dir.trial(trial.number)
    runs = sorted(path.glob("wandb/*run-*/run-*.wandb"))
    checkpoints = path / "checkpoints"
    return {
        "directory": str(path),
        "log": str(path / "output.log"),
        "tensorboard": str(path),
        "wandb": str(runs[-1].parent) if runs else None,
        "checkpoints": str(checkpoints) if checkpoints.is_dir() else None,
    }


def _value(trial: "TrialRecord", spec: "SweepSpec") -> str:
    if not spec.metrics:
        return number(trial.value)
    signs = [-1.0 if m.goal == "maximize" else 1.0 for m in spec.objectives]
    return " ".join(number(sign * score) for sign, score in zip(signs, trial.scores, strict=True))


def _ago(moment: float) -> str:
    return f"{duration(max(0.0, time.time() - moment))} ago"
