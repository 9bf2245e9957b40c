"""Divergence, patience, and rules together."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.spec.model import Goal, Patience
from orchestrator.stopping.protocol import Curve, Stop
from orchestrator.stopping.wording import show_as
from orchestrator.stopping.wrappers import AnyOf, Diverging, NotFinite, Patient


class EndAll:
    """A rule that ends every running trial."""

    def __init__(self, reason):
        self.reason = reason

    def decide(self, curves, changed):
        return [Stop(trial=n, reason=self.reason) for n, curve in curves.items() if curve.running]


def test_a_diverged_trial_ends_at_its_next_report():
    """A NaN ends the trial that logged it, and the reason names the report and the metric."""
    curves = {3: Curve(scores=[1.0], running=True, diverged_at=1), 4: Curve(scores=[1.0], running=True)}
    [stop] = NotFinite(metric="val_loss").decide(curves, [3, 4])
    assert stop == Stop(trial=3, reason="row 2: val_loss is NaN or infinite, so this trial cannot win")


def test_a_diverged_trial_that_ended_is_left_alone():
    """Only running trials can be ended."""
    assert NotFinite(metric="m").decide({3: Curve(scores=[], running=False, diverged_at=0)}, [3]) == []


def test_a_metric_that_blew_up_ends_its_trial():
    """The reason has the numbers in the user's units; ended trials and healthy ones are left alone."""
    blown_up = [-8.0, -9.0, 300.0, 400.0, 500.0]
    curves = {
        3: Curve(scores=blown_up, running=True),
        4: Curve(scores=blown_up, running=False),
        5: Curve(scores=[-8.0, -9.0, -7.0, -9.5, -9.1], running=True),
    }
    [stop] = Diverging(metric="reward", show=show_as(Goal.MAXIMIZE)).decide(curves, [3, 4, 5])
    assert stop == Stop(trial=3, reason="row 3: reward has diverged, from 8 (best 9) to -500")


def test_patience_spares_trials_that_still_improve():
    """A trial ends only after `after` reports without a gain above `min_delta`."""
    rule = Patient(rule=EndAll("too slow"), patience=Patience(after=2, min_delta=0.1))
    curves = {
        0: Curve(scores=[5.0, 4.0, 3.0], running=True),
        1: Curve(scores=[3.0, 2.95, 2.91], running=True),
        2: Curve(scores=[3.0, 2.0], running=True),
    }
    assert rule.decide(curves, []) == [Stop(trial=1, reason="too slow; no improvement in its last 2 rows")]


@given(scores=st.lists(st.floats(-3, 3), max_size=10), after=st.integers(1, 5))
def test_patience_equals_counting_the_reports_since_the_best(scores, after):
    """Without min_delta, stalled means that the first best report is at least `after` reports ago."""
    stops = Patient(rule=EndAll("r"), patience=Patience(after=after)).decide(
        {0: Curve(scores=scores, running=True)}, []
    )
    since_best = len(scores) - 1 - scores.index(min(scores)) if scores else 0
    assert bool(stops) == (since_best >= after)


def test_the_first_rule_gives_the_reason():
    """A trial that two rules would end is ended once, for the first reason."""
    rule = AnyOf(rules=(EndAll("one"), EndAll("two")))
    assert rule.decide({0: Curve(scores=[], running=True)}, []) == [Stop(trial=0, reason="one")]
