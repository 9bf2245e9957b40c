"""What the adaptive search learns, and what it does not let itself be told."""

import numpy as np
import pytest

from orchestrator.errors import SearchSpaceError
from orchestrator.search.factory import make_search
from orchestrator.search.optuna_samplers import SAMPLERS
from orchestrator.search.pareto import front_of
from orchestrator.search.protocol import Observation, Outcome, Pending, suggest_batch
from orchestrator.space import SearchSpace
from orchestrator.spec.model import Categorical, Interval, Kind, Method, Metric, Nested, SweepSpec
from orchestrator.spec.options import SAMPLERS as NAMES

UNIT = Interval(kind=Kind.UNIFORM, min=0.0, max=1.0)


def finished(number, config, *scores):
    return Observation(number=number, config=config, outcome=Outcome.FINISHED, scores=scores, order=number)


@pytest.mark.parametrize("sampler", ["gp", "tpe"])
def test_it_finds_the_bottom_of_a_bowl(sampler, spec_of, sweep):
    """On a smooth function 25 trials come far closer than 25 draws; scales and nesting are no obstacle."""
    parameters = {
        "lr": Interval(kind=Kind.LOG_UNIFORM_VALUES, min=1e-5, max=1.0),
        "net": Nested(
            parameters={"width": Categorical(values=(8, 16, 32, 64, 128)), "act": Categorical(values=("a", "b"))}
        ),
    }

    def loss(config):
        off = (np.log10(config["lr"]) + 2) ** 2 + (np.log2(config["net"]["width"]) - 5) ** 2
        return (float(off) + (config["net"]["act"] == "a"),)

    trials = sweep(spec_of("bayes", parameters, sampler=sampler), loss, n=25)
    assert min(t.scores[0] for t in trials) < 0.1


def test_it_stays_away_from_failures(spec_of, sweep):
    """Half of the space fails: after a while nearly every trial is in the other half."""

    def loss(config):
        return None if config["x"] > 0.5 else ((config["x"] - 0.2) ** 2 + (config["y"] - 0.7) ** 2,)

    trials = sweep(spec_of("bayes", {"x": UNIT, "y": UNIT}), loss, n=30)
    assert sum(t.outcome is Outcome.FAILED for t in trials[10:]) <= 4
    assert min(t.scores[0] for t in trials if t.scores) < 0.01


def test_a_crash_now_and_then_misleads_nobody(spec_of, sweep):
    """One trial in seven fails whatever its config: the best config is found as if none had."""
    rng = np.random.default_rng(3)

    def loss(config):
        return None if rng.random() < 1 / 7 else ((config["x"] - 0.2) ** 2 + (config["y"] - 0.7) ** 2,)

    trials = sweep(spec_of("bayes", {"x": UNIT, "y": UNIT}), loss, n=20)
    assert any(t.outcome is Outcome.FAILED for t in trials)
    assert min(t.scores[0] for t in trials if t.scores) < 1e-4


def test_wild_scores_do_not_poison_the_scale(spec_of, sweep):
    """A few trials with a loss of 1e12 do not keep it from telling good from better."""

    def loss(config):
        return (1e12,) if config["x"] > 0.8 else ((config["x"] - 0.3) ** 2 + (config["y"] - 0.6) ** 2,)

    trials = sweep(spec_of("bayes", {"x": UNIT, "y": UNIT}), loss, n=25)
    assert min(t.scores[0] for t in trials) < 0.01


def test_pending_trials_are_not_proposed_again(spec_of):
    """Eight suggestions without a result in between are eight different places."""
    search = make_search(spec_of("bayes", {"x": UNIT, "y": UNIT}), SearchSpace.of({"x": UNIT, "y": UNIT}), 1)
    rng = np.random.default_rng(0)
    told = [finished(n, c := {"x": rng.random(), "y": rng.random()}, (c["x"] - 0.5) ** 2) for n in range(12)]
    pending = []
    for number in range(12, 20):
        pending.append(Pending(number=number, config=search.suggest(number, told, pending)))
    points = np.array([[p.config["x"], p.config["y"]] for p in pending])
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)[np.triu_indices(8, 1)]
    assert distances.min() > 0.01


