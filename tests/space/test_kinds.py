"""W&B's 18 kinds, each against its formula written down a second time, with scipy.stats."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats

from orchestrator.space import SearchSpace
from orchestrator.spec.model import Kind
from tests.space.leaves import RECORDED, axis_of, leaf, space_of

CONTINUOUS = {
    "uniform": ({"min": -3.0, "max": 7.0}, stats.uniform(-3, 10)),
    "log_uniform": ({"min": -4.0, "max": 2.0}, stats.loguniform(np.exp(-4), np.exp(2))),
    "log_uniform_values": ({"min": 1e-4, "max": 10.0}, stats.loguniform(1e-4, 10)),
    "inv_log_uniform": ({"min": -2.0, "max": 4.0}, stats.loguniform(np.exp(-4), np.exp(2))),
    "inv_log_uniform_values": ({"min": 1e-4, "max": 10.0}, stats.loguniform(1e-4, 10)),
    "normal": ({"mu": 2.0, "sigma": 0.5}, stats.norm(2, 0.5)),
    "log_normal": ({"mu": 1.0, "sigma": 2.0}, stats.lognorm(s=2, scale=np.exp(1))),
    "beta": ({"a": 0.7, "b": 3.0}, stats.beta(0.7, 3)),
}
QUANTISED = {
    "q_uniform": ({"min": 1.0, "max": 10.0, "q": 0.7}, stats.uniform(1, 9)),
    "q_log_uniform": ({"min": 0.0, "max": 5.0, "q": 3}, stats.loguniform(1, np.exp(5))),
    "q_log_uniform_values": ({"min": 10, "max": 100, "q": 8}, stats.loguniform(10, 100)),
    "q_normal": ({"mu": 1.0, "sigma": 3.0, "q": 2}, stats.norm(1, 3)),
    "q_log_normal": ({"mu": 1.0, "sigma": 0.5, "q": 0.5}, stats.lognorm(s=0.5, scale=np.exp(1))),
    "q_beta": ({"a": 2.0, "b": 3.0, "q": 0.15}, stats.beta(2, 3)),
}
N = 20_000


def draws(axis):
    return axis.ppf(np.random.default_rng(5).random(N))


def assert_within_5_sigma(counts, probabilities):
    expected = N * np.asarray(probabilities)
    assert np.all(np.abs(np.asarray(counts) - expected) <= 5 * np.sqrt(expected + 1))


def test_the_table_has_all_18_kinds():
    """No kind is forgotten here."""
    others = {"constant", "categorical", "categorical_w_probabilities", "int_uniform"}
    assert set(CONTINUOUS) | set(QUANTISED) | others == {kind.value for kind in Kind}


@pytest.mark.parametrize("kind", CONTINUOUS)
def test_continuous_draws_follow_their_distribution(kind):
    """A histogram of 20 equally likely bins is flat within 5 sigma, and every value is a float in the support."""
    given, oracle = CONTINUOUS[kind]
    axis = axis_of(distribution=kind, **given)
    values = draws(axis)
    counts, _ = np.histogram(oracle.cdf(values), bins=20, range=(0, 1))
    assert_within_5_sigma(counts, np.full(20, 1 / 20))
    assert all(type(value) is float and axis.contains(value) and axis.low <= value <= axis.high for value in values)


@pytest.mark.parametrize("kind", CONTINUOUS)
def test_continuous_kinds_invert(kind):
    """cdf(ppf(u)) = u to 1e-12, and both agree with scipy's distribution to 1e-9."""
    given, oracle = CONTINUOUS[kind]
    axis = axis_of(distribution=kind, **given)
    u = np.linspace(0.001, 0.999, 333)
    values = axis.ppf(u)
    np.testing.assert_allclose([axis.cdf(value) for value in values], u, atol=1e-12)
    np.testing.assert_allclose(values, oracle.ppf(u), rtol=1e-9)


@pytest.mark.parametrize("kind", QUANTISED)
def test_quantised_draws_follow_their_distribution(kind):
    """Each multiple has the mass of its rounding interval; the last ones inside the support get what lies beyond."""
    given, oracle = QUANTISED[kind]
    axis = axis_of(distribution=kind, **given)
    values, counts = np.unique(np.array(draws(axis)), return_counts=True)
    q = given["q"]
    k = np.round(values / q)
    np.testing.assert_allclose(values, k * q)
    upper = np.append(oracle.cdf((k[:-1] + 0.5) * q), 1.0)
    assert_within_5_sigma(counts, np.diff(upper, prepend=0.0))
    low, high = oracle.support()
    assert np.all((values >= low) & (values <= high))


