"""A sweep as a study in Optuna's storage: for optuna-dashboard, and for Optuna's own plots."""

import datetime as dt
import json
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import SweepError
from orchestrator.extras import need
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.printable import clean
from orchestrator.reporting.facts import Facts
from orchestrator.search.quiet import quiet
from orchestrator.space.axis import Axis
from orchestrator.space.discrete import Choice
from orchestrator.space.nesting import MISSING, value_at

if TYPE_CHECKING:
    import optuna


def write_study(facts: Facts, path: Path) -> str:
    """Write a sweep into a SQLite storage of Optuna's and return the study's name.

    Finished trials are complete, trials that a rule ended are pruned, with every report as an intermediate value.

    Raises:
        SweepError: The storage has the study already, the sweep has no metric, or Optuna is not installed.
    """
    need("optuna", "a study")
    import optuna

    results = facts.results
    objectives = results.spec.objectives
    if not objectives:
        raise SweepError(
            f"sweep {results.record.sweep_id}: without a metric in the spec there is nothing Optuna could show"
        )
    name = f"{clean(results.record.name)}-{results.record.sweep_id}"
    with quiet():
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
        try:
            study = optuna.create_study(
                storage=storage, study_name=name, directions=[str(metric.goal) for metric in objectives]
            )
        except optuna.exceptions.DuplicatedStudyError:
            raise SweepError(
                f"{path} has a study {name} already\n  Delete the file, or name another one with -o."
            ) from None
        study.set_user_attr("sweep", results.record.sweep_id)
        study.set_user_attr("directory", str(results.sweep_dir.path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([metric.name for metric in objectives])
        distributions = [_distribution(axis, results.trials) for axis in facts.space.axes]
        study.add_trials([_trial(trial, facts, distributions) for trial in results.trials])
        storage.remove_session()
        storage.engine.dispose()
    return name


def _trial(
    trial: TrialRecord, facts: Facts, distributions: "Sequence[optuna.distributions.BaseDistribution]"
) -> "optuna.trial.FrozenTrial":
    from optuna.trial import create_trial

    axes = [(axis, d) for axis, d in zip(facts.space.axes, distributions, strict=True)]
    found = [(axis, d, value_at(trial.config, axis.path)) for axis, d in axes]
    present = [(axis, d, value) for axis, d, value in found if value is not MISSING]
    values = [v for v in facts.results.values(trial).values() if v is not None and math.isfinite(v)]
    complete = len(values) == len(facts.results.spec.objectives)
    several = len(facts.results.spec.objectives) > 1
    points = () if several else facts.curves.get(trial.number, ())
    made = create_trial(
        state=_state(trial, complete=complete),
        values=values if complete and trial.state in {TrialState.FINISHED, TrialState.STOPPED} else None,
        params={axis.name: _param(axis, value) for axis, _, value in present},
        distributions={axis.name: d for axis, d, _ in present},
        intermediate_values={position: value for position, _, value in points},
        user_attrs={
            "trial": trial.number,
            "state": str(trial.state),
            "directory": str(facts.results.sweep_dir.trial(trial.number)),
            **{key: str(text) for key in ("cause", "error", "reason") if (text := getattr(trial, key))},
        },
    )
    made.datetime_start = _moment(trial.started or trial.created)
    made.datetime_complete = _moment(trial.ended or trial.created) if made.state.is_finished() else None
    return made


def _state(trial: TrialRecord, *, complete: bool) -> "optuna.trial.TrialState":
    from optuna.trial import TrialState as State

    match trial.state:
        case TrialState.FINISHED if complete:
            return State.COMPLETE
        case TrialState.STOPPED:
            return State.PRUNED
        case TrialState.RUNNING:
            return State.RUNNING
        case TrialState.PENDING:
            return State.WAITING
    return State.FAIL


def _distribution(axis: Axis, trials: Sequence[TrialRecord]) -> "optuna.distributions.BaseDistribution":
    """The axis's range, or what was tried of it where it has no ends."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    tried = [value for trial in trials if (value := value_at(trial.config, axis.path)) is not MISSING]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in tried)
    if isinstance(axis, Choice) or not numeric:
        listed = axis.values if isinstance(axis, Choice) else ()
        return CategoricalDistribution(list(dict.fromkeys(_param(axis, value) for value in (*listed, *tried))))
    ends = [end for end in (axis.low, axis.high) if end is not None and math.isfinite(end)]
    low, high = min([*tried, *ends], default=0), max([*tried, *ends], default=1)
    is_log = axis.is_log and low > 0
    if axis.is_integer and all(isinstance(value, int) for value in tried):
        return IntDistribution(int(low), int(high), log=is_log and low >= 1)
    return FloatDistribution(float(low), float(high), log=is_log)


def _param(axis: Axis, value: Any) -> Any:
    """What Optuna can hold of a value: lists and mappings become text."""
    if isinstance(axis, Choice) and not (value is None or isinstance(value, bool | int | float | str)):
        return json.dumps(value, default=str)
    return value


def _moment(seconds: float) -> dt.datetime:
    """Local time without a zone, as Optuna writes it."""
    return dt.datetime.fromtimestamp(seconds)  # noqa: DTZ006 - Optuna's own convention