def test_a_solved_problem_is_not_tried_at_the_same_place_again(spec_of, sweep):
    """When nothing is left to gain, proposals still differ from every trial before them."""
    trials = sweep(spec_of("bayes", {"x": UNIT}), lambda config: ((config["x"] - 0.3) ** 2,), n=30)
    assert len({trial.config["x"] for trial in trials}) == 30


def test_stopped_trials_count_with_what_they_showed(spec_of):
    """A stopped trial changes the proposal exactly as a finished one with its score does."""
    space = SearchSpace.of({"x": UNIT})
    told = [finished(n, {"x": n / 10}, (n / 10 - 0.3) ** 2) for n in range(10)]
    stopped = [
        *told[:-1],
        Observation(number=9, config={"x": 0.9}, outcome=Outcome.STOPPED, scores=told[9].scores, order=9),
    ]
    spec = spec_of("bayes", {"x": UNIT})
    assert make_search(spec, space, 1).suggest(10, told, []) == make_search(spec, space, 1).suggest(10, stopped, [])


def test_priors_spare_the_first_spread(spec_of, sweep):
    """With the trials of an earlier sweep the first proposal is already close to the best."""
    prior = [finished(-1 - n, {"x": n / 20}, (n / 20 - 0.31) ** 2) for n in range(20)]
    [first] = sweep(spec_of("bayes", {"x": UNIT}), lambda config: (0.0,), n=1, prior=prior)
    assert abs(first.config["x"] - 0.31) < 0.05


def test_probabilities_are_the_prior_of_the_first_points(spec_of, sweep):
    """Before anything is known, values come as often as their probabilities say."""
    parameters = {"c": Categorical(values=("a", "b"), probabilities=(0.9, 0.1)), **{f"x{i}": UNIT for i in range(6)}}
    firsts = [sweep(spec_of("bayes", parameters), lambda config: None, n=8, seed=s) for s in range(6)]
    share = np.mean([trial.config["c"] == "a" for trials in firsts for trial in trials])
    assert share > 0.75


def test_noise_is_taken_as_noise(spec_of, sweep):
    """With scores that scatter more than they differ, it keeps visiting the good region, not one lucky point."""
    rng = np.random.default_rng(3)

    def loss(config):
        return ((config["x"] - 0.6) ** 2 + (config["y"] - 0.4) ** 2 + 0.03 * rng.normal(),)

    trials = sweep(spec_of("bayes", {"x": UNIT, "y": UNIT}), loss, n=40)
    late = np.array([[t.config["x"], t.config["y"]] for t in trials[25:]])
    assert np.median(np.linalg.norm(late - [0.6, 0.4], axis=1)) < 0.3


def test_two_objectives_spread_along_the_front(spec_of, sweep):
    """The front of two parabolas is found in many places, not just at its ends."""

    def loss(config):
        return (config["x"] ** 2 + config["y"] ** 2, (config["x"] - 1) ** 2 + config["y"] ** 2)

    spec = spec_of("bayes", {"x": UNIT, "y": UNIT}, metrics=(Metric(name="a"), Metric(name="b")))
    trials = sweep(spec, loss, n=30)
    front = [trials[i] for i in front_of([t.scores for t in trials])]
    assert len(front) >= 8
    assert max(t.config["y"] for t in front) < 0.3


@pytest.mark.parametrize("sampler", ["tpe", "TPESampler", "gpsampler", "GPSampler", "cmaes", "nsgaii", "nsgaiii"])
def test_optunas_samplers_have_names(sampler, spec_of, sweep):
    """Each runs over mixed parameters with trials in flight, and is reproducible; class names work as well."""
    parameters = {"x": UNIT, "n": Interval(kind=Kind.INT_UNIFORM, min=1, max=9), "c": Categorical(values=("a", "b"))}
    spec = spec_of("bayes", parameters, sampler=sampler)
    trials, again = (sweep(spec, lambda c: (c["x"] + c["n"],), n=14, parallel=2) for _ in range(2))
    assert [t.config for t in trials] == [t.config for t in again]


