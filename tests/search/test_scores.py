"""Warped scores."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.search.scores import warp

finite_floats = st.floats(allow_nan=False, allow_infinity=False)


@example(scores=[0.0, 5e-324, 1e150])
@given(scores=st.lists(finite_floats, min_size=1, max_size=30))
def test_warping_keeps_the_order_and_bounds_the_scale(scores):
    """For any finite scores: finite, never out of order, mean 0 and variance 1 or all 0."""
    warped = warp(np.array(scores))
    assert np.all(np.isfinite(warped))
    order = np.argsort(scores, kind="stable")
    assert np.all(np.diff(warped[order]) >= -1e-9)
    assert abs(warped.mean()) < 1e-6
    assert np.isclose(warped.std(), 1) or np.allclose(warped, 0)


def test_one_disaster_does_not_hide_the_differences():
    """A loss of 1e9 leaves the good trials apart from each other."""
    warped = warp(np.array([0.1, 0.2, 0.3, 0.4, 1e9]))
    assert warped[1] - warped[0] > 0.05
