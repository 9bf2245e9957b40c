"""Hyperband as W&B decides it, here written a second time straight from its formulas, and asha."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.spec.model import EarlyTerminate, Goal
from orchestrator.stopping.protocol import Curve
from orchestrator.stopping.rungs import Rungs, bands
from orchestrator.stopping.wording import show_as

etas = st.sampled_from([1.5, 2, 2.0, 3, 3.0, 4.0, 10])


def hyperband_bands(*, eta, min_iter=None, max_iter=None, s=None):
    if max_iter is not None and s is not None:
        bands, band = [], max_iter
        for _ in range(s):
            band = band / eta
            if band < 1:
                break
            bands.append(int(band))
        return sorted(bands)
    return [int(min_iter * eta**i) for i in range(100)]


def hyperband_stopped(histories, running, *, bands, eta, strict):
    """Numbers of the trials that W&B ends; `histories` are scores (lower is better) by trial."""

    def threshold(band):
        reached = sorted(history[band - 1] for history in histories.values() if len(history) >= band)
        return reached[int(len(reached) * (1 / eta))] if reached else math.inf

    stopped = set()
    for trial in running:
        history = histories[trial]
        passed = [band for band in bands if band <= len(history)]
        if not passed:
            continue
        band = max(passed)
        value = history[band - 1] if strict else min(history)
        if value > threshold(band):
            stopped.add(trial)
    return stopped


def rungs(at_bands, *, eta=3.0, strict=True, at_most=False, goal=Goal.MINIMIZE):
    return Rungs(bands=at_bands, eta=eta, strict=strict, at_most=at_most, show=show_as(goal))


def stopped(rule, histories, running=None):
    running = set(histories) if running is None else running
    curves = {n: Curve(scores=h, running=n in running) for n, h in histories.items()}
    return {stop.trial for stop in rule.decide(curves, [])}


@pytest.mark.parametrize(
    ("early", "expected"),
    [
        ({"max_iter": 27, "s": 2, "eta": 3}, [3, 9]),
        ({"max_iter": 10, "s": 3, "eta": 2}, [1, 2, 5]),
        ({"max_iter": 27, "s": 2, "min_iter": 5, "eta": 3}, [3, 9]),
        ({"max_iter": 2, "s": 2, "eta": 3}, []),
    ],
)
def test_bands_downwards(early, expected):
    """`max_iter` is divided `s` times, never a band itself, and wins over `min_iter`."""
    assert bands(EarlyTerminate(type="hyperband", **early)) == expected


def test_bands_upwards():
    """`min_iter` is multiplied by eta a hundred times."""
    found = bands(EarlyTerminate(type="hyperband", min_iter=3))
    assert found[:4] == [3, 9, 27, 81]
    assert len(found) == 100


def test_a_huge_eta_has_few_bands():
    """Bands that no float can hold are beyond any trial."""
    assert bands(EarlyTerminate(type="asha", min_iter=1, eta=1e200))[:2] == [1, int(1e200)]


def test_the_median_rule_has_no_bands():
    """`min_iter` of the median rule is a grace period, not a rung."""
    assert bands(EarlyTerminate(type="median", min_iter=3)) == []


@given(eta=etas, max_iter=st.integers(1, 300), s=st.integers(1, 6))
def test_bands_equal_the_formula_downwards(eta, max_iter, s):
    """Bands equal the formula for every `max_iter`, `s` and `eta`."""
    early = EarlyTerminate(type="hyperband", max_iter=max_iter, s=s, eta=eta)
    assert bands(early) == hyperband_bands(eta=eta, max_iter=max_iter, s=s)


@given(eta=etas, min_iter=st.integers(1, 50))
def test_bands_equal_the_formula_upwards(eta, min_iter):
    """Bands equal the formula for every `min_iter` and `eta`."""
    early = EarlyTerminate(type="hyperband", min_iter=min_iter, eta=eta)
    assert bands(early) == hyperband_bands(eta=eta, min_iter=min_iter)


@settings(max_examples=50)
@given(
    histories=st.dictionaries(
        st.integers(0, 50), st.lists(st.integers(-6, 6).map(float) | st.floats(-2, 2), max_size=15), max_size=14
    ),
    data=st.data(),
    eta=etas,
    min_iter=st.integers(1, 5),
    strict=st.booleans(),
)
def test_decisions_equal_the_formula(histories, data, eta, min_iter, strict):
    """On hundreds of generated sweeps, ties and all, exactly the trials end that W&B's formulas end."""
    running = data.draw(st.sets(st.sampled_from(sorted(histories)))) if histories else set()
    at_bands = bands(EarlyTerminate(type="hyperband", min_iter=min_iter, eta=eta))
    expected = hyperband_stopped(histories, running, bands=at_bands, eta=eta, strict=strict)
    assert stopped(rungs(at_bands, eta=eta, strict=strict), histories, running) == expected


def test_the_first_trial_at_a_band_goes_on():
    """A trial without rivals has nobody to lose to."""
    assert stopped(rungs([1]), {0: [9.0]}) == set()


def test_of_two_the_worse_ends():
    """Two trials at a band with eta 3: floor(2/3)+1 = 1 survives."""
    assert stopped(rungs([1]), {0: [1.0], 1: [2.0]}) == {1}


def test_ties_survive():
    """Only values strictly worse than the threshold end a trial."""
    assert stopped(rungs([1]), {0: [1.0], 1: [1.0], 2: [1.0]}) == set()


def test_late_improvement_saves_only_where_not_strict():
    """`strict` judges the value at the band, otherwise the best so far counts."""
    histories = {0: [1.0, 1.0], 1: [5.0, 0.5]}
    assert stopped(rungs([1]), histories) == {1}
    assert stopped(rungs([1], strict=False), histories) == set()


def test_a_trial_ends_long_after_its_band():
    """Better trials that reach the band later push a former survivor out, although it reported nothing."""
    rule = rungs([2])
    old = {0: [3.0, 3.0, 3.0]}
    assert stopped(rule, old) == set()
    assert stopped(rule, {**old, 1: [1.0, 1.0], 2: [2.0, 2.0]}, running={0}) == {0}


@settings(max_examples=50)
@given(values=st.lists(st.floats(-5, 5), min_size=1, max_size=40, unique=True), eta=etas)
def test_asha_keeps_the_top_share(values, eta):
    """Asha keeps floor(n/eta) of n trials with different values at a rung, and always the best."""
    histories = {n: [value] for n, value in enumerate(values)}
    kept = set(histories) - stopped(rungs([1], eta=eta, at_most=True), histories)
    assert len(kept) == max(int(len(values) / eta), 1)
    assert values.index(min(values)) in kept


def test_the_reason_has_the_numbers():
    """A maximised metric is worded in the user's units and direction."""
    histories = {n: [0.0, -0.9 + 0.02 * n] for n in range(13)} | {99: [0.0, -0.61]}
    curves = {n: Curve(scores=h, running=n == 99) for n, h in histories.items()}
    [stop] = rungs([2], goal=Goal.MAXIMIZE).decide(curves, [])
    assert stop.reason == "rung 2: 0.61 is not in the top third of 14, cut 0.82"
