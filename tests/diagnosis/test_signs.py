import math

import pytest

from orchestrator.diagnosis.examine import examine
from orchestrator.diagnosis.model import Case, Issue, Series
from orchestrator.trial.capture.gradients import NORM, SPREAD


def gradients(norms=(), spreads=()):
    return Case(
        series={
            name: Series(name=name, values=v, reports=list(range(1, len(v) + 1)))
            for name, v in {NORM: norms, SPREAD: spreads}.items()
            if v
        }
    )


def issues(case):
    return [flag.issue for flag in examine(case)]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (gradients([1.0, 0.5, 0.1, 1e-4], [0.5, 0.2, 0.1, 0.1]), []),
        (gradients([1.0, 1.0], [1e-6, 1e-7]), [Issue.VANISHING]),
        (gradients([1.0], [1e-6]), []),
        (gradients([1.0], [1e-9]), [Issue.VANISHING]),
        (gradients([1.0, 0.0, 0.0, 0.0]), [Issue.VANISHING]),
        (gradients([1.0, 2.0, 900.0, 1e4, 1e5]), [Issue.EXPLODING]),
        (gradients([1.0, 2.0, 900.0, 1.0, 2.0]), []),
        (gradients([1.0, math.inf]), [Issue.EXPLODING]),
        (gradients([math.nan]), [Issue.EXPLODING]),
        (gradients([0.0, math.nan, 0.0]), []),
        (gradients([1.0, math.nan, 1.0], [1e-7, 1e-7]), []),
        (gradients([1.0, 1.0, 1.0], [1e-7, math.nan]), []),
    ],
)
def test_gradients_tell_by_their_spread_and_their_growth(case, expected):
    """A converged network's small gradients, one spike and one lone sample are no issue."""
    assert issues(case) == expected


def test_a_running_trial_that_fell_silent_is_told_with_its_usual_interval(a_case):
    """Ten usual intervals, and at least a minute."""
    values = [1.0, 0.9, 0.8, 0.7]
    assert issues(a_case({"now": 140.0}, valid__loss=values)) == []
    (flag,) = examine(a_case({"now": 203.0}, valid__loss=values))
    assert flag.evidence == "no row for 100 s; before, one every 1 s"


def test_a_trial_whose_time_was_over_says_whether_it_hung(a_case):
    """One that reported to its end was slow, not silent."""
    values = [1.0, 0.9, 0.8, 0.7]
    assert issues(a_case({"now": 125.0, "cause": "timed_out"}, valid__loss=values)) == [Issue.SILENT]
    assert issues(a_case({"now": 104.0, "cause": "timed_out"}, valid__loss=values)) == []
    (flag,) = examine(a_case({"now": 109.0, "cause": "timed_out"}))
    assert flag.evidence == "it reported nothing in 10 s"


def test_a_crash_is_told_with_its_error(a_case):
    """The first flag of all."""
    (flag,) = examine(a_case({"cause": "failed", "error": "ValueError: bad lr"}, valid__loss=[1.0]))
    assert (flag.issue, flag.evidence) == (Issue.CRASHED, "ValueError: bad lr")
