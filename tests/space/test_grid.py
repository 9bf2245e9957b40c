import itertools
import json

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from orchestrator.errors import SearchSpaceError
from orchestrator.space import Grid, SearchSpace
from orchestrator.spec.model import Nested
from tests.space.leaves import RECORDED, leaf, space_of

listed = st.lists(st.sampled_from([1, 1.0, 2, 2.5, "1", "x", True, None]), min_size=1, max_size=4).map(
    lambda values: {"values": values}
)
whole = st.tuples(st.integers(-5, 5), st.integers(1, 3)).map(
    lambda t: {"distribution": "int_uniform", "min": t[0], "max": t[0] + t[1]}
)
stepped = st.tuples(st.floats(-2, 2), st.floats(0.1, 1), st.sampled_from([0.1, 0.3, 0.25, 1, 1.0])).map(
    lambda t: {"distribution": "q_uniform", "min": t[0], "max": t[0] + t[1], "q": t[2]}
)
specs = st.dictionaries(st.sampled_from("aAbz_"), listed | whole | stepped | st.just({"value": 7}), max_size=3)


def oracle_values(given):
    """Return what W&B's grid makes of one parameter: distinct by value and type, whole floats being ints."""
    if given.get("distribution") == "int_uniform":
        return list(range(given["min"], given["max"] + 1))
    if given.get("distribution") == "q_uniform":
        return np.arange(given["min"], given["max"], given["q"]).tolist()
    names = [str(int(v)) if type(v) is float and v.is_integer() else repr(v) for v in given["values"]]
    return list(dict(zip(names, given["values"], strict=True)).values())


@given(spec=specs)
def test_a_grid_is_the_product_in_alphabetical_order(spec):
    """The last name varies fastest, values as listed; floats are numpy.arange's to the last bit."""
    grid = Grid.of(space_of(**spec))
    names = sorted(name for name in spec if "value" not in spec[name])
    constants = {name: 7 for name in spec if name not in names}
    expected = [
        {**constants, **dict(zip(names, values, strict=True))}
        for values in itertools.product(*(oracle_values(spec[name]) for name in names))
    ]
    assert len(grid) == len(expected)
    assert [json.dumps(config, sort_keys=True) for config in grid] == [json.dumps(c, sort_keys=True) for c in expected]
    assert [grid.index(config) for config in expected] == list(range(len(grid)))


nested = st.recursive(
    specs.filter(bool),
    lambda inner: st.dictionaries(
        st.sampled_from(["a", "B", "a-b", "o.lr", "_"]),
        listed | whole | st.just({"value": 7}) | inner.map(lambda given: {"parameters": given}),
        min_size=1,
        max_size=3,
    ),
    max_leaves=3,
)


def oracle_leaves(given, prefix=()):
    """Yield (path, values) as W&B's engine walks: the names of each level in alphabetical order."""
    for name, parameter in sorted(given.items()):
        if "parameters" in parameter:
            yield from oracle_leaves(parameter["parameters"], (*prefix, name))
        else:
            yield (*prefix, name), [parameter["value"]] if "value" in parameter else oracle_values(parameter)


def oracle_configs(given):
    """Yield configs: keys that are not nested first, all by the joined path that W&B sorts."""
    leaves = list(oracle_leaves(given))
    order = sorted((path for path, _ in leaves), key=lambda path: (len(path) > 1, ".wbnest[599c28ca25da].".join(path)))
    for values in itertools.product(*(values for _, values in leaves)):
        chosen = {path: value for (path, _), value in zip(leaves, values, strict=True)}
        config = {}
        for path in order:
            level = config
            for name in path[:-1]:
                level = level.setdefault(name, {})
            level[path[-1]] = chosen[path]
        yield config


@settings(max_examples=60)
@given(spec=nested)
def test_a_grid_over_nested_parameters_has_the_reference_order(spec):
    """Values, order of configs and order of keys, to any depth, with dotted names and dashes among them."""
    grid = Grid.of(SearchSpace.of({name: leaf(given) for name, given in spec.items()}))
    expected = list(itertools.islice(oracle_configs(spec), 500))
    assert grid.size >= len(expected)
    assert [json.dumps(config) for config in itertools.islice(grid, 500)] == [json.dumps(c) for c in expected]


