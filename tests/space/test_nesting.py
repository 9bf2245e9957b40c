from orchestrator.space.nesting import MISSING, emission_order, flatten, nest, value_at
from orchestrator.spec.model import Constant, Nested

ONE = Constant(value=1)


def test_flatten_is_alphabetical_at_each_level():
    """Names are compared level by level, upper case first, as W&B's grid order is."""
    parameters = {"b": ONE, "a-b": Nested(parameters={"z": ONE}), "a": Nested(parameters={"y": ONE, "X": ONE})}
    assert [path for path, _ in flatten(parameters)] == [("a", "X"), ("a", "y"), ("a-b", "z"), ("b",)]


def test_emission_sorts_the_joined_paths():
    """In a config 'a-b' comes before nested 'a': W&B joins paths with '.', which sorts after '-'."""
    paths = [("a", "X"), ("a", "y"), ("a-b", "z"), ("b",)]
    assert emission_order(paths) == (("b",), ("a-b", "z"), ("a", "X"), ("a", "y"))


def test_nest_copies_containers():
    """A program that changes its config changes no other's."""
    values = {("a",): [1], ("o", "d"): {"k": 1}}
    config = nest(values, values)
    config["a"].append(2)
    config["o"]["d"]["k"] = 2
    assert values == {("a",): [1], ("o", "d"): {"k": 1}}


def test_value_at_tells_null_from_nothing():
    """None is a value."""
    config = {"a": None, "o": {"x": 1}, "s": "text"}
    assert value_at(config, ("a",)) is None
    assert value_at(config, ("o", "x")) == 1
    assert value_at(config, ("o", "y")) is MISSING
    assert value_at(config, ("s", "x")) is MISSING
