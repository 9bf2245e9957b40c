"""Random and quasi-random draws."""

import collections

import numpy as np
import pytest

from orchestrator.search.draws import SobolPoints, uniform_points
from orchestrator.search.factory import make_search
from orchestrator.search.protocol import Observation, Outcome
from orchestrator.space import SearchSpace
from orchestrator.spec.model import Categorical, Interval, Kind


def search_of(spec_of, parameters, seed=1, **options):
    return make_search(spec_of("random", parameters, **options), SearchSpace.of(parameters), seed)


@pytest.mark.parametrize("sampler", ["gp", "qmc"])
def test_a_draw_depends_on_seed_and_number_only(sampler, spec_of, every_kind):
    """Asked out of order, or with results in between, a number has one config."""
    forwards = search_of(spec_of, every_kind, sampler=sampler)
    backwards = search_of(spec_of, every_kind, sampler=sampler)
    told = [Observation(number=0, config={}, outcome=Outcome.FINISHED, scores=(1.0,))]
    configs = [forwards.suggest(n, [], []) for n in range(6)]
    assert [backwards.suggest(n, told, []) for n in reversed(range(6))] == configs[::-1]


def test_draws_follow_the_probabilities(spec_of):
    """Weights decide how often a value is drawn, and a weight of 0 means never."""
    parameters = {
        "c": Categorical(values=("rare", "often", "never"), probabilities=(0.1, 0.9, 0.0)),
        "x": Interval(kind=Kind.UNIFORM, min=0.0, max=1.0),
    }
    search = search_of(spec_of, parameters)
    counts = collections.Counter(search.suggest(n, [], [])["c"] for n in range(2000))
    assert counts["never"] == 0
    assert 140 < counts["rare"] < 260


def test_improbable_configs_are_reached(spec_of):
    """A finite space is exhausted even where a value is almost never drawn."""
    parameters = {"c": Categorical(values=("a", "b"), probabilities=(1 - 1e-12, 1e-12))}
    search = search_of(spec_of, parameters)
    assert [search.suggest(n, [], []) for n in range(3)] == [{"c": "a"}, {"c": "b"}, None]


def test_a_large_finite_space_does_not_repeat(spec_of):
    """A million configs, one of which has nearly all the weight: 300 trials, all different."""
    parameters = {
        f"p{i}": Categorical(values=tuple(range(10)), probabilities=(1 - 9e-9, *[1e-9] * 9)) for i in range(6)
    }
    search = search_of(spec_of, parameters)
    configs = [str(search.suggest(n, [], [])) for n in range(300)]
    assert len(set(configs)) == 300


def test_prior_configs_are_not_drawn_again(spec_of, finite):
    """What an earlier sweep tried is not tried again."""
    prior = [Observation(number=-1, config={"a": 1, "b": "x", "c": True}, outcome=Outcome.FINISHED, scores=(1.0,))]
    search = search_of(spec_of, finite)
    configs = [search.suggest(n, prior, []) for n in range(12)]
    assert prior[0].config not in configs
    assert configs[-1] is None


def test_sobol_covers_better_than_chance():
    """Each of 16 cells of the square has one of the first 16 points."""
    sobol = SobolPoints(2, seed=4)
    cells = {tuple((sobol(j) * 4).astype(int)) for j in range(16)}
    assert len(cells) == 16


def test_sobol_has_one_sequence():
    """A point is the same whether later points were asked for before or not."""
    early, late = SobolPoints(3, seed=2), SobolPoints(3, seed=2)
    late(5000)
    assert np.array_equal([early(j) for j in range(70)], [late(j) for j in range(70)])


def test_uniform_points_are_uniform():
    """The mean of many points is the middle of the cube."""
    points = uniform_points(2, seed=9)
    assert np.allclose(np.mean([points(j) for j in range(2000)], axis=0), 0.5, atol=0.03)
