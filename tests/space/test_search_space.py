import numpy as np

from orchestrator.space import SearchSpace
from orchestrator.spec.model import Categorical, Constant, Interval, Kind, Nested

LR = Interval(kind=Kind.LOG_UNIFORM_VALUES, min=1e-5, max=1.0)
UNITS = Interval(kind=Kind.INT_UNIFORM, min=1, max=10)
PARAMETERS = {
    "zeta": LR,
    "mid": Nested(parameters={"units": UNITS, "act": Categorical(values=("relu", "gelu"))}),
    "alpha": Constant(value=[1, 2]),
}


def test_axes_are_flat_and_alphabetical_at_each_level():
    """Axes are the varying parameters, alphabetical at each level; constants are none."""
    space = SearchSpace.of(PARAMETERS)
    assert [axis.path for axis in space.axes] == [("mid", "act"), ("mid", "units"), ("zeta",)]
    assert space.n_axes == 3


def test_a_config_has_the_key_order_of_wandb():
    """Names that are not nested come first, then nested ones, constants among them."""
    config = SearchSpace.of(PARAMETERS).config(np.array([0.25, 0.95, 1.0]))
    assert config == {"alpha": [1, 2], "zeta": 1.0, "mid": {"act": "relu", "units": 10}}
    assert list(config) == ["alpha", "zeta", "mid"]
    assert list(config["mid"]) == ["act", "units"]
