"""The median rule against its formula, written a second time without any shortcut."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.spec.model import Goal
from orchestrator.stopping.percentile import PercentileRule
from orchestrator.stopping.protocol import Curve
from orchestrator.stopping.wording import show_as


def median_stopped(histories, running, changed, *, min_iter, min_trials):
    """Trials whose best is worse than the median of the other trials' means over as many reports."""
    stopped = set()
    for trial in set(changed) & set(running):
        n = len(histories[trial])
        means = sorted(sum(h[:n]) / n for other, h in histories.items() if other != trial and len(h) >= n > 0)
        if n < min_iter or len(means) < min_trials:
            continue
        middle = len(means) // 2
        median = means[middle] if len(means) % 2 else (means[middle - 1] + means[middle]) / 2
        if min(histories[trial]) > median and not math.isclose(min(histories[trial]), median, abs_tol=1e-9):
            stopped.add(trial)
    return stopped


def rule(percentile=50.0, min_iter=1, min_trials=3, goal=Goal.MINIMIZE):
    return PercentileRule(percentile=percentile, min_iter=min_iter, min_trials=min_trials, show=show_as(goal))


@settings(max_examples=50)
@given(
    histories=st.dictionaries(
        st.integers(0, 30), st.lists(st.integers(-8, 8).map(float), max_size=8), min_size=1, max_size=12
    ),
    data=st.data(),
    min_iter=st.integers(1, 4),
    min_trials=st.integers(1, 4),
)
def test_decisions_equal_the_formula(histories, data, min_iter, min_trials):
    """On hundreds of generated sweeps exactly the trials end that the published rule ends."""
    subset = st.sets(st.sampled_from(sorted(histories)))
    running, changed = data.draw(subset), sorted(data.draw(subset))
    curves = {n: Curve(scores=h, running=n in running) for n, h in histories.items()}
    found = {stop.trial for stop in rule(min_iter=min_iter, min_trials=min_trials).decide(curves, changed)}
    assert found == median_stopped(histories, running, changed, min_iter=min_iter, min_trials=min_trials)


def test_a_lower_percentile_is_harsher():
    """Percentile 25 ends what is outside the best quarter, 75 only what most others beat."""
    curves = {n: Curve(scores=[float(n)], running=True) for n in range(9)}
    counts = [len(rule(percentile=p).decide(curves, sorted(curves))) for p in (25, 50, 75)]
    assert counts == [6, 4, 3]


def test_the_reason_has_the_numbers():
    """The reason names the report, both values in the user's units, and how many were compared."""
    curves = {n: Curve(scores=[-0.8, -0.9], running=False) for n in range(3)} | {
        7: Curve(scores=[-0.1, -0.5], running=True)
    }
    [stop] = rule(goal=Goal.MAXIMIZE).decide(curves, [7])
    assert stop.reason == "row 2: best 0.5 is worse than the median of 3 others, cut 0.85"
