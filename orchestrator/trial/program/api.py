"""What a program may call to report metrics and to find its checkpoints; outside of a trial it runs as it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.layout import CHECKPOINTS
from orchestrator.trial.capture import process as capture
from orchestrator.trial.contract.bounds import Problem, numbers, shown
from orchestrator.trial.contract.scalars import items_of


def report(metrics: Mapping[str, Any] | None = None, /, *, step: int | None = None, **more: Any) -> None:
    """Report metrics: ``report({"loss": 0.3}, step=7)`` or ``report(loss=0.3, step=7)``.

    They become a row of the trial, and appear in its TensorBoard and W&B runs. Outside of a trial they are only checked,
    so that a script also runs by itself. Inside of one, what is no metric costs a warning in the trial's log, not the trial.

    Args:
        metrics: Numbers by name; arrays and tensors of one element are numbers, nested mappings are joined with ``.``.
        step: The program's own step; None to count the reports.
        more: More metrics.

    Raises:
        TypeError: A name is not text, or a value is not a number; outside of a trial.
    """
    found = capture.current()
    if found is None:
        _refuse(metrics, more, step)
        return
    problems: list[Problem] = []
    row = _numbers(metrics, problems) | _numbers(more, problems)
    for problem in problems[:1]:
        found.warn(problem)
    found.report(row, step)


def checkpoint_dir() -> Path:
    """Return the directory for this trial's checkpoints: it exists, and a further attempt of the trial finds it as it was.

    Outside of a trial it is ``./checkpoints``.
    """
    path = Path(os.environ.get("SWEEP_CHECKPOINT_DIR", CHECKPOINTS))
    path.mkdir(parents=True, exist_ok=True)
    return path


def _refuse(metrics: Any, more: Mapping[str, Any], step: Any) -> None:
    if isinstance(step, bool) or not (step is None or hasattr(step, "__index__")):
        raise TypeError(f"the step of a report is a whole number, not {shown(step)}")
    problems: list[Problem] = []
    _numbers(metrics, problems)
    _numbers(more, problems)
    if problems:
        raise TypeError(problems[0])


def _numbers(metrics: Any, problems: list[Problem]) -> dict[str, float]:
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        problems.append(f"report() takes a mapping of metrics such as {{'loss': 0.3}}, not {shown(metrics)}")
        return {}
    problems += [
        f"names of metrics are text, not {shown(key)}" for key, _ in items_of(metrics) if not isinstance(key, str)
    ][:1]
    return numbers(metrics, problems)
