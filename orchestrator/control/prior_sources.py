"""Trials of earlier sweeps, found on disk: our own sweeps, W&B run directories, tables. And kept with the new sweep."""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orchestrator import confined
from orchestrator.errors import LedgerError, SearchSpaceError, SweepError, UnknownSweepError
from orchestrator.layout import SweepDir, wandb_log
from orchestrator.ledger.paths import find_sweep, is_sweep
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.search.prior import PriorTrial, fitting, from_csv, from_wandb
from orchestrator.space import SearchSpace
from orchestrator.spec import load_recorded
from orchestrator.spec.model import Goal, Metric, SweepSpec
from orchestrator.trial.contract.flat import flat

RUNS = ("*run-*", "wandb/*run-*")
"""Where W&B's run directories lie below a directory of runs."""


def gather(sources: Sequence[str], spec: SweepSpec, runs: Path) -> tuple[list[PriorTrial], list[str]]:
    """Return the trials of all sources that the sweep can learn from, and an account of each source in words.

    Args:
        sources: Each a sweep of ours (its id, the first characters of it, its directory), a W&B run directory or a
            directory of them, a ``.wandb`` log, a CSV file, or another sweep's ``prior.jsonl``.
        spec: The sweep that is to learn from them.
        runs: Where sweeps are looked for by their id.

    Raises:
        SweepError: A source does not exist, cannot be read, or has nothing that can be used.
    """
    space = SearchSpace.of(spec.parameters)
    gathered: list[PriorTrial] = []
    account = []
    for source in sources:
        try:
            trials = _read(source, spec, space, runs)
            if not trials:
                raise SearchSpaceError("it has no trial that has ended")
            used, lines = fitting(trials, spec, space)
        except UnknownSweepError:
            raise
        except SweepError as error:
            raise SearchSpaceError(f"--prior {source}: {error}") from error
        gathered += used
        n_failed = sum(trial.failed for trial in used)
        failures = f", {n_failed} of them failures" if n_failed else ""
        account.append(f"prior {source}: {len(used)} of {len(trials)} trials used{failures}")
        account += [f"  {line}" for line in lines]
    return gathered, account


def keep(trials: Sequence[PriorTrial], path: Path) -> None:
    """Write the trials to a file of the new sweep: it stays the same when their sources change or go away."""
    confined.replace(path, written(trials))


def written(trials: Sequence[PriorTrial]) -> str:
    """Return the trials as `keep` writes them; a file of that is a source, too."""
    return "".join(json.dumps(asdict(trial)) + "\n" for trial in trials)


def kept(path: Path) -> list[PriorTrial]:
    """Return what `keep` wrote; nothing when there is no file.

    Raises:
        LedgerError: What is there was not written by `keep`.
    """
    if not os.path.lexists(path):
        return []
    try:
        text = confined.read_text(path, path.parent)
        return [PriorTrial(**json.loads(line)) for line in text.splitlines()]
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise LedgerError(
            f"{path}: what the search learns from cannot be read: {error}\n"
            "  Remove the file to go on without it; the trials of this sweep stay."
        ) from error


def _read(source: str, spec: SweepSpec, space: SearchSpace, runs: Path) -> list[PriorTrial]:
    path = Path(source)
    if confined.is_file(path) and path.suffix == ".wandb":
        return [_from_log(path, spec)]
    if confined.is_file(path) and path.suffix == ".jsonl":
        return kept(path)
    if confined.is_file(path):
        return _from_table(path, space)
    if path.is_dir() and not is_sweep(path):
        return _from_runs(path, spec)
    return _from_sweep(_sweep(source, runs))


def _sweep(source: str, runs: Path) -> SweepDir:
    try:
        return find_sweep(runs, source)
    except UnknownSweepError as error:
        raise UnknownSweepError(
            f"--prior {source}: there is no such file or directory, and {error}\n"
            "  A prior is a sweep (id or directory), a W&B run directory or a directory of them, or a CSV file."
        ) from error


