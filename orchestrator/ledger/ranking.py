"""Which trials are the best: by one metric, or by several at once."""

from collections.abc import Iterable

from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.search.pareto import front_of

WORTH_NOTHING = frozenset({TrialState.FAILED, TrialState.CANCELED})
"""States in which a trial cannot be the best, whatever it reported before."""


def ranked(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return the trials with a score, the best first; of equals the first."""
    worth = [trial for trial in trials if trial.score is not None and trial.state not in WORTH_NOTHING]
    return sorted(worth, key=lambda trial: (trial.score, trial.number))


def pareto_front(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return the trials that no other trial beats in every metric, in their order; running ones count so far.

    A trial that has not reported all of the metrics cannot be compared and is left out. With one metric the front is
    the best trial and its ties.
    """
    complete = [trial for trial in trials if trial.scores and trial.state not in WORTH_NOTHING]
    return [complete[i] for i in front_of([trial.scores for trial in complete])]
