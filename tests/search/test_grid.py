"""W&B's grid: order, de-duplication, exhaustion."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.search.factory import make_search
from orchestrator.search.grid import GridSearch
from orchestrator.search.permutation import Permutation
from orchestrator.search.protocol import Observation, Outcome, Pending
from orchestrator.space import SearchSpace
from orchestrator.spec.model import Categorical, Constant, Interval, Kind, Nested


def walk(search, *, skip=()):
    """All configs of a grid, each told as finished unless its number is in `skip`."""
    told, configs = [], []
    while (config := search.suggest(len(configs), told, [])) is not None:
        if len(configs) not in skip:
            told.append(Observation(number=len(configs), config=config, outcome=Outcome.FINISHED, order=len(told)))
        configs.append(config)
        assert len(configs) < 500
    return configs


def grid(spec_of, parameters, **options):
    return make_search(spec_of("grid", parameters, **options), SearchSpace.of(parameters), 3)


names = st.text("abcxyz", min_size=1, max_size=3)
columns = st.dictionaries(
    names, st.lists(st.integers(-3, 5) | st.text("pq", max_size=2), min_size=1, max_size=4), min_size=1, max_size=4
)


@settings(max_examples=100)
@given(values=columns)
def test_order_equals_the_formula(values):
    """On hundreds of grids: product over names in alphabetical order, the last one fastest, repeats collapsed."""
    parameters = {name: Categorical(values=tuple(listed)) for name, listed in values.items()}
    ordered = sorted(values)
    expected = [
        dict(zip(ordered, combination, strict=True))
        for combination in itertools.product(*(list(dict.fromkeys(values[name])) for name in ordered))
    ]
    from orchestrator.search.grid import GridSearch

    assert walk(GridSearch(SearchSpace.of(parameters), shuffle_seed=None)) == expected


def test_nested_and_ranges(spec_of):
    """int_uniform includes its end, q_uniform excludes it, constants ride along, nested names are flattened to sort."""
    parameters = {
        "b": Interval(kind=Kind.INT_UNIFORM, min=1, max=2),
        "a": Nested(parameters={"z": Interval(kind=Kind.Q_UNIFORM, min=0, max=4, q=2)}),
        "c": Constant(value="k"),
    }
    assert [(c["a"]["z"], c["b"], c["c"]) for c in walk(grid(spec_of, parameters))] == [
        (0, 1, "k"),
        (0, 2, "k"),
        (2, 1, "k"),
        (2, 2, "k"),
    ]


def test_what_is_left_out_is_offered_again(spec_of, finite):
    """A trial that the caller does not tell (a failure to be retried) is the next point again."""
    search = grid(spec_of, finite)
    everything = walk(search)
    told = [
        Observation(number=n, config=c, outcome=Outcome.FINISHED, order=n) for n, c in enumerate(everything) if n != 5
    ]
    assert search.suggest(12, told, []) == everything[5]
    assert search.suggest(12, told, [Pending(number=5, config=everything[5])]) is None


def test_failures_count_as_tried_but_not_a_prior_sweeps(spec_of, finite):
    """W&B does not repeat a failed point; one that failed in an earlier sweep is new to this one."""
    search = grid(spec_of, finite)
    point = search.suggest(0, [], [])
    assert search.suggest(1, [Observation(number=0, config=point, outcome=Outcome.FAILED)], []) != point
    assert search.suggest(0, [Observation(number=-1, config=point, outcome=Outcome.FAILED)], []) == point
    assert search.suggest(0, [Observation(number=-1, config=point, outcome=Outcome.FINISHED)], []) != point


def test_a_config_that_came_back_from_json_is_the_same(spec_of):
    """2.0 may come back as 2, and programs add keys: still the same point."""
    search = grid(spec_of, {"x": Categorical(values=(2.0, 3.0))})
    assert search.suggest(1, [Observation(number=0, config={"x": 2, "_host": "a"}, outcome=Outcome.FINISHED)], []) == {
        "x": 3.0
    }


def test_shuffled_is_the_same_set_in_another_order(spec_of, finite):
    """`grid_order: shuffled` visits each point once, by the seed."""
    straight, shuffled = walk(grid(spec_of, finite)), walk(grid(spec_of, finite, grid_order="shuffled"))
    assert shuffled != straight
    assert sorted(map(str, shuffled)) == sorted(map(str, straight))
    assert walk(grid(spec_of, finite, grid_order="shuffled")) == shuffled


def test_a_grid_of_billions_starts_at_once(spec_of):
    """Nothing is written out: the first points of an enormous grid cost nothing."""
    parameters = {name: Interval(kind=Kind.INT_UNIFORM, min=1, max=10**6) for name in "abcdef"}
    for order in ("wandb", "shuffled"):
        assert grid(spec_of, parameters, grid_order=order).suggest(0, [], []) is not None


@given(size=st.integers(1, 400), seed=st.integers(0, 10**9))
def test_a_permutation_hits_each_number_once(size, seed):
    """The shuffled order is a bijection for every size."""
    permutation = Permutation(size, seed)
    assert sorted(permutation) == list(range(size))
    assert list(permutation) == [permutation[i] for i in range(size)]


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 11)), max_size=30), shuffled=st.booleans())
def test_what_it_remembers_of_earlier_calls_changes_no_answer(steps, shuffled):
    """A grid that is asked as a sweep grows answers as one that is told everything at once, also when trials are left out."""
    space = SearchSpace.of({"a": Categorical(values=(1, 2, 3)), "b": Categorical(values=(1, 2, 3, 4))})
    seed = 7 if shuffled else None
    asked, told = GridSearch(space, shuffle_seed=seed), []
    configs = [{"a": a, "b": b} for a in (1, 2, 3) for b in (1, 2, 3, 4)]
    for forget, i in steps:
        told = told[: len(told) // 2] if forget else told
        told.append(Observation(number=i, config=configs[i], outcome=Outcome.FINISHED, order=len(told)))
        pending = [Pending(number=i + 1, config=configs[(i + 1) % 12])]
        assert asked.suggest(0, told, pending) == GridSearch(space, shuffle_seed=seed).suggest(0, told, pending)
