"""Which trials are the best, by one metric or by several at once: the one order of trials."""

from collections.abc import Iterable
from typing import TypeAlias

from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.search.pareto import front_of

WORTH_NOTHING = frozenset({TrialState.FAILED, TrialState.CANCELED})
"""States in which a trial cannot be the best, whatever it reported before."""

ENDED = frozenset({TrialState.FINISHED, TrialState.STOPPED, *WORTH_NOTHING})
"""States in which a trial needs no slot any more."""

RANKED = f"scores != '[]' AND state NOT IN ({', '.join(repr(str(state)) for state in sorted(WORTH_NOTHING))})"
"""What `rank` counts, in the ledger's own words."""

Rank: TypeAlias = tuple[tuple[float, ...], int]
"""The scores, the first metric's first, and the number: lower is better."""


def rank(trial: TrialRecord) -> Rank | None:
    """Return where a trial stands; None when it cannot be the best.

    It is compared by the first metric, of equals by the next one, and at last by number. So the best trial is on the front
    of several metrics; one that has not reported all of them cannot be compared.
    """
    return None if not trial.scores or trial.state in WORTH_NOTHING else (trial.scores, trial.number)


def ranked(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return the trials that can be the best, in their order: the best first."""
    places = [(place, trial) for trial in trials if (place := rank(trial)) is not None]
    return [trial for _, trial in sorted(places, key=lambda each: each[0])]


def pareto_front(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return the trials that no other trial beats in every metric, in their order; running ones count so far.

    With one metric the front is the best trial and its ties.
    """
    complete = [trial for trial in trials if rank(trial) is not None]
    return [complete[i] for i in front_of([trial.scores for trial in complete])]
