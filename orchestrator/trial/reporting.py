"""What a program may call to report metrics and to find its checkpoints; outside of a trial it runs as it is."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.trial import capture
from orchestrator.trial.scalars import flat_scalars


def report(metrics: Mapping[str, Any] | None = None, /, *, step: int | None = None, **more: Any) -> None:
    """Report metrics: ``report({"loss": 0.3}, step=7)`` or ``report(loss=0.3, step=7)``.

    They become a row of the trial, and appear in its TensorBoard and W&B runs. Outside of a trial they are only checked,
    so that a script also runs by itself.

    Args:
        metrics: Numbers by name; arrays and tensors of one element are numbers, nested mappings are joined with ``.``.
        step: The program's own step; None to count the reports.
        more: More metrics.

    Raises:
        TypeError: A name is not text, or a value is not a number.
    """
    if not isinstance(metrics, Mapping | None):
        raise TypeError(f"report() takes a mapping of metrics such as {{'loss': 0.3}}, not {metrics!r:.100}")
    row = {**(metrics or {}), **more}
    numbers = flat_scalars(row)
    _check(row, "", numbers)
    if isinstance(step, bool) or not (step is None or hasattr(step, "__index__")):
        raise TypeError(f"the step of a report is a whole number, not {step!r:.100}")
    found = capture.current()
    if found is not None:
        found.report(numbers, None if step is None else int(step))


def checkpoint_dir() -> Path:
    """Return the directory for this trial's checkpoints: it exists, and a further attempt of the trial finds it as it was.

    Outside of a trial it is ``./checkpoints``.
    """
    path = Path(os.environ.get("SWEEP_CHECKPOINT_DIR", "checkpoints"))
    path.mkdir(parents=True, exist_ok=True)
    return path


def _check(row: Mapping[Any, Any], prefix: str, numbers: Mapping[str, float]) -> None:
    for key, value in row.items():
        if not isinstance(key, str):
            raise TypeError(f"names of metrics are text, not {key!r:.100}")
        if isinstance(value, Mapping):
            _check(value, f"{prefix}{key}.", numbers)
        elif f"{prefix}{key}" not in numbers:
            raise TypeError(
                f"metric {prefix + key!r} is {value!r:.100}, not a number; log other things with W&B or TensorBoard"
            )
