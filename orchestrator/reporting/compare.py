"""Sweeps or trials side by side: one line per thing in which they differ."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.reporting.facts import Facts
from orchestrator.reporting.results import finite
from orchestrator.reporting.usage import usage_of
from orchestrator.spec.dump import to_dict
from orchestrator.trial.contract.flat import flat

OWN = ("name", "description")
"""Keys of a spec in which sweeps may differ without being different."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One line: `values` has one entry per thing compared, None where it has none."""

    group: str
    name: str
    values: tuple[Any, ...]


def compare_sweeps(sweeps: Sequence[Facts]) -> list[Difference]:
    """Return results of all sweeps, then the keys of their specs and the parameters of their best trials that differ."""
    specs = [_spec(facts) for facts in sweeps]
    bests = [facts.results.tuned(facts.results.ranked[0]) if facts.results.ranked else {} for facts in sweeps]
    rows = [_outcome(facts) for facts in sweeps]
    same = len({json.dumps([[m.name, m.goal] for m in f.results.spec.objectives]) for f in sweeps}) == 1
    always = ("best", "median") if same else ()
    return [*_lines("result", rows, always), *_lines("spec", specs), *_lines("best config", bests)]


def compare_trials(trials: Sequence[tuple[Facts, TrialRecord]]) -> list[Difference]:
    """Return what differs between trials: how they went, their parameters, and the last values of their metrics."""
    rows = [_trial(facts, trial) for facts, trial in trials]
    configs = [dict(flat(trial.config)) for _, trial in trials]
    metrics = [{name: finite(value) for name, value in trial.metrics.items()} for _, trial in trials]
    return [*_lines("result", rows, ("value",)), *_lines("parameter", configs), *_lines("last value", metrics)]


def _outcome(facts: Facts) -> dict[str, Any]:
    results, usage = facts.results, usage_of(facts)
    values = [value for trial in results.ranked if (value := trial.value) is not None]
    best = results.ranked[0] if results.ranked else None
    return {
        "metric": ", ".join(f"{metric.name} ({metric.goal})" for metric in results.spec.objectives) or None,
        "best": best.value if best else None,
        "best trial": best.number if best else None,
        "median": statistics.median(values) if values else None,
        "state": facts.state,
        "trials": len(results.trials),
        "finished": facts.counts.get(TrialState.FINISHED, 0),
        "stopped early": facts.counts.get(TrialState.STOPPED, 0),
        "failed": facts.counts.get(TrialState.FAILED, 0),
        "trial hours": round(usage.trial_s / 3600, 3),
        "GPU hours": None if usage.gpu_s is None else round(usage.gpu_s / 3600, 3),
        "commit": (facts.environment.get("git") or {}).get("sha"),
    }


def _trial(facts: Facts, trial: TrialRecord) -> dict[str, Any]:
    values = facts.results.values(trial)
    first, *others = values.items() if values else [("value", trial.value)]
    return {
        "value": first[1],
        **dict(others),
        "row": trial.step,
        "step": trial.own_step,
        "rows": trial.n_reports,
        "state": str(trial.state),
        "cause": str(trial.cause) if trial.cause else None,
        "error": trial.error,
        "seconds": round(trial.ended - trial.started, 1) if trial.ended and trial.started else None,
        "host": trial.host,
        "GPUs": " ".join(trial.gpu_ids) or None,
    }


def _spec(facts: Facts) -> dict[str, Any]:
    return {name: value for name, value in flat(to_dict(facts.results.spec)) if name not in OWN}


def _lines(group: str, items: Sequence[Mapping[str, Any]], always: Sequence[str] = ()) -> list[Difference]:
    names = dict.fromkeys(name for item in items for name in item)
    found = []
    for name in names:
        values = tuple(item.get(name) for item in items)
        if name in always or len({json.dumps(value, sort_keys=True, default=str) for value in values}) > 1:
            found.append(Difference(group=group, name=name, values=values))
    return found
