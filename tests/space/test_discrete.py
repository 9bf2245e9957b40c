import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import SearchSpaceError
from tests.space.leaves import axis_of

huge = st.integers(-(10**30), 10**30)


@given(low=huge, span=st.integers(1, 10**18 + 3), u=st.floats(0, 1))
def test_whole_numbers_of_any_size_stay_in_range(low, span, u):
    """No overflow: values are Python ints in [min, max], and come back to within a float's resolution."""
    axis = axis_of(distribution="int_uniform", min=low, max=low + span)
    (value,) = axis.ppf(np.array([u]))
    assert type(value) is int
    assert low <= value <= low + span
    (back,) = axis.ppf(np.array([axis.cdf(value)]))
    assert abs(back - value) <= span * 2**-52


@given(n=st.integers(1, 500), offset=st.integers(-1000, 1000))
def test_every_whole_number_comes_back_exactly(n, offset):
    """ppf(cdf(v)) == v."""
    axis = axis_of(distribution="int_uniform", min=offset, max=offset + n)
    values = list(range(offset, offset + n + 1))
    assert axis.ppf(np.array([axis.cdf(v) for v in values])) == values


def test_a_huge_range_is_uniform():
    """Draws of a range of 10^18 cover its quarters equally."""
    axis = axis_of(distribution="int_uniform", min=0, max=10**18)
    values = axis.ppf(np.random.default_rng(1).random(4000))
    counts = np.bincount([value * 4 // (10**18 + 1) for value in values])
    assert np.all(np.abs(counts - 1000) < 5 * np.sqrt(1000))
    assert axis.ppf(np.array([0.0, 1.0])) == [0, 10**18]


def test_an_integer_axis_describes_itself():
    """What a sampler and a table need."""
    axis = axis_of(distribution="int_uniform", min=2, max=5)
    assert (axis.low, axis.high, axis.n_values, axis.allowed) == (2, 5, 4, "whole numbers from 2 to 5")
    assert axis.is_integer
    assert axis.is_numeric
    assert not axis.is_categorical
    assert not axis.is_log


@pytest.mark.parametrize(("value", "inside"), [(3, True), (3.0, True), (3.5, False), (6, False), (True, False)])
def test_whole_floats_are_integers(value, inside):
    """2.0 is 2; a bool is no number."""
    assert axis_of(distribution="int_uniform", min=0, max=5).contains(value) is inside


@pytest.mark.parametrize("value", ["3", None, float("nan"), float("inf"), [3]])
def test_what_is_no_number_is_outside(value):
    """Strings, null, NaN, infinities and lists are refused with the parameter and the value."""
    axis = axis_of(distribution="int_uniform", min=0, max=5)
    with pytest.raises(SearchSpaceError, match=r"parameter a: .* is outside .* \(whole numbers from 0 to 5\)"):
        axis.cdf(value)


def test_choices_describe_themselves():
    """Numbers in order are told apart from names, and duplicates are counted once."""
    sizes, names = axis_of(values=[16, 32, 64]), axis_of(values=["b", "a", "b", 1])
    assert (sizes.low, sizes.high, sizes.n_values) == (16, 64, 3)
    assert (names.low, names.high, names.n_values) == (None, None, 3)
    assert sizes.is_numeric
    assert sizes.is_integer
    assert sizes.is_categorical
    assert not axis_of(values=[1, 2.0]).is_integer
    assert not names.is_numeric
    assert not names.is_integer


def test_values_that_are_never_drawn_do_not_count():
    """A value of probability 0 is in the space, but no draw will give it."""
    axis = axis_of(values=["a", "b", "c"], probabilities=[0.5, 0.5, 0.0])
    assert axis.n_values == 2
    assert axis.contains("c")
    assert axis.ppf(np.array([0.0, 0.5, 1.0])) == ["a", "b", "b"]


def test_probabilities_that_fall_short_of_one_give_the_last_possible_value():
    """W&B's engine would give the first value for a u above the sum."""
    axis = axis_of(values=["a", "b", "c"], probabilities=[0.3, 0.7 - 1e-9, 0.0])
    assert axis.ppf(np.array([1 - 1e-12])) == ["b"]


def test_a_value_that_is_listed_twice_is_encoded_at_its_first_place():
    """1 and 1.0 are the same value; True is not."""
    axis = axis_of(values=[1, 2, 1.0, True])
    assert axis.cdf(1.0) == 0.25
    assert axis.cdf(True) == 1.0
    assert axis.n_values == 3


def test_a_program_may_add_keys_to_a_listed_mapping():
    """Only keys that some listed mapping has decide which one it is."""
    axis = axis_of(values=[{"name": "sgd"}, {"name": "adam", "eps": 1e-8}])
    assert axis.cdf({"name": "sgd", "added": 1}) == 0.5
    assert not axis.contains({"name": "lion"})
    assert not axis.contains("sgd")


def test_long_lists_are_shortened_in_messages():
    """Eight values are shown."""
    assert axis_of(values=list(range(100))).allowed == "one of 0, 1, 2, 3, 4, 5, 6, 7, ... 100 values"
    assert axis_of(values=["a", None]).allowed == "one of 'a', None"
    assert axis_of(values=["x" * 100]).allowed == f"one of '{'x' * 56}..."
