import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import SearchSpaceError
from tests.space.leaves import axis_of


def test_a_real_axis_describes_itself():
    """What a sampler and a table need."""
    axis = axis_of(distribution="log_uniform_values", min=1e-5, max=1)
    assert (axis.low, axis.high, axis.n_values, axis.allowed) == (1e-5, 1.0, None, "from 1e-05 to 1")
    assert axis.is_log
    assert not axis.is_integer
    assert axis_of(distribution="normal", mu=0.0, sigma=1.0).allowed == "any number"
    assert axis_of(distribution="log_normal", mu=0.0, sigma=1.0).allowed == "from 0"
    assert not axis_of(distribution="uniform", min=0, max=1).is_log


@pytest.mark.parametrize("value", [0.0, 1.1, "0.5", None, True, math.nan, math.inf, 10**400])
def test_values_outside_are_refused_by_name(value):
    """The message names the parameter, the value and what is allowed."""
    axis = axis_of(distribution="log_uniform_values", min=1e-5, max=1.0)
    with pytest.raises(SearchSpaceError, match=r"parameter a: .* is outside the search space \(from 1e-05 to 1\)"):
        axis.cdf(value)


def test_numbers_are_identified_by_value():
    """Inside the axis or not."""
    axis = axis_of(distribution="uniform", min=0, max=1)
    assert axis.identify(7) == axis.identify(7.0) != axis.identify("7")


def test_ints_and_rounded_bounds_are_inside():
    """A whole float may come back as an int, and a bound with another engine's rounding."""
    axis = axis_of(distribution="uniform", min=0.3, max=4.0)
    assert axis.cdf(4) == 1.0
    assert axis.contains(0.3 - 1e-15)
    assert not axis.contains(0.3 - 1e-6)
    assert axis_of(distribution="normal", mu=0.0, sigma=1.0).contains(np.float64(3.0))


def test_quantised_values_stay_inside_the_range():
    """The documented difference from W&B: multiples of q inside [min, max], where W&B also draws 0 and 96."""
    u = np.linspace(0, 1, 501)
    assert sorted(set(axis_of(distribution="q_uniform", min=1, max=10, q=4).ppf(u))) == [4, 8]
    assert sorted(set(axis_of(distribution="q_log_uniform_values", min=10, max=95, q=32).ppf(u))) == [32, 64]
    assert sorted(set(axis_of(distribution="q_beta", a=1.0, b=1.0, q=0.6).ppf(u))) == [0.0, 0.6]


def test_a_range_without_a_multiple_is_rounded_as_wandb_rounds():
    """There is no value inside to choose."""
    axis = axis_of(distribution="q_uniform", min=1, max=3, q=4)
    assert sorted(set(axis.ppf(np.linspace(0, 1, 101)))) == [0, 4]
    assert axis.n_values == 2


def test_a_range_of_almost_nothing_is_zero():
    """Both ends are 0 up to rounding, in steps of 0.1."""
    axis = axis_of(distribution="q_log_uniform_values", min=1e-200, max=2e-200, q=0.1)
    assert (axis.low, axis.high, axis.n_values) == (0.0, 0.0, 1)
    assert axis.ppf(np.array([0.0, 1.0])) == [0.0, 0.0]
    assert axis.contains(0.0)


def test_a_bound_that_is_a_multiple_up_to_rounding_is_reached():
    """3 * 0.1 is above 0.3 as a float; the value is the bound that its author wrote."""
    axis = axis_of(distribution="q_uniform", min=0.1, max=0.3, q=0.1)
    assert sorted(set(axis.ppf(np.linspace(0, 1, 101)))) == [0.1, 0.2, 0.3]
    assert axis.contains(0.30000000000000004)
    assert (axis.low, axis.high, axis.n_values) == (0.1, 0.3, 3)


def test_the_default_step_is_a_float():
    """W&B's q is 1.0 when it is not given, so the values are floats."""
    assert axis_of(distribution="q_normal", mu=4.0, sigma=0.1).ppf(np.array([0.5])) == [4.0]


def test_quantised_axes_describe_themselves():
    """Int steps make ints; without an end there is no count."""
    axis = axis_of(distribution="q_uniform", min=0, max=100, q=5)
    assert (axis.low, axis.high, axis.n_values, axis.allowed) == (0, 100, 21, "multiples of 5, from 0 to 100")
    assert axis.is_integer
    assert not axis_of(distribution="q_uniform", min=0, max=100, q=5.0).is_integer
    unbounded = axis_of(distribution="q_normal", mu=0.0, sigma=1.0, q=1)
    assert (unbounded.low, unbounded.high, unbounded.n_values) == (-math.inf, math.inf, None)
    half = axis_of(distribution="q_log_normal", mu=0.0, sigma=1.0, q=1)
    assert (half.low, half.high, half.n_values) == (0, math.inf, None)


@pytest.mark.parametrize(("value", "inside"), [(10, True), (10.0, True), (7, False), (105, False), ("10", False)])
def test_only_multiples_are_inside(value, inside):
    """Give or take rounding."""
    assert axis_of(distribution="q_uniform", min=0, max=100, q=5).contains(value) is inside


@given(low=st.floats(-1e300, 1e300), width=st.floats(1e-3, 1e300), q=st.sampled_from([1, 3, 10**9, 0.1, 1e-9, 2.5]))
def test_quantised_ranges_of_any_size_stay_inside(low, width, q):
    """No overflow and no NaN; inside [min, max] wherever a multiple is, and drawn values are in the space."""
    if low + width <= low:
        return
    axis = axis_of(distribution="q_uniform", min=low, max=low + width, q=q)
    for value in axis.ppf(np.array([0.0, 0.1, 0.5, 1.0])):
        assert type(value) is int or type(q) is float
        assert math.isfinite(value)
        assert axis.contains(value)
        assert math.floor(low) - q <= value <= math.ceil(low + width) + q


@given(low=st.floats(1e-300, 1e300), factor=st.floats(1.01, 1e6), q=st.sampled_from([1, 7, 0.5]))
def test_quantised_log_ranges_of_any_size_stay_inside(low, factor, q):
    """Over 600 decades, ints of any size included."""
    high = min(low * factor, 1e300)
    if not low < high:
        return
    axis = axis_of(distribution="q_log_uniform_values", min=low, max=high, q=q)
    values = axis.ppf(np.array([0.0, 0.5, 1.0]))
    assert all(type(value) is type(q) and axis.contains(value) for value in values)
    assert values == sorted(values)


def test_a_step_far_below_the_resolution_of_floats_changes_nothing():
    """1e300 is its own nearest multiple of 1e-9."""
    axis = axis_of(distribution="q_uniform", min=0.0, max=1e300, q=1e-9)
    assert axis.ppf(np.array([1.0])) == [1e300]
    assert axis_of(distribution="q_uniform", min=-1.7e308, max=1.7e308, q=1e-9).n_values is None


def test_an_overflowing_exponent_stays_infinite():
    """As in W&B's engine; the spec warns about it."""
    axis = axis_of(distribution="q_log_uniform", min=1.0, max=1000.0, q=1.0)
    assert axis.ppf(np.array([0.0, 1.0])) == [3.0, math.inf]