def _from_table(path: Path, space: SearchSpace) -> list[PriorTrial]:
    try:
        return from_csv(path.read_text(encoding="utf-8-sig"), space)
    except (OSError, UnicodeDecodeError) as error:
        raise SearchSpaceError(f"the file is no table that can be read: {error}") from error


def _from_sweep(sweep_dir: SweepDir) -> list[PriorTrial]:
    with LedgerReader(sweep_dir.ledger_path) as reader:
        record = reader.sweep()
        trials = [trial for trial in reader.trials() if trial.order is not None]
    spec = load_recorded(record.spec_text)
    trials = [trial for trial in trials if trial.state is not TrialState.CANCELED]
    return [_from_trial(trial, spec.objectives) for trial in sorted(trials, key=lambda trial: trial.order or 0)]


def _from_trial(trial: TrialRecord, objectives: Sequence[Metric]) -> PriorTrial:
    """Return a trial with its own objectives as they were ranked (best or last), and the last of any other metric."""
    metrics = dict(trial.metrics)
    for metric, score in zip(objectives, trial.scores, strict=False):
        metrics[metric.name] = metric.goal.sign * score
    failed = trial.state is TrialState.FAILED
    return PriorTrial(config=trial.config, metrics=metrics, failed=failed, name=f"trial {trial.number}")


def _from_runs(path: Path, spec: SweepSpec) -> list[PriorTrial]:
    found = [path, *sorted(run for pattern in RUNS for run in path.glob(pattern) if not run.is_symlink())]
    trials = [trial for run in found if run.is_dir() and (trial := _from_run(run, spec)) is not None]
    if not trials:
        raise SearchSpaceError("the directory is no sweep, no W&B run, and has no W&B runs (*run-*) in it")
    return trials


def _from_run(path: Path, spec: SweepSpec) -> PriorTrial | None:
    """Return a run from its log, which has all values it logged; else from the files of an online run; else None."""
    logs = sorted(path.glob(wandb_log("*")))
    if logs:
        return _from_log(logs[0], spec)
    files = path / "files"
    if not (files / "config.yaml").is_file():
        return None
    import yaml

    try:
        config = yaml.safe_load((files / "config.yaml").read_text(encoding="utf-8"))
        summary = json.loads((files / "wandb-summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SearchSpaceError(f"{path.name}: {error}") from error
    return from_wandb(config, summary, name=path.name)


def _from_log(path: Path, spec: SweepSpec) -> PriorTrial:
    from orchestrator.trial.formats.wandb_log import WandbLog

    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    values: dict[str, list[float]] = {metric.name: [] for metric in spec.objectives}
    failed = False
    for record in WandbLog(path).read():
        match record.WhichOneof("record_type"):
            case "run":
                _merge(config, record.run.config.update)
            case "config":
                _merge(config, record.config.update)
            case "summary":
                _merge(summary, record.summary.update)
            case "history":
                _collect(values, record.history.item)
            case "exit":
                failed = record.exit.exit_code != 0
    config.pop("_wandb", None)
    metrics = {name: value for name, value in flat(summary) if not name.startswith("_")}
    for metric in spec.objectives:
        if values[metric.name] and spec.options.objective == "best":
            metrics[metric.name] = _best(values[metric.name], metric.goal)
    return PriorTrial(config=config, metrics=metrics, failed=failed, name=path.stem)


def _merge(into: dict[str, Any], items: Any) -> None:
    for key, value in _items(items):
        level = into
        for name in key[:-1]:
            inner = level.get(name)
            level[name] = level = inner if isinstance(inner, dict) else {}
        level[key[-1]] = value


def _collect(values: Mapping[str, list[float]], items: Any) -> None:
    for key, value in _items(items):
        for name, number in flat({".".join(key): value}):
            if name in values and isinstance(number, int | float) and not isinstance(number, bool):
                values[name].append(float(number))


def _items(items: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    for item in items:
        yield tuple(item.nested_key) or (item.key,), json.loads(item.value_json)


def _best(values: Sequence[float], goal: Goal) -> float:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return math.nan
    return max(finite) if goal is Goal.MAXIMIZE else min(finite)
