"""Which trials are the best, by one metric or by several at once: the one order of trials."""

from collections.abc import Iterable

from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.search.pareto import front_of

WORTH_NOTHING = frozenset({TrialState.FAILED, TrialState.CANCELED})
"""States in which a trial cannot be the best, whatever it reported before."""

ENDED = frozenset({TrialState.FINISHED, TrialState.STOPPED, *WORTH_NOTHING})
"""States in which a trial needs no slot any more."""

RANKED = f"score IS NOT NULL AND state NOT IN ({', '.join(repr(str(state)) for state in sorted(WORTH_NOTHING))})"
"""What `rank` counts, in the ledger's own words; and the order that it makes."""

ORDER = "score, number"


def rank(trial: TrialRecord) -> tuple[float, int] | None:
    """Return where a trial stands: lower is better, of equal scores the lower number; None when it cannot be the best."""
    if trial.score is None or trial.state in WORTH_NOTHING:
        return None
    return trial.score, trial.number


def ranked(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return the trials with a score, the best first; of equals the first."""
    places = [(place, trial) for trial in trials if (place := rank(trial)) is not None]
    return [trial for _, trial in sorted(places, key=lambda each: each[0])]


def pareto_front(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return the trials that no other trial beats in every metric, in their order; running ones count so far.

    A trial that has not reported all of the metrics cannot be compared and is left out. With one metric the front is
    the best trial and its ties.
    """
    complete = [trial for trial in trials if trial.scores and trial.state not in WORTH_NOTHING]
    return [complete[i] for i in front_of([trial.scores for trial in complete])]
