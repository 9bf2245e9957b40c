"""Features: order, distances, and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.search.encoding import Encoding, every_config, spacing
from orchestrator.space import SearchSpace
from orchestrator.spec.model import Categorical, Gaussian, Interval, Kind


def feature_of(parameter):
    return Encoding.of(SearchSpace.of({"p": parameter})).features[0]


@settings(max_examples=100)
@given(point=st.lists(st.floats(0, 1), min_size=19, max_size=19))
def test_decoding_what_was_encoded_gives_the_config(point, every_kind):
    """Each config of every kind has features that lead back to it, as far as floats can tell values apart."""
    space = SearchSpace.of(every_kind)
    encoding = Encoding.of(space)
    config = space.config(np.clip(point[: space.n_axes], 0.01, 0.99))
    again = encoding.decode(encoding.encode(config))
    for axis, one, other in zip(space.axes, _values(space, config), _values(space, again), strict=True):
        assert one == (pytest.approx(other, rel=1e-6) if axis.is_numeric else other), axis.name


def _values(space, config):
    from orchestrator.space.nesting import value_at

    return [value_at(config, axis.path) for axis in space.axes]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.1, 0.2, 0.3), [0, 0.5, 1]),
        ((16, 32, 64, 128), [0, 1 / 3, 2 / 3, 1]),
        ((0.1, 0.01, 0.001), [0, 0.5, 1]),
        ((0, 1e-5, 1e-4, 1e-3), [0, 1 / 3, 2 / 3, 1]),
        ((10, 20, 40), [0, 0.5, 1]),
        ((1, 2, 1000), [0, 0.5, 1]),
        ((7,), [0.5]),
        ((-1e308, 0, 1e308), [0, 0.5, 1]),
    ],
)
def test_lists_keep_the_scale_they_were_written_on(values, expected):
    """Linear, geometric, by rank where neither fits; listed in any order."""
    assert feature_of(Categorical(values=values)).grid == pytest.approx(expected)


@given(values=st.lists(st.floats(-1e6, 1e6) | st.integers(-100, 100), min_size=2, max_size=12, unique=True))
def test_coordinates_rise_with_the_numbers(values):
    """Any list of different numbers has strictly rising coordinates from 0 to 1."""
    coordinates = spacing(sorted(values))
    assert coordinates[0] == 0
    assert coordinates[-1] == 1
    assert np.all(np.diff(coordinates) > 0)


def test_only_names_are_categories():
    """Strings and booleans have no order; numbers, listed or not, have."""
    assert feature_of(Categorical(values=("a", "b"))).is_category
    assert feature_of(Categorical(values=(True, False))).is_category
    assert feature_of(Categorical(values=(1, "auto"))).is_category
    assert not feature_of(Categorical(values=(1, 2.5))).is_category
    assert not feature_of(Interval(kind=Kind.INT_UNIFORM, min=1, max=3)).is_category


def test_logarithmic_steps_are_logarithmic():
    """A quantised log-uniform range has grid points even in the logarithm, not in the value."""
    grid = feature_of(Interval(kind=Kind.Q_LOG_UNIFORM_VALUES, min=8, max=32, q=8)).grid
    assert grid == pytest.approx(np.log([1, 2, 3, 4]) / np.log(4))


def test_the_ends_of_an_infinite_range_are_left_out():
    """A model that likes the corner does not get a value eight standard deviations away."""
    feature = feature_of(Gaussian(kind=Kind.NORMAL, mu=1.0, sigma=2.0))
    assert -6 < feature.decode(0.0) < feature.decode(1.0) < 8


def test_values_outside_the_space_have_no_feature():
    """They are NaN, for the caller to leave out."""
    assert np.isnan(feature_of(Categorical(values=(1, 2))).encode(3))
    assert np.isnan(feature_of(Interval(kind=Kind.UNIFORM, min=0.0, max=1.0)).encode("x"))
    assert np.isnan(Encoding.of(SearchSpace.of({"p": Categorical(values=(1, 2))})).encode({})[0])


def test_every_config_is_every_config(finite):
    """A finite space is written out completely, weights of 0 left out."""
    space = SearchSpace.of(finite | {"w": Categorical(values=("x", "y"), probabilities=(1.0, 0.0))})
    configs = list(every_config(space))
    assert len(configs) == len({str(c) for c in configs}) == space.cardinality == 12
