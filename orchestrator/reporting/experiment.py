"""The sweep as TensorBoard's HParams page knows it: every hyperparameter with its domain, every metric."""

from collections.abc import Iterable

import numpy as np

from orchestrator.layout import SweepDir
from orchestrator.space import SearchSpace
from orchestrator.space.discrete import Choice
from orchestrator.spec import SweepSpec
from orchestrator.trial.capture.gradients import PREFIX
from orchestrator.trial.formats.eventfile import OWN, Domain, flat_hparams, write_experiment
from orchestrator.trial.formats.eventfile import PREFIX as EVENTS

MOST_METRICS = 50
"""Columns of metrics on the HParams page; the objectives come first."""

TAILS = 0.001
"""The share on either side that is outside of the interval shown for a distribution without bounds."""


class Experiment:
    """The experiment summary in a sweep's directory: written when the sweep starts, and anew as metrics become known.

    TensorBoard reads it once per start, so what it shows of a sweep that it was started on later is complete.
    """

    def __init__(self, sweep_dir: SweepDir, spec: SweepSpec) -> None:
        self._sweep_dir = sweep_dir
        self._spec = spec
        self._metrics: tuple[str, ...] | None = None

    def keep_current(self, reported: Iterable[str]) -> None:
        """Write the summary with the metrics that were reported so far, unless it has them already.

        Raises:
            OSError: The sweep's directory cannot be written.
        """
        objectives = [metric.name for metric in self._spec.objectives]
        others = sorted({name for name in reported if not name.startswith(PREFIX)} - set(objectives))
        metrics = (*objectives, *others[:MOST_METRICS])
        if metrics == self._metrics:
            return
        before = list(self._sweep_dir.path.glob(f"{EVENTS}*{OWN}"))
        write_experiment(self._sweep_dir.path, domains(self._spec), metrics)
        for path in before:
            path.unlink(missing_ok=True)
        self._metrics = metrics


def domains(spec: SweepSpec) -> dict[str, Domain]:
    """Return every hyperparameter's domain by flat name: its values, or the interval that almost all of it lies in."""
    space = SearchSpace.of(spec.parameters)
    constants = flat_hparams({".".join(path): value for path, value in space.constants.items()})
    found: dict[str, Domain] = {name: [value] for name, value in constants.items()}
    for axis in space.axes:
        if isinstance(axis, Choice):
            found[axis.name] = list(axis.values)
            continue
        low, high = axis.ppf(np.array([TAILS, 1 - TAILS]))
        found[axis.name] = (float(low), float(high))
    return found
