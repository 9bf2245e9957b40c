"""Stress: the ends of the unit interval and of the float range."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from orchestrator.space.continuous import BetaOnUnit, LogNormal, LogUniform, Normal, Uniform

ENDS = np.array([0.0, 5e-324, 2.0**-53, 0.5, 1 - 2.0**-53, 1.0])
bounds = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=1e-300, max_value=1e300)


def assert_sound(distribution, *, finite=True):
    x = distribution.ppf(ENDS)
    assert not np.any(np.isnan(x))
    assert np.all((distribution.low <= x) & (x <= distribution.high))
    assert np.all(x[1:] >= x[:-1])
    assert not finite or np.all(np.isfinite(x))
    u = distribution.cdf(x)
    assert np.all((u >= 0) & (u <= 1))
    assert np.all(np.diff(u) >= 0)


@given(a=bounds, b=bounds)
def test_uniform_is_sound_over_all_floats(a, b):
    """Also for a range wider than the largest float, and for one narrower than rounding."""
    assert_sound(Uniform(low=min(a, b), high=max(a, b)))


@given(a=positive, b=positive)
def test_log_uniform_is_sound_over_600_decades(a, b):
    """Values stay in [min, max] exactly, and the ends are the bounds as they were written."""
    distribution = LogUniform.between(min(a, b), max(a, b))
    assert_sound(distribution)
    assert distribution.ppf(np.array([0.0, 1.0])).tolist() == [min(a, b), max(a, b)]


@given(a=st.floats(-1e4, 1e4), b=st.floats(-1e4, 1e4))
def test_exponents_may_leave_the_floats(a, b):
    """e^1000 is infinite and e^-1000 is 0, as in W&B's engine, without a warning or a NaN."""
    assert_sound(LogUniform.of_exponents(min(a, b), max(a, b)), finite=False)


@given(mu=st.floats(-1e150, 1e150), sigma=st.floats(1e-150, 1e150))
def test_normal_is_finite_at_the_ends(mu, sigma):
    """The ends of the cube are 8.2 sigma away, not infinitely far."""
    assert_sound(Normal(mu=mu, sigma=sigma))


def test_normal_overflows_without_a_warning():
    """A width at the end of the float range gives infinities, and no NaN."""
    assert_sound(Normal(mu=1e308, sigma=1e308), finite=False)


@given(mu=st.floats(-1e3, 1e3), sigma=st.floats(1e-3, 1e3))
def test_log_normal_is_never_nan(mu, sigma):
    """It may underflow to 0 and overflow to infinity, as W&B's."""
    assert_sound(LogNormal(exponent=Normal(mu=mu, sigma=sigma)), finite=False)


@given(a=st.floats(1e-2, 1e3), b=st.floats(1e-2, 1e3))
def test_beta_stays_on_the_unit_interval(a, b):
    """For shapes from almost two points to almost one."""
    assert_sound(BetaOnUnit(a=a, b=b))


@pytest.mark.parametrize("decade", range(-300, 300, 50))
def test_log_uniform_inverts_at_every_scale(decade):
    """cdf(ppf(u)) = u to 1e-9 for two decades anywhere in the float range."""
    distribution = LogUniform.between(10.0**decade, 10.0 ** (decade + 2))
    u = np.linspace(0, 1, 101)
    np.testing.assert_allclose(distribution.cdf(distribution.ppf(u)), u, atol=1e-9)


def test_a_range_of_all_floats_is_interpolated():
    """The middle of the widest range is 0."""
    assert Uniform(low=-1.7e308, high=1.7e308).ppf(np.array([0.5])).tolist() == [0.0]
    assert Uniform(low=-1.7e308, high=1.7e308).cdf(np.array([0.85e308])).tolist() == [pytest.approx(0.75)]


def test_exponents_give_the_bounds():
    """The support of exponents is [e^a, e^b]."""
    distribution = LogUniform.of_exponents(0.0, 1.0)
    assert (distribution.low, distribution.high) == (1.0, math.e)


@pytest.mark.parametrize("distribution", [Uniform(low=0.1, high=0.5), LogUniform.between(0.1, 0.5)])
def test_what_rounding_keeps_from_a_bound_is_the_bound(distribution):
    """0.5, not 0.49999999999999994: a search that goes to the end of a range arrives there."""
    below, above = np.nextafter(1.0, 0.0), np.nextafter(0.0, 1.0)
    assert distribution.ppf(np.array([above, 1e-16, below, 1 - 1e-15])).tolist() == [0.1, 0.1, 0.5, 0.5]
    assert 0.1 < distribution.ppf(np.array([1e-12]))[0] < distribution.ppf(np.array([1 - 1e-12]))[0] < 0.5
