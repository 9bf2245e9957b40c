import math

import numpy as np
import pytest

from orchestrator.errors import SearchSpaceError
from orchestrator.space import SearchSpace
from orchestrator.spec.model import Categorical, Constant, Interval, Kind, Nested
from tests.space.leaves import space_of

LR = Interval(kind=Kind.LOG_UNIFORM_VALUES, min=1e-5, max=1.0)
UNITS = Interval(kind=Kind.INT_UNIFORM, min=1, max=10)
PARAMETERS = {
    "zeta": LR,
    "mid": Nested(parameters={"units": UNITS, "act": Categorical(values=("relu", "gelu"))}),
    "alpha": Constant(value=[1, 2]),
}
SPACE = SearchSpace.of(PARAMETERS)


def test_axes_are_flat_and_alphabetical_at_each_level():
    """Axes are the varying parameters, alphabetical at each level; constants are none."""
    assert [axis.path for axis in SPACE.axes] == [("mid", "act"), ("mid", "units"), ("zeta",)]
    assert [axis.name for axis in SPACE.axes] == ["mid.act", "mid.units", "zeta"]
    assert SPACE.n_axes == 3


def test_a_config_has_the_key_order_of_wandb():
    """Names that are not nested come first, then nested ones, constants among them."""
    config = SPACE.config(np.array([0.25, 0.95, 1.0]))
    assert config == {"alpha": [1, 2], "zeta": 1.0, "mid": {"act": "relu", "units": 10}}
    assert list(config) == ["alpha", "zeta", "mid"]
    assert list(config["mid"]) == ["act", "units"]


def test_configs_and_points_are_inverse():
    """configs(points(configs)) is the identity, and all values are plain Python."""
    configs = SPACE.configs(np.random.default_rng(3).random((200, 3)))
    again = SPACE.configs(SPACE.points(configs))
    for config, back in zip(configs, again, strict=True):
        assert back["mid"] == config["mid"]
        assert back["zeta"] == pytest.approx(config["zeta"], rel=1e-12)
        assert type(config["zeta"]) is float
        assert type(config["mid"]["units"]) is int


def test_no_points_make_no_configs():
    """Shapes hold for n = 0 and for d = 0."""
    assert SPACE.configs(np.empty((0, 3))) == []
    assert SPACE.points([]).shape == (0, 3)
    empty = SearchSpace.of({})
    assert empty.configs(np.empty((2, 0))) == [{}, {}]
    assert empty.points([{}, {}]).shape == (2, 0)
    assert empty.cardinality == 1


def test_whole_floats_and_ints_are_the_same_value():
    """A config may have been through JSON."""
    config = {"alpha": [1, 2], "zeta": 1, "mid": {"units": 3.0, "act": "gelu"}}
    np.testing.assert_allclose(SPACE.point(config), [1.0, 0.3, 1.0])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"zeta": 0.1, "mid": {"units": 11, "act": "relu"}}, r"parameter mid\.units: 11 is outside .*from 1 to 10"),
        ({"zeta": 0.1, "mid": {"units": 1}}, r"parameter mid\.act is missing; allowed: one of 'relu', 'gelu'"),
        ({"zeta": 0.1, "mid": 3}, r"parameter mid\.act is missing"),
        ({"zeta": "x", "mid": {"units": 1, "act": "relu"}}, r"parameter zeta: 'x' is outside"),
        ({"alpha": 3, "zeta": 0.1, "mid": {"units": 1, "act": "relu"}}, r"parameter alpha: 3 .* \(always \[1, 2\]\)"),
    ],
)
def test_a_config_outside_is_refused_by_name(config, message):
    """The message names the parameter, the value and what is allowed."""
    with pytest.raises(SearchSpaceError, match=message):
        SPACE.point(config)
    assert not SPACE.contains(config)


def test_constants_may_be_absent_and_foreign_keys_are_ignored():
    """Programs add keys of their own, and a warm start need not repeat constants."""
    assert SPACE.contains({"zeta": 0.1, "mid": {"units": 1, "act": "relu", "added": 1}, "_wandb": {}})


@pytest.mark.parametrize("point", [[0.5, 0.5], [0.5, 0.5, 1.1], [0.5, 0.5, -0.1], [0.5, 0.5, math.nan]])
def test_points_outside_the_cube_are_refused(point):
    """Wrong length, beyond [0, 1], or NaN."""
    with pytest.raises(SearchSpaceError, match="points must"):
        SPACE.config(np.array(point))


def test_a_beta_distribution_that_cannot_be_computed_is_refused():
    """Scipy gives NaN there; a config must not."""
    with pytest.raises(SearchSpaceError, match=r"parameter a: a beta .* a = 1e\+300 and b = 2 is too narrow"):
        space_of(a={"distribution": "q_beta", "a": 1e300, "b": 2.0, "q": 1})


def test_cardinality_counts_distinct_configs():
    """Values that are listed twice count once; one continuous axis makes the space infinite."""
    assert SPACE.cardinality is None
    finite = space_of(
        a={"values": [1, 1.0, "x"]},
        b={"distribution": "int_uniform", "min": 1, "max": 10**18},
        c={"distribution": "q_uniform", "min": 0.0, "max": 1.0, "q": 0.25},
    )
    assert finite.cardinality == 2 * 10**18 * 5


def test_keys_are_equal_for_the_same_config():
    """1 is 1.0, True and "1" are others; constants and foreign keys do not matter; a missing value is not null."""
    space = space_of(a={"values": [1, True, "1", None]}, c={"value": 3})
    keys = [space.key(config) for config in ({"a": 1}, {"a": 1.0, "c": 4}, {"a": True}, {"a": "1"}, {"a": None}, {})]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 5


def test_configs_do_not_share_their_containers():
    """A constant list is copied into each config."""
    first, second = SPACE.configs(np.full((2, 3), 0.5))
    first["alpha"].append(3)
    assert second["alpha"] == [1, 2]
