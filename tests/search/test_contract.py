"""What every search promises, whatever its strategy."""

import copy
import json

import pytest

from orchestrator.search.factory import make_search
from orchestrator.search.protocol import Observation, Outcome, Pending, suggest_batch
from orchestrator.search.strategies import is_adaptive
from orchestrator.space import SearchSpace
from orchestrator.spec.model import Categorical, Constant, Metric

STRATEGIES = {
    "grid": ("grid", {}),
    "grid shuffled": ("grid", {"grid_order": "shuffled"}),
    "random": ("random", {}),
    "qmc": ("random", {"sampler": "qmc"}),
    "gp": ("bayes", {}),
    "tpe": ("bayes", {"sampler": "tpe"}),
    "nsgaii": ("bayes", {"sampler": "NSGAIISampler", "sampler_options": {"population_size": 4}}),
}
CONTINUOUS = {name: given for name, given in STRATEGIES.items() if given[0] != "grid"}


@pytest.fixture(params=STRATEGIES.values(), ids=STRATEGIES.keys())
def strategy(request):
    return request.param


@pytest.fixture(params=CONTINUOUS.values(), ids=CONTINUOUS.keys())
def free_strategy(request):
    return request.param


def loss(config):
    """A loss of any config, and a failure now and then."""
    total = sum(len(str(value)) % 5 for value in config.values())
    return None if total % 4 == 3 else (float(total),)


def test_every_config_lies_in_the_space(free_strategy, every_kind, spec_of, sweep):
    """All 18 distributions, nested ones too, in one space: each config is one that the spec allows."""
    method, options = free_strategy
    spec = spec_of(method, every_kind, **options)
    space = SearchSpace.of(every_kind)
    trials = sweep(spec, loss, n=24, parallel=3)
    assert len(trials) == 24
    assert all(space.contains(trial.config) and trial.config["constant"] == {"a": 1} for trial in trials)


def test_a_finite_space_is_tried_once_each_and_ends(strategy, finite, spec_of, sweep):
    """Twelve configs are twelve different trials, and then the sweep is over, also with several at a time."""
    method, options = strategy
    trials = sweep(spec_of(method, finite, **options), loss, n=30, parallel=3)
    assert len(trials) == 12
    assert len({str(trial.config) for trial in trials}) == 12


def test_a_fresh_search_continues_as_the_old_one(strategy, finite, spec_of, sweep):
    """After `resume` a search without a past proposes what the one that died would have proposed."""
    method, options = strategy
    spec, space = spec_of(method, finite, **options), SearchSpace.of(finite)
    old = make_search(spec, space, 5)
    trials = sweep(spec, loss, n=8, parallel=2, search=old)
    stored = json.loads(json.dumps([trial.config for trial in trials]))
    told = [
        Observation(number=t.number, config=c, outcome=t.outcome, scores=t.scores, order=t.order)
        for t, c in zip(trials, stored, strict=True)
    ]
    waiting = [Pending(number=8, config={"a": 4, "b": "y", "c": False})]
    assert make_search(spec, space, 5).suggest(9, told, waiting) == old.suggest(9, trials, waiting)