@pytest.mark.parametrize("kind", QUANTISED)
def test_quantised_values_come_back_exactly(kind):
    """ppf(cdf(v)) == v for every drawn value, with its type: int exactly where q is an int."""
    axis = axis_of(distribution=kind, **QUANTISED[kind][0])
    drawn = set(draws(axis)[:3000])
    assert {type(value) for value in drawn} == {type(axis.q)}
    for value in drawn:
        (back,) = axis.ppf(np.array([axis.cdf(value)]))
        assert back == value


def test_whole_numbers_follow_their_distribution():
    """int_uniform includes both ends, each value equally likely, and comes back from its encoding."""
    axis = axis_of(distribution="int_uniform", min=-3, max=6)
    values = draws(axis)
    assert_within_5_sigma([values.count(v) for v in range(-3, 7)], np.full(10, 0.1))
    assert all(type(value) is int for value in values)
    assert axis.ppf(np.array([axis.cdf(v) for v in range(-3, 7)])) == list(range(-3, 7))


@pytest.mark.parametrize("weights", [None, (0.2, 0.5, 0.0, 0.3)])
def test_choices_follow_their_probabilities(weights):
    """Listed values come equally often, or as often as their probability says, and come back from their encoding."""
    values = ("x", True, 3, None)
    axis = axis_of(values=values, **({"probabilities": weights} if weights else {}))
    drawn = draws(axis)
    assert_within_5_sigma([sum(v is value for v in drawn) for value in values], weights or np.full(4, 0.25))
    possible = [value for i, value in enumerate(values) if weights is None or weights[i] > 0]
    assert axis.ppf(np.array([axis.cdf(value) for value in possible])) == possible


def test_constants_are_always_the_same():
    """A constant is in every config and on no axis."""
    space = space_of(a={"value": [1, {"b": None}]}, b={"values": [1, 2]})
    assert space.n_axes == 1
    assert all(config["a"] == [1, {"b": None}] for config in space.configs(np.random.default_rng(0).random((50, 1))))


bounds = st.lists(st.floats(-600, 600), min_size=2, max_size=2, unique=True).map(sorted)
scales = st.tuples(st.floats(1e-200, 1e200), st.floats(1.001, 1e100)).map(lambda t: [t[0], t[0] * t[1]])
steps = st.sampled_from([1, 7, 0.1, 1.0, 2.5])
shapes = st.tuples(st.floats(0.1, 50), st.floats(0.1, 50))
GENERATED = {
    **{kind: bounds for kind in (*CONTINUOUS, *QUANTISED) if "uniform" in kind and not kind.endswith("_values")},
    **{kind: scales for kind in (*CONTINUOUS, *QUANTISED) if kind.endswith("_values")},
    **{
        kind: st.tuples(st.floats(-50, 50), st.floats(1e-3, 50))
        for kind in (*CONTINUOUS, *QUANTISED)
        if "normal" in kind
    },
    **dict.fromkeys(("beta", "q_beta"), shapes),
}


@pytest.mark.parametrize("kind", GENERATED)
@settings(max_examples=15)
@given(data=st.data())
def test_any_bounds_keep_values_in_the_support(kind, data):
    """For generated bounds, shapes and steps: values are inside, in order, and as good as themselves after a round trip."""
    names = ("mu", "sigma") if "normal" in kind else ("a", "b") if "beta" in kind else ("min", "max")
    given = dict(zip(names, data.draw(GENERATED[kind]), strict=True))
    if kind in QUANTISED:
        given["q"] = data.draw(steps)
    axis = axis_of(distribution=kind, **given)
    u = np.sort(data.draw(st.lists(st.floats(0, 1), min_size=1, max_size=20)))
    values = axis.ppf(u)
    assert values == sorted(values)
    assert all(axis.low <= value <= axis.high for value in values)
    for value in values:
        if abs(value) < np.inf:
            assert axis.contains(value)
            (back,) = axis.ppf(np.array([axis.cdf(value)]))
            assert axis.cdf(back) == pytest.approx(axis.cdf(value), abs=1e-9)


def test_draws_are_those_of_the_recorded_engine():
    """Values and types are those of W&B's engine; only quantised ends differ, where the engine leaves the range."""
    for case in RECORDED["draws"]:
        axis = SearchSpace.of({"a": leaf(case["parameter"])}).axes[0]
        for ours, theirs in zip(axis.ppf(np.array(case["u"])), case["values"], strict=True):
            assert type(ours) is type(theirs)
            outside = "q" in case["parameter"].get("distribution", "") and not axis.contains(theirs)
            assert ours == pytest.approx(min(max(theirs, axis.low), axis.high) if outside else theirs, rel=1e-12)
