"""Which trials are shown as the best."""

from orchestrator.ledger.ranking import pareto_front
from orchestrator.ledger.records import TrialRecord, TrialState


def trial(number, *scores, state=TrialState.FINISHED):
    return TrialRecord(number=number, config={}, state=state, attempt=0, scores=scores)


def test_the_front_leaves_out_what_failed_or_is_incomplete():
    """A failed trial is no candidate and beats nobody; a stopped or running one counts with what it showed."""
    trials = [
        trial(0, 0.0, 0.0, state=TrialState.FAILED),
        trial(1, 1.0, 4.0),
        trial(2, 2.0, 5.0),
        trial(3, 3.0, 1.0, state=TrialState.STOPPED),
        trial(4, 2.0, 2.0, state=TrialState.RUNNING),
        trial(5),
    ]
    assert [t.number for t in pareto_front(trials)] == [1, 3, 4]


def test_with_one_metric_the_front_is_the_best_and_its_ties():
    """So that one function serves every sweep."""
    assert [t.number for t in pareto_front([trial(0, 2.0), trial(1, 1.0), trial(2, 1.0)])] == [1, 2]
