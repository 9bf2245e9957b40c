"""What stands at the top of a sweep's page: its state, its numbers, how long it will take, what its controller says."""

import time
from collections.abc import Sequence
from typing import Any

from orchestrator.ledger.records import SweepState
from orchestrator.printable import clean
from orchestrator.reporting.labels import SweepLabels
from orchestrator.spec.model import SweepSpec
from orchestrator.watch.follower import Follower
from orchestrator.watch.progress import Progress


def headline(
    follower: Follower,
    progress: Progress,
    *,
    who: str | None,
    labels: SweepLabels,
    notes: Sequence[str],
    damage: Sequence[str],
) -> dict[str, Any]:
    """Return it as the page's scripts take it; times in seconds."""
    record, spec = follower.record, follower.spec
    state = record.standing(who)
    tags = " ".join(f"#{tag}" for tag in labels.sweep.tags)
    lives = who is not None and state not in {SweepState.FINISHED, SweepState.FAILED, SweepState.INTERRUPTED}
    return {
        "id": record.sweep_id,
        "name": clean(record.name),
        "state": str(state),
        "reason": clean(record.reason or ""),
        "what": what(spec),
        "about": clean(": ".join(part for part in (tags, labels.sweep.note or spec.description) if part)),
        "words": clean(labels.sweep.words),
        "created": record.created,
        "now": time.time(),
        "lives": lives,
        "counts": {str(state): n for state, n in follower.counts.items() if n},
        "total": progress.total,
        "slots": progress.slots if lives else None,
        "elapsed_s": progress.elapsed_s if lives else record.active_s,
        "eta_s": progress.eta_s if lives else None,
        "eta_range_s": progress.eta_range_s if lives else None,
        "problem": clean(progress.problem or "") if lives else "",
        "running": [
            {"trial": each.number, "elapsed_s": each.elapsed_s, "ending": clean(each.ending or "")}
            for each in (progress.running if lives else ())
        ],
        "notes": [clean(text) for text in notes],
        "damage": [clean(text) for text in damage],
        "limits": limits(spec),
    }


def what(spec: SweepSpec) -> str:
    """Return what a sweep does, in a few words."""
    metric = ", ".join(f"{clean(each.name)} ({each.goal})" for each in spec.objectives)
    return f"{spec.method.value} search" + (f" for {metric}" if metric else "")


def limits(spec: SweepSpec) -> dict[str, float | None]:
    """Return the limits that may change while a sweep runs, by the names that `sweep set` has for them."""
    return {
        "run_cap": spec.run_cap,
        "concurrency": spec.options.concurrency,
        "timeout": spec.options.timeout_trial_s,
        "timeout.sweep": spec.options.timeout_sweep_s,
    }
