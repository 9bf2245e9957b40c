"""What W&B's search takes for the score of a trial that has none, case by case as its engine computes it."""

import pytest

from orchestrator.search.factory import make_search
from orchestrator.search.imputing import Imputing, imputed
from orchestrator.search.protocol import Observation, Outcome, Pending, Shown
from orchestrator.space import SearchSpace
from orchestrator.spec.model import Interval, Kind, Metric

SHOWN = Shown(best=1.0, worst=4.0, latest=3.0)


def ended(number, outcome, scores=(), shown=None):
    return Observation(number=number, config={}, outcome=outcome, scores=scores, order=number, shown=(shown,))


TRIALS = [
    ended(0, Outcome.FINISHED, (0.5,), Shown(best=0.5, worst=7.0, latest=0.5)),
    ended(1, Outcome.FAILED, (), SHOWN),
    ended(2, Outcome.STOPPED, (1.0,), SHOWN),
    ended(3, Outcome.FAILED),
]


@pytest.mark.parametrize(
    ("impute", "expected"),
    [("worst", [0.5, 7.0, 7.0, 7.0]), ("best", [0.5, 1.0, 1.0, 0.0]), ("latest", [0.5, 3.0, 3.0, 0.0])],
)
def test_failed_and_stopped_trials_get_a_score(impute, expected):
    """The worst that any ended trial showed, the trial's own best or latest; 0 for one that showed nothing."""
    known, waiting = imputed(TRIALS, [], [Metric(name="loss", impute=impute)])
    assert ([o.scores[0] for o in known], waiting) == (expected, [])
    assert {o.outcome for o in known} == {Outcome.FINISHED}


def test_running_trials_count_on_request():
    """With their best so far; those that wait for a slot stay in flight."""
    running = Pending(number=4, config={}, running=True, shown=(SHOWN,))
    silent = Pending(number=5, config={}, running=True, shown=(None,))
    waits = Pending(number=6, config={})
    known, waiting = imputed(TRIALS[:2], [running, silent, waits], [Metric(name="loss", impute_while_running="worst")])
    assert [o.scores for o in known] == [(0.5,), (), (1.0,), (7.0,)]
    assert waiting == [waits]


def test_a_spec_that_does_not_ask_is_left_alone(spec_of):
    """Failures then repel and have no score: only a spec that says what to impute gets the other treatment."""
    space = {"x": Interval(kind=Kind.UNIFORM, min=0.0, max=1.0)}
    spec = spec_of("bayes", space)
    assert not isinstance(make_search(spec, SearchSpace.of(space), 1), Imputing)
    asked = spec_of("bayes", space, metrics=(Metric(name="loss", impute="worst"), Metric(name="acc")))
    assert isinstance(make_search(asked, SearchSpace.of(space), 1), Imputing)
