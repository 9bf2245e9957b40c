"""The sweep as TensorBoard's HParams page knows it: every hyperparameter with its domain, every metric."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from orchestrator.confined import check_directory
from orchestrator.layout import SweepDir
from orchestrator.ledger.ranking import ENDED, ranked
from orchestrator.ledger.records import TrialRecord
from orchestrator.reporting.results import values_of
from orchestrator.space import SearchSpace
from orchestrator.space.discrete import Choice
from orchestrator.spec import SweepSpec
from orchestrator.trial.contract.watched import PREFIX
from orchestrator.trial.formats.eventfile import OWN, STANDING, Domain, flat_hparams, tell_values, write_experiment
from orchestrator.trial.formats.eventfile import PREFIX as EVENTS

MOST_METRICS = 50
"""Columns of metrics on the HParams page; the objectives come first."""

TAILS = 0.001
"""The share on either side that is outside of the interval shown for a distribution without bounds."""


class Experiment:
    """The experiment summary in a sweep's directory: written when the sweep starts, and anew as metrics become known.

    TensorBoard reads it once per start, so what it shows of a sweep that it was started on later is complete. Of every trial
    that has ended and may be the best it also gets the values that stand for it, as the ledger has them: of a metric's own
    curve it takes the last one.
    """

    def __init__(self, sweep_dir: SweepDir, spec: SweepSpec) -> None:
        self._sweep_dir = sweep_dir
        self._spec = spec
        self._metrics: dict[str, str] | None = None
        self._told: dict[int, Mapping[str, float]] = {}

    def keep_current(self, trials: Sequence[TrialRecord]) -> None:
        """Write the summary with the metrics that were reported so far, and the values of trials, unless it has them already.

        Raises:
            OSError: The sweep's directory cannot be written.
        """
        self._describe({name for trial in trials for name in trial.metrics})
        for trial in ranked(trials):
            values = values_of(trial, self._spec)
            if trial.state in ENDED and values != self._told.get(trial.number) and self._has_place_for(trial):
                tell_values(self._sweep_dir.trial(trial.number).path, values, trial.step or trial.n_reports)
                self._told[trial.number] = values

    def _has_place_for(self, trial: TrialRecord) -> bool:
        try:
            check_directory(self._sweep_dir.trial(trial.number).path, self._sweep_dir.path)
        except OSError:  # it is gone, or leads elsewhere
            return False
        return True

    def _describe(self, reported: Collection[str]) -> None:
        objectives = [metric.name for metric in self._spec.objectives]
        others = sorted({name for name in reported if not name.startswith(PREFIX)} - set(objectives))
        standing = {STANDING + name: f"{name} ({self._spec.options.objective})" for name in objectives}
        metrics = standing | {name: name for name in (*objectives, *others[:MOST_METRICS])}
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
