import numpy as np
import pytest

from orchestrator.space.identity import identity


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, 1.0),
        (0, -0.0),
        (float("nan"), float("nan")),
        ({"x": 1, "y": 2}, {"y": 2, "x": 1}),
        ([1, [2]], (1, (2,))),
        (np.float64(2.0), 2),
        (np.int64(3), 3),
        (np.bool_(True), True),
    ],
)
def test_the_same(a, b):
    """What W&B's hash treats as one value, and numpy's scalars."""
    assert identity(a) == identity(b)
    assert hash(identity(a)) == hash(identity(b))


@pytest.mark.parametrize(
    ("a", "b"), [(True, 1), ("1", 1), (None, "None"), ([1], [1.0]), ({"x": 1}, {"x": True}), ([], {}), (0.1, 0.2)]
)
def test_different(a, b):
    """What Python's == or a string form would confuse."""
    assert identity(a) != identity(b)
