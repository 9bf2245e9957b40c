"""What `--json` of the read commands says of a sweep and of a trial: the same words in each of them."""

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.ledger.records import TrialRecord
    from orchestrator.reporting.facts import Facts

TRIAL_KEYS = ("number", "value", "step", "config", "state", "cause", "error", "reason", "attempt", "n_reports", "host")


def sweep_data(facts: "Facts") -> dict[str, Any]:
    """Return a sweep as JSON can carry it."""
    results, record = facts.results, facts.results.record
    return {
        "id": record.sweep_id,
        "name": record.name,
        "state": facts.state,
        "reason": record.reason,
        "description": results.about,
        "tags": list(results.labels.sweep.tags),
        "created": record.created,
        "seed": record.seed,
        "trials": {str(state): n for state, n in facts.counts.items()},
        "best": results.ranked[0].value if results.ranked else None,
        "path": str(results.sweep_dir.path),
        "wandb_sweep_id": record.wandb_sweep_id,
        "damage": list(results.damage),
    }


def trial_data(facts: "Facts", trial: "TrialRecord") -> dict[str, Any]:
    """Return a trial as JSON can carry it."""
    from orchestrator.reporting.recipe import command, paths

    use = facts.use_of(trial.number)
    metrics = {name: value if math.isfinite(value) else str(value) for name, value in trial.metrics.items()}
    return {
        **{name: getattr(trial, name) for name in TRIAL_KEYS},
        "tags": list(facts.results.labels.of(trial.number).tags),
        "note": facts.results.labels.of(trial.number).note,
        "values": facts.results.values(trial),
        "metrics": metrics,
        "command": command(facts.results, trial),
        "flags": [{"name": flag.issue, "evidence": flag.evidence} for flag in facts.flags.get(trial.number, ())],
        "use": None if use is None else asdict(use),
        "paths": paths(facts.results.sweep_dir, trial),
    }