def test_grids_are_those_of_the_recorded_engine():
    """Order, values, types and key order are those of W&B's engine, nested parameters included."""
    for case in RECORDED["grids"]:
        grid = Grid.of(SearchSpace.of({name: leaf(given) for name, given in case["parameters"].items()}))
        assert [json.dumps(config) for config in grid] == [json.dumps(config) for config in case["configs"]]


@given(start=st.integers(-50, 50), span=st.integers(1, 50), q=st.integers(1, 7))
def test_ints_stay_ints_and_the_end_is_excluded(start, span, q):
    """q_uniform with whole bounds and q is range(min, max, q)."""
    grid = Grid.of(space_of(a={"distribution": "q_uniform", "min": start, "max": start + span, "q": q}))
    assert [config["a"] for config in grid] == list(range(start, start + span, q))
    assert all(type(config["a"]) is int for config in grid)


def test_a_grid_too_large_to_be_written_out_is_indexed():
    """10^36 configs, any one of them in microseconds, and back."""
    whole = {"distribution": "int_uniform", "min": 1, "max": 10**18}
    grid = Grid.of(space_of(a=whole, b=whole))
    assert grid.size == 10**36
    config = grid[10**30 + 7]
    assert config == {"a": 10**12 + 1, "b": 8}
    assert grid.index(config) == 10**30 + 7


def test_a_grid_of_constants_is_one_config():
    """As W&B's: exactly one run."""
    assert list(Grid.of(space_of(a={"value": 1}))) == [{"a": 1}]


def test_nested_parameters_are_found_by_their_path():
    """`o: {lr}` and a flat name `o.lr` are two parameters."""
    space = SearchSpace.of(
        {"o.lr": leaf({"values": [1, 2]}), "o": Nested(parameters={"lr": leaf({"values": [3, 4, 5]})})}
    )
    grid = Grid.of(space)
    assert grid[4] == {"o.lr": 1, "o": {"lr": 5}} or grid[4] == {"o.lr": 2, "o": {"lr": 4}}
    assert [grid.index(config) for config in grid] == list(range(6))


def test_membership_ignores_what_programs_add():
    """A missing or foreign value is not on the grid; a key of the program's own does not matter."""
    grid = Grid.of(space_of(a={"values": [1, 2]}, b={"distribution": "int_uniform", "min": 0, "max": 3}))
    assert {"a": 2.0, "b": 3.0, "_wandb": {}} in grid
    assert {"a": 3, "b": 3} not in grid
    assert {"a": 2, "b": 4} not in grid
    assert {"a": 2, "b": "1"} not in grid
    assert {"a": 2, "b": 1.5} not in grid
    with pytest.raises(SearchSpaceError, match=r"parameter b: is missing \(4 values, first 0\)"):
        grid.index({"a": 1})
    with pytest.raises(SearchSpaceError, match=r"parameter a: 7 is not on the grid \(2 values, first 1\)"):
        grid.index({"a": 7, "b": 1})


@pytest.mark.parametrize("i", [-1, 2])
def test_an_index_beyond_the_grid_is_an_error(i):
    """There is no counting from the end."""
    with pytest.raises(IndexError, match=rf"grid index {i} is outside \[0, 2\)"):
        Grid.of(space_of(a={"values": [1, 2]}))[i]


@pytest.mark.parametrize(
    "given",
    [
        {"distribution": "uniform", "min": 0.0, "max": 1.0},
        {"values": [1, 2], "probabilities": [0.5, 0.5]},
        {"distribution": "q_normal", "mu": 0.0, "sigma": 1.0},
    ],
)
def test_what_a_grid_cannot_enumerate_is_refused(given):
    """The same kinds as W&B's: only values, int_uniform and q_uniform."""
    with pytest.raises(SearchSpaceError, match="parameter a: a grid cannot enumerate"):
        Grid.of(space_of(a=given))


@pytest.mark.parametrize(("low", "high", "q"), [(1e300, 1.1e300, 1e-9), (0.0, 1e300, 1e-300)])
def test_a_step_that_floats_cannot_make_is_refused(low, high, q):
    """Instead of the same config for ever."""
    with pytest.raises(SearchSpaceError, match=r"parameter a: q = .* makes more grid values than can be counted"):
        Grid.of(space_of(a={"distribution": "q_uniform", "min": low, "max": high, "q": q}))