def test_the_seed_decides(free_strategy, every_kind, spec_of, sweep):
    """The same seed gives the same sweep, another seed another."""
    method, options = free_strategy
    spec = spec_of(method, every_kind, **options)
    first, again, other = ([t.config for t in sweep(spec, loss, n=8, seed=seed)] for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize("first", [(), ({"a": 4, "b": "y", "c": True}, {"a": 2})], ids=["", "first"])
def test_a_batch_is_as_good_as_one_after_the_other(strategy, finite, spec_of, first):
    """Asked for several at a time, a search answers with different configs of the space, the first of them as ever."""
    method, options = strategy
    spec, space = spec_of(method, finite, first=first, **options), SearchSpace.of(finite)
    search = make_search(spec, space, 2)
    trials: list[Observation] = []
    while len(trials) < 12:
        number = len(trials)
        batch = suggest_batch(search, number, trials, [], 5)
        assert batch[0] == make_search(spec, space, 2).suggest(number, trials, [])
        assert batch == suggest_batch(make_search(spec, space, 2), number, trials, [], 5)
        assert 1 <= len(batch) <= 5
        for config in batch:
            assert space.contains(config)
            scores = loss(config)
            outcome = Outcome.FAILED if scores is None else Outcome.FINISHED
            trials.append(
                Observation(number=len(trials), config=config, outcome=outcome, scores=scores or (), order=len(trials))
            )
    assert len({str(trial.config) for trial in trials}) == len(trials) == 12
    assert suggest_batch(search, 12, trials, [], 5) == [None]


def test_inputs_are_left_alone(strategy, finite, spec_of):
    """A search changes neither observations nor configs."""
    method, options = strategy
    told = [
        Observation(
            number=n, config={"a": 1, "b": "x", "c": n > 3}, outcome=Outcome.FINISHED, scores=(float(n),), order=n
        )
        for n in range(6)
    ]
    before = copy.deepcopy(told)
    search = make_search(spec_of(method, finite, **options), SearchSpace.of(finite), 1)
    config = search.suggest(6, told, [])
    config["a"] = "changed by a program"
    assert told == before
    assert search.suggest(6, told, [])["a"] != "changed by a program"


def test_a_sweep_whose_trials_all_fail_goes_on(strategy, finite, spec_of, sweep):
    """Without a single score the search still covers the space."""
    method, options = strategy
    assert len(sweep(spec_of(method, finite, **options), lambda config: None, n=12)) == 12


def test_nothing_varies(strategy, spec_of, sweep):
    """A space of constants has one config."""
    method, options = strategy
    trials = sweep(spec_of(method, {"a": Constant(value=7)}, **options), lambda config: (1.0,), n=5)
    assert [trial.config for trial in trials] == [{"a": 7}]


def test_foreign_priors_do_no_harm(strategy, finite, spec_of, sweep):
    """Prior trials with other parameters, other values and wild scores are survived."""
    method, options = strategy
    prior = [
        Observation(number=-1, config={"a": 1}, outcome=Outcome.FINISHED, scores=(1.0,)),
        Observation(
            number=-2, config={"a": 77, "b": "x", "c": True}, outcome=Outcome.FINISHED, scores=(1e300,), order=1
        ),
        Observation(
            number=-3, config={"a": 2, "b": "x", "c": True}, outcome=Outcome.FINISHED, scores=(-1e300,), order=2
        ),
        Observation(number=-4, config={"a": 1, "b": "y", "c": True}, outcome=Outcome.FINISHED, scores=(1e9,), order=3),
    ]
    trials = sweep(spec_of(method, finite, **options), loss, n=12, prior=prior)
    assert len(trials) == 10


@pytest.mark.parametrize(("method", "sampler"), [("random", "gp"), ("bayes", "gp"), ("bayes", "tpe")])
def test_repeats_are_allowed_on_request(method, sampler, spec_of, sweep):
    """`allow_repeats` keeps a sweep of a small space going."""
    spec = spec_of(method, {"a": Categorical(values=(1, 2))}, allow_repeats=True, sampler=sampler)
    assert len(sweep(spec, lambda config: (float(config["a"]),), n=9)) == 9


def test_first_configs_come_first(strategy, finite, spec_of, sweep):
    """`orchestrator.first` is tried in its order, what it leaves out is filled in, and nothing is tried twice."""
    method, options = strategy
    first = ({"a": 4, "b": "y", "c": True}, {"a": 2})
    trials = sweep(spec_of(method, finite, first=first, **options), loss, n=30)
    assert trials[0].config == first[0]
    assert trials[1].config["a"] == 2
    assert len({str(trial.config) for trial in trials}) == len(trials) == 12


def test_adaptive_is_what_learns(strategy, finite, spec_of):
    """Only searches that learn are worth asking again when a result arrives."""
    method, options = strategy
    assert is_adaptive(spec_of(method, finite, **options)) == (method == "bayes")


@pytest.mark.parametrize("sampler", ["gp", "tpe", "nsgaii"])
def test_several_objectives(sampler, every_kind, spec_of, sweep):
    """Two metrics are searched through the same door, failures and pending trials included."""
    metrics = (Metric(name="loss"), Metric(name="size"))
    spec = spec_of("bayes", every_kind, metrics=metrics, sampler=sampler)

    def two(config):
        return None if config["int_uniform"] == 0 else (config["uniform"] ** 2, -float(config["int_uniform"]))

    assert len(sweep(spec, two, n=16, parallel=2)) == 16
