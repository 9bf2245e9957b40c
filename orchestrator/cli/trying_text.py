"""How a tried trial is told about: what a user wants to know before paying for a sweep."""

import math
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

from orchestrator.cli.plan_text import aligned
from orchestrator.cli.trying import Tried
from orchestrator.printable import clean
from orchestrator.reporting.their_commands import tensorboard_command, wandb_sync_command
from orchestrator.reporting.wording import counted, duration, number
from orchestrator.spec.model import SweepSpec
from orchestrator.stopping.rungs import bands
from orchestrator.trial.contract.events import Cause, Report
from orchestrator.trial.runner.endings import no_metric

N_NAMES = 12


def lines(tried: Tried, spec: SweepSpec, cwd: Path) -> list[str]:
    """Return the account of a trial."""
    rows = [
        ("ended", _end(tried)),
        *(("metric", _metric(tried, metric.name, metric.goal.value)) for metric in spec.objectives),
        ("metrics", _names(tried)),
        ("pace", _pace(tried.own_reports)),
        ("early end", _rungs(tried, spec)),
        ("start", _start(tried)),
        *_places(tried, cwd),
    ]
    return aligned([(name, clean(text)) for name, text in rows if text], indent="  ")


def verdict(tried: Sequence[Tried]) -> str:
    """Return the last line: whether a sweep of such trials would work."""
    good = sum(each.ended.cause is Cause.FINISHED for each in tried)
    if good == len(tried):
        return "This works: `sweep run` would run more of it."
    if good:
        return f"{good} of {len(tried)} trials succeeded."
    return "This would fail in a sweep."


def _end(tried: Tried) -> str:
    ended = tried.ended
    how = f"signal {ended.signal}" if ended.signal is not None else f"exit code {ended.exit_code}"
    how = "never started" if ended.exit_code is None and ended.signal is None else how
    why = f": {ended.error}" if ended.error and ended.cause is not Cause.NO_METRIC else ""
    return f"{ended.cause.value.replace('_', ' ')} after {duration(tried.took_s)}, {how}{why}"


def _metric(tried: Tried, name: str, goal: str) -> str:
    values = [report.metrics[name] for report in tried.reports if name in report.metrics]
    if not values:
        is_told = tried.ended.cause is Cause.NO_METRIC and tried.ended.error is not None
        return tried.ended.error if is_told and tried.ended.error else no_metric(name, set(tried.names))
    best = (min if goal == "minimize" else max)([v for v in values if not math.isnan(v)] or values)
    return f"{name} ({goal}): best {number(best)}, last {number(values[-1])}, {counted(len(values), 'row')}"


def _names(tried: Tried) -> str:
    names = [f"{name} ({n})" for name, n in tried.names.items()]
    more = f" and {len(names) - N_NAMES} more" if len(names) > N_NAMES else ""
    return ", ".join(names[:N_NAMES]) + more or "none reported"


def _pace(reports: Sequence[Report]) -> str:
    if len(reports) < 2:
        return ""
    gaps = [later.time - earlier.time for earlier, later in pairwise(reports)]
    text = f"{counted(len(reports), 'row')}, {_seconds(median(gaps))} between two"
    steps = sorted({report.step for report in reports if report.step is not None})
    if len(steps) < 2:
        return text
    per_step = (reports[-1].time - reports[0].time) / (steps[-1] - steps[0])
    return f"{text}; steps {steps[0]} to {steps[-1]}, {_seconds(per_step)} each"


def _seconds(value: float) -> str:
    return f"{value * 1000:.2g} ms" if value < 0.0995 else f"{value:.2g} s"


def _rungs(tried: Tried, spec: SweepSpec) -> str:
    early = spec.early_terminate
    if early is None or not spec.objectives:
        return ""
    first = (early.min_iter or 1) if early.type == "median" else min(bands(early), default=0)
    n = tried.names.get(spec.objectives[0].name, 0)
    if 0 < n < first:
        return f"{early.type} judges for the first time at row {first}; this trial made {n}"
    return ""


def _start(tried: Tried) -> str:
    if tried.started is None:
        return ""
    if tried.started.cold_reason is not None:
        return f"cold: {tried.started.cold_reason}"
    waited = tried.started.time - tried.asked_s
    return f"warm; the libraries took {duration(waited)} to import, once per worker"


def _places(tried: Tried, cwd: Path) -> list[tuple[str, str]]:
    place = tried.launch.dir
    pythons = [tried.launch.python or ""]
    of_wandb = [("W&B", wandb_sync_command(_short(run, cwd), pythons)) for run in place.wandb_run_paths()]
    board = [("TensorBoard", tensorboard_command(_short(place.path, cwd), pythons))] if place.path.is_dir() else []
    return [*board, *of_wandb, ("output", _short(place.log_path, cwd))]


def _short(path: Path, cwd: Path) -> str:
    relative = os.path.relpath(path, cwd)
    return str(path) if relative.startswith("..") else relative