def test_a_spec_may_name_what_there_is():
    """The names that the reading of a spec allows are those that a search is made of."""
    assert set(NAMES) == {"gp", "random", "qmc", *SAMPLERS}


def test_an_option_that_optuna_refuses_is_refused_at_once(spec_of):
    """The message comes before the sweep starts, with Optuna's own words."""
    spec = spec_of("bayes", {"x": UNIT}, sampler="tpe", sampler_options={"n_candidates": 3})
    with pytest.raises(SearchSpaceError, match=r"sampler tpe: .*n_candidates"):
        make_search(spec, SearchSpace.of({"x": UNIT}), 1)


@pytest.mark.parametrize("sampler", ["gp", "qmc"])
def test_options_for_a_sampler_without_any_are_refused(sampler, spec_of):
    """Nothing that somebody wrote is ignored."""
    spec = spec_of("bayes", {"x": UNIT}, sampler=sampler, sampler_options={"seed": 3})
    with pytest.raises(SearchSpaceError, match=f"options: {sampler} has none; those that have: tpe"):
        make_search(spec, SearchSpace.of({"x": UNIT}), 1)


def test_cma_es_refuses_several_metrics(spec_of):
    """The message names what can be used instead."""
    spec = spec_of("bayes", {"x": UNIT}, sampler="cmaes", metrics=(Metric(name="a"), Metric(name="b")))
    with pytest.raises(SearchSpaceError, match="cmaes optimises one metric, the sweep has 2; use gp"):
        make_search(spec, SearchSpace.of({"x": UNIT}), 1)


def test_learning_needs_a_metric():
    """Without one there is nothing to learn from."""
    bare = SweepSpec(method=Method.CUSTOM, parameters={"x": UNIT})
    with pytest.raises(SearchSpaceError, match="without a metric"):
        make_search(bare, SearchSpace.of(bare.parameters), 1)


def test_a_long_sweep_stays_quick(spec_of):
    """A suggestion after 1,000 trials of 20 parameters is far from making a slot wait."""
    import time

    parameters = {f"x{i}": UNIT for i in range(20)}
    space = SearchSpace.of(parameters)
    rng = np.random.default_rng(0)
    told = [finished(n, c, float(sum(c.values()))) for n, c in enumerate(space.configs(rng.random((1000, 20))))]
    search = make_search(spec_of("bayes", parameters), space, 1)
    search.suggest(1000, told, [])
    start = time.perf_counter()
    search.suggest(1001, told, [])
    assert time.perf_counter() - start < 5


def test_a_batch_of_one_number_holds_no_config_twice(spec_of):
    """On a line there is not room for 64 different bets: fewer are made."""
    spec = spec_of("bayes", {"x": UNIT})
    search = make_search(spec, SearchSpace.of(spec.parameters), 0)
    known = [finished(i, {"x": i / 10}, (i / 10 - 0.3) ** 2) for i in range(11)]
    batch = np.sort([config["x"] for config in suggest_batch(search, 11, known, [], 64)])
    assert 1 < len(batch) <= 64
    assert np.diff(batch).min() > 0.009


def test_configs_that_are_tried_together_lie_apart(spec_of):
    """A batch of the model's is one of different bets, not the same one eight times, and none where trials fail."""
    spec = spec_of("bayes", {"x": UNIT, "y": UNIT})
    search = make_search(spec, SearchSpace.of(spec.parameters), 0)
    points = np.random.default_rng(0).random((24, 2))
    known = [
        finished(i, {"x": float(x), "y": float(y)}, (x - 0.2) ** 2 + (y - 0.7) ** 2)
        if x < 0.5
        else Observation(number=i, config={"x": float(x), "y": float(y)}, outcome=Outcome.FAILED, order=i)
        for i, (x, y) in enumerate(points)
    ]
    batch = np.array([[c["x"], c["y"]] for c in suggest_batch(search, 24, known, [], 8)])
    assert len(batch) == 8
    gaps = np.abs(batch[:, None] - batch[None]).max(axis=2) + np.eye(8)
    assert gaps.min() > 0.009
    assert (batch[:, 0] < 0.55).all()
