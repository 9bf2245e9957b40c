"""What every stopping rule promises, and what make_rule makes of a spec."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import SweepError
from orchestrator.spec.model import Constant, EarlyTerminate, Goal, Method, Metric, Options, Patience, SweepSpec
from orchestrator.stopping.factory import make_rule
from orchestrator.stopping.protocol import Curve

RULES = {
    "hyperband": EarlyTerminate(type="hyperband", min_iter=2, eta=2.0),
    "hyperband downwards": EarlyTerminate(type="hyperband", max_iter=9, s=2, eta=3.0),
    "hyperband lenient": EarlyTerminate(type="hyperband", min_iter=1, strict=False),
    "asha": EarlyTerminate(type="asha", min_iter=1, eta=3.0),
    "median": EarlyTerminate(type="median"),
    "percentile": EarlyTerminate(type="median", percentile=25.0, min_iter=2, min_trials=1),
    "patient": EarlyTerminate(type="asha", min_iter=1, eta=2.0, no_improvement=Patience(after=2, min_delta=0.1)),
    "diverged only": None,
}

curves = st.dictionaries(
    st.integers(0, 40),
    st.builds(
        lambda scores, running, diverged_at: Curve(scores=scores, running=running, diverged_at=diverged_at),
        st.lists(st.floats(-5, 5), max_size=12),
        st.booleans(),
        st.none() | st.integers(0, 12),
    ),
    max_size=12,
)


def spec(early=None, *, goal=Goal.MINIMIZE, stop_when=("nan",)):
    return SweepSpec(
        method=Method.RANDOM,
        parameters={"a": Constant(value=1)},
        metric=Metric(name="loss", goal=goal),
        early_terminate=early,
        options=Options(stop_when=stop_when),
    )


@pytest.fixture(scope="module", params=RULES.values(), ids=RULES.keys())
def early(request):
    return request.param


@settings(max_examples=25)
@given(curves=curves, data=st.data())
def test_only_running_trials_are_ended_once_and_with_a_reason(early, curves, data):
    """No rule ends a trial that has ended, none twice, and every stop says why in one line."""
    changed = data.draw(st.lists(st.sampled_from(sorted(curves)), unique=True)) if curves else []
    stops = make_rule(spec(early)).decide(curves, changed)
    assert len({stop.trial for stop in stops}) == len(stops)
    assert all(curves[stop.trial].running for stop in stops)
    assert all(stop.reason and "\n" not in stop.reason for stop in stops)


@settings(max_examples=20)
@given(history=st.lists(curves, min_size=1, max_size=4))
def test_what_a_rule_saw_before_does_not_matter(early, history):
    """A rule that watched the sweep decides as a fresh one does after `resume`, even when curves start over."""
    old, new = make_rule(spec(early)), make_rule(spec(early))
    for curves in history[:-1]:
        old.decide(curves, sorted(curves))
    assert old.decide(history[-1], sorted(history[-1])) == new.decide(history[-1], sorted(history[-1]))


@settings(max_examples=20)
@given(curves=curves)
def test_the_goal_changes_words_only(early, curves):
    """Scores are turned where metrics enter, so the goal decides nothing here."""
    low, high = (make_rule(spec(early, goal=goal)).decide(curves, sorted(curves)) for goal in Goal)
    assert [stop.trial for stop in low] == [stop.trial for stop in high]


def test_the_best_trial_always_survives(early):
    """A trial that leads at every report is never ended by any rule."""
    curves = {n: Curve(scores=[n + 1 / (i + 1) for i in range(30)], running=True) for n in range(20)}
    stopped = {stop.trial for stop in make_rule(spec(early)).decide(curves, sorted(curves))}
    assert 0 not in stopped


def test_a_decision_is_cheap_in_a_large_sweep(early):
    """With 2,000 trials of 100 reports a decision stays far below the time between two reports."""
    curves = {
        n: Curve(scores=[((n * 7919 + i * 31) % 997) / 997 for i in range(100)], running=n % 40 == 0)
        for n in range(2000)
    }
    rule = make_rule(spec(early))
    rule.decide(curves, [0])
    start = time.process_time()
    for _ in range(5):
        rule.decide(curves, [0])
    assert (time.process_time() - start) / 5 < 0.05


def test_no_metric_no_rule():
    """Without a metric there is nothing to judge by."""
    bare = SweepSpec(method=Method.GRID, parameters={"a": Constant(value=1)})
    assert make_rule(bare) is None


@pytest.mark.parametrize(("condition", "ended"), [("nan", [0]), ("diverging", [1])])
def test_each_condition_of_stop_when_ends_what_it_says(condition, ended):
    """`nan` is about what cannot win, `diverging` about what will not."""
    curves = {
        0: Curve(scores=[1.0], running=True, diverged_at=1),
        1: Curve(scores=[1.0, 50.0, 60.0, 70.0], running=True),
        2: Curve(scores=[1.0, 0.9, 0.8, 0.7], running=True),
    }
    assert [s.trial for s in make_rule(spec(stop_when=(condition,))).decide(curves, [0, 1, 2])] == ended


def test_nothing_asked_for_no_rule():
    """`stop_when: []` without early_terminate leaves every trial alone."""
    assert make_rule(spec(stop_when=())) is None


def test_rungs_below_the_first_report_are_refused():
    """W&B raises for bands that are empty; here the message says which numbers to change."""
    early = EarlyTerminate(type="hyperband", max_iter=2, s=3, eta=3.0)
    with pytest.raises(SweepError, match=r"max_iter 2 divided by eta 3 leaves no whole report.*Raise max_iter"):
        make_rule(spec(early))
