"""When a curve counts as diverged: what blew up for good, and nothing that people train every day."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.stopping.divergence import diverged_since

DIVERGED = {
    "at once": ([2.3, 40.0, 1e4, 1e9], 1),
    "after learning": ([2.3, 1.2, 0.6, 0.4, 30.0, 80.0, 200.0], 4),
    "a return below zero": ([5.0, 1.0, -20.0, 900.0, 900.0, 900.0], 3),
    "between reports of every step": ([2.0 - i / 100 for i in range(100)] + [50.0] * 30, 100),
}


def noisy(seed, n, drift):
    """A loss from 2.3 down to 0.3 with noise, then `drift` upwards per report."""
    rng = np.random.default_rng(seed)
    down = 0.3 + 2 * np.exp(-np.arange(n) / (n / 6))
    return (down + np.maximum(0, np.arange(n) - n // 2) * drift + 0.1 * rng.standard_normal(n)).tolist()


HEALTHY = {
    "a loss that falls": lambda seed: noisy(seed, 60, 0.0),
    "a loss that overfits": lambda seed: noisy(seed, 60, 0.03),
    "a spike while warming up": lambda seed: [2.3, 9.0, 30.0, 4.0, *noisy(seed, 40, 0.0)],
    "a spike of many steps": lambda seed: [*noisy(seed, 200, 0.0), *[40.0] * 25],
    "an accuracy": lambda seed: (-np.random.default_rng(seed).random(30)).tolist(),
    "an accuracy that collapses": lambda _: [-0.1, -0.5, -0.9, -0.9, *[-0.1] * 20],
    "a reward of reinforcement learning": lambda seed: (
        -20 - np.arange(50) - 30 * np.random.default_rng(seed).standard_normal(50)
    ).tolist(),
    "a part of a loss that begins at zero": lambda seed: [0.0, *np.random.default_rng(seed).random(30).tolist()],
    "a constant": lambda _: [0.7] * 20,
}


@pytest.mark.parametrize(("scores", "since"), DIVERGED.values(), ids=DIVERGED.keys())
def test_what_blows_up_has_diverged(scores, since):
    """The position is that of the first value of the ascent that never came back."""
    assert diverged_since(scores) == since


@pytest.mark.parametrize("curve", HEALTHY.values(), ids=HEALTHY.keys())
def test_no_false_alarm(curve):
    """At no report of forty curves of its kind would a healthy trial have been ended."""
    curves = [curve(seed) for seed in range(40)]
    alarms = [
        seed for seed, c in enumerate(curves) if any(diverged_since(c[:n]) is not None for n in range(len(c) + 1))
    ]
    assert alarms == []


@given(scores=st.lists(st.floats(-1e6, 1e6), max_size=40), factor=st.floats(1e-3, 1e3))
def test_the_unit_does_not_matter(scores, factor):
    """A loss in bits diverges when the same loss in nats does (rounding aside)."""
    scaled = [factor * score for score in scores]
    back = [score / factor for score in scaled]
    if all(math.isclose(a, b, rel_tol=0, abs_tol=0) for a, b in zip(scores, back, strict=True)):
        assert (diverged_since(scores) is None) == (diverged_since(scaled) is None)
