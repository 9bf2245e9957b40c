"""Limits at which a trial has finished."""

import math

import pytest

from orchestrator.spec.model import Constant, EarlyTerminate, Method, Metric, Options, SweepSpec
from orchestrator.stopping.factory import make_rule
from orchestrator.stopping.limits import reached
from orchestrator.stopping.rungs import Rungs
from orchestrator.trial.contract.events import Report


def rows(*values, at=100.0):
    return [Report(index=i, time=at + i, step=None, metrics={"loss": value}) for i, value in enumerate(values)]


@pytest.mark.parametrize(
    ("limits", "reports", "iteration", "since", "expected"),
    [
        ({"loss": 0.5}, rows(0.1, 0.4), 2, None, None),
        ({"loss": 0.5}, rows(0.1, 0.5), 2, None, "loss is 0.5, and orchestrator.stop or max_t has 0.5"),
        ({"loss": 0.5}, rows(math.nan), 1, None, None),
        ({"acc": 0.5}, rows(0.9), 1, None, None),
        ({"training_iteration": 3}, rows(0.1), 2, None, None),
        (
            {"training_iteration": 3},
            rows(0.1),
            3,
            None,
            "training_iteration is 3, and orchestrator.stop or max_t has 3",
        ),
        ({"time_total_s": 2}, rows(1, 2), 2, None, None),
        ({"time_total_s": 2}, rows(1, 2, 3), 3, None, "time_total_s is 2, and orchestrator.stop or max_t has 2"),
        ({"time_total_s": 60}, rows(1), 9, 40.0, "time_total_s is 60, and orchestrator.stop or max_t has 60"),
    ],
)
def test_a_value_at_its_limit_ends_a_trial(limits, reports, iteration, since, expected):
    """Of a metric, of the count of rows, and of the time since the first of them."""
    assert reached(limits, reports, iteration=iteration, since=since) == expected


def spec(early, **stop):
    return SweepSpec(
        method=Method.RANDOM,
        parameters={"a": Constant(value=1)},
        metric=Metric(name="loss"),
        early_terminate=early,
        options=Options(stop=stop, stop_when=()),
    )


def test_max_t_of_asha_is_a_limit_and_no_rung():
    """Rungs lie below it; the smaller of it and a limit of the author's holds."""
    early = EarlyTerminate(type="asha", min_iter=1, eta=3.0, max_t=9)
    (rule,) = make_rule(spec(early)).rules
    assert isinstance(rule, Rungs)
    assert rule.bands == [1, 3]
    assert spec(early).limits == {"training_iteration": 9}
    assert spec(early, training_iteration=20.0, loss=1.0).limits == {"training_iteration": 9, "loss": 1.0}
    assert spec(early, training_iteration=2.0).limits == {"training_iteration": 2.0}
    assert make_rule(spec(EarlyTerminate(type="asha", min_iter=9, max_t=9))) is None
