"""Models that depend on nothing but the observations in their order, whatever was asked before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.search.gaussian import Believer
from orchestrator.search.kernel import fit
from orchestrator.search.regression import N_FIT, N_KNOWN, Regression, n_fitted
from orchestrator.search.threads import one_thread

NUMBERS = np.array([False, False])


def observations(n, noise=0.0):
    rng = np.random.default_rng(1)
    x = rng.random((n, 2))
    return x, (x[:, 0] - 0.3) ** 2 + x[:, 1] ** 2 + noise * rng.standard_normal(n)


@given(n=st.integers(2, 5000))
def test_kernels_follow_the_observations_in_steps(n):
    """Never more observations than there are, never fewer than before, all of the first ones and most of the others."""
    assert 0.93 * n < n_fitted(n) <= n
    assert n_fitted(n) >= n_fitted(n - 1)
    assert n_fitted(n) == n or n >= 32


@pytest.mark.parametrize("n", [37, N_FIT + 3, N_KNOWN + 7])
def test_what_was_asked_before_does_not_matter(n):
    """A regression that has followed a sweep says what a fresh one says after `resume`."""
    x, scores = observations(n)
    old, new = Regression(NUMBERS, 5), Regression(NUMBERS, 5)
    for known in (n - 30, n - 1):
        old.model(x[:known], scores[:known])
    points = np.random.default_rng(2).random((9, 2))
    means = [regression.model(x, scores).posterior(points)[0] for regression in (old, new)]
    assert np.array_equal(*means)


@pytest.mark.parametrize(("noise", "low", "high"), [(0.0, 0.0, 1e-3), (0.3, 0.05, 1.0)])
def test_noise_is_found_where_there_is_some(noise, low, high):
    """Exact scores are taken as exact, scattered ones as scattered."""
    x, scores = observations(60, noise)
    assert low <= Regression(NUMBERS, 5).model(x, scores).kernel.noise <= high


def test_an_exact_function_of_many_features_is_not_taken_for_noise():
    """A long first step of the fit, to where all is noise, is not its last."""
    rng = np.random.default_rng([150, 12, 2])
    x = rng.random((150, 12))
    y = np.sin(5 * x[:, 0]) + 2 * (x[:, 1] - 0.3) ** 2 + 0.5 * x[:, 2] * x[:, 0]
    assert fit(x, (y - y.mean()) / y.std(), np.zeros(12, dtype=bool)).noise < 1e-3


def test_linear_algebra_keeps_to_one_thread():
    """Numpy's library and scipy's use one thread inside, and as many as before afterwards."""
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def used():
        found = threadpoolctl.threadpool_info()
        return [library["num_threads"] for library in found if library["internal_api"] == "openblas"]

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        with one_thread():
            inside = used()
        assert used() == [2] * len(inside)
    assert inside == [1] * len(inside) != []


def test_what_a_believer_believes_is_what_a_model_would_be_told():
    """Three points one after the other: means and variances are those of a model that knows them with its own means."""
    x, scores = observations(20, 0.1)
    points = np.random.default_rng(3).random((12, 2))
    believer = Believer(Regression(NUMBERS, 5).model(x, scores), points)
    told = Regression(NUMBERS, 5).model(x, scores).believing(points[[4, 0, 7]])
    for i in (4, 0, 7):
        believer.believe(i)
    means, variances = told.posterior(points)
    assert believer.means == pytest.approx(means, abs=1e-8)
    assert believer.variances == pytest.approx(variances, abs=1e-8)
