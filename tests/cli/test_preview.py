import pytest

from orchestrator.cli.preview import EXAMPLE_SEED, preview
from orchestrator.errors import ProgramError, SearchSpaceError
from orchestrator.search.factory import make_search
from orchestrator.space import SearchSpace
from orchestrator.spec.model import (
    Beta,
    Categorical,
    Constant,
    EarlyTerminate,
    Gaussian,
    Interval,
    Kind,
    Method,
    Metric,
    Nested,
    Options,
    SweepSpec,
)
from orchestrator.trial.contract.launch import ProgramKind

UNITS = Interval(kind=Kind.INT_UNIFORM, min=1, max=3)
LR = Interval(kind=Kind.LOG_UNIFORM_VALUES, min=1e-5, max=0.1)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.py").touch()
    return tmp_path


def seen(folder, *, n_trials=3, environ=None, **given):
    spec = SweepSpec(**{"method": Method.RANDOM, "program": "train.py", "parameters": {"lr": LR}, **given})
    return preview(spec, n_trials=n_trials, cwd=folder, environ=environ or {})


def test_a_grid_shows_its_own_first_configs(folder):
    """In W&B's order, with the command line that would run them."""
    found = seen(
        folder, method=Method.GRID, parameters={"b": UNITS, "a": Categorical(values=("x", "y"))}, n_trials=4, run_cap=9
    )
    assert [trial.config for trial in found.trials] == [
        {"a": "x", "b": 1},
        {"a": "x", "b": 2},
        {"a": "x", "b": 3},
        {"a": "y", "b": 1},
    ]
    assert found.trials[3].argv == ("/usr/bin/env", "python", "train.py", "--a=y", "--b=1")
    assert (found.n_configs, found.n_trials, found.n_dimensions) == (6, 6, 2)
    assert found.program is not None
    assert found.program.kind is ProgramKind.SCRIPT


def test_a_grid_shows_the_values_it_visits(folder):
    """A stepped range starts at min and leaves out max; it does not go through the multiples of q."""
    stepped = Interval(kind=Kind.Q_UNIFORM, min=1, max=10, q=4)
    long = Interval(kind=Kind.Q_UNIFORM, min=0.0, max=1.0, q=0.05)
    found = seen(folder, method=Method.GRID, parameters={"a": stepped, "b": long, "c": UNITS})
    assert [(parameter.values, parameter.n_values) for parameter in found.parameters] == [
        ("1, 5, 9", 3),
        ("0, 0.05, ... 0.95", 20),
        ("whole numbers from 1 to 3", 3),
    ]


def test_a_distribution_shows_its_shape(folder):
    """Centre and width, shape, probabilities."""
    found = seen(
        folder,
        parameters={
            "a": Gaussian(kind=Kind.NORMAL, mu=2),
            "b": Beta(kind=Kind.Q_BETA, a=2.5, q=0.1),
            "c": Categorical(values=(1, 2), probabilities=(0.25, 0.75)),
            "d": Categorical(values=tuple(range(10)), probabilities=(0.1,) * 10),
        },
    )
    assert [parameter.values for parameter in found.parameters] == [
        "any number; mu 2, sigma 1",
        "multiples of 0.1, from 0 to 1; a 2.5, b 1",
        "one of 1, 2; probabilities 0.25, 0.75",
        "one of 0, 1, 2, 3, 4, 5, 6, 7, ... 10 values; probabilities 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, ...",
    ]


def test_a_grid_may_be_shorter_than_what_was_asked_for(folder):
    """All of its configs are shown."""
    found = seen(folder, method=Method.GRID, parameters={"a": Constant(value=1)}, n_trials=10)
    assert [trial.config for trial in found.trials] == [{"a": 1}]


@pytest.mark.parametrize("method", [Method.RANDOM, Method.BAYES])
def test_with_a_seed_the_configs_are_the_sweeps_own(folder, method):
    """They are what the search suggests while there are no results."""
    spec = SweepSpec(
        method=method,
        program="train.py",
        metric=Metric(name="loss"),
        parameters={"lr": LR, "o": Nested(parameters={"u": UNITS})},
        options=Options(seed=11),
    )
    found = preview(spec, n_trials=1, cwd=folder, environ={})
    search = make_search(spec, SearchSpace.of(spec.parameters), 11)
    assert found.seed == 11
    assert found.trials[0].config == search.suggest(0, (), ())


def test_without_a_seed_the_configs_are_examples(folder):
    """The same ones each time, and an endless sweep has no number of trials."""
    found = seen(folder)
    assert found.seed == EXAMPLE_SEED
    assert found.trials == seen(folder).trials
    assert (found.n_configs, found.n_trials) == (None, None)
    assert seen(folder, run_cap=7).n_trials == 7


def test_a_finite_space_ends_unless_configs_may_repeat(folder):
    """Random search does not try a config twice by default."""
    assert seen(folder, parameters={"u": UNITS}).n_trials == 3
    assert seen(folder, parameters={"u": UNITS}, options=Options(allow_repeats=True)).n_trials is None


def test_rungs_of_early_termination(folder):
    """Those of W&B's hyperband; a rule without rungs has none."""
    hyperband = EarlyTerminate(type="hyperband", max_iter=27, s=2)
    median = EarlyTerminate(type="median")
    assert seen(folder, metric=Metric(name="loss"), early_terminate=hyperband).rungs == (3, 9)
    assert seen(folder, metric=Metric(name="loss"), early_terminate=median).rungs == ()


def test_environment_variables_stand_in_the_command_line(folder):
    """Those of the caller, as a sweep would see them."""
    found = seen(folder, command=("python", "train.py", "--data=${envvar:DATA}"), environ={"DATA": "/data"})
    assert found.trials[0].argv == ("python", "train.py", "--data=/data")


def test_no_trials_may_be_asked_for(folder):
    """Then the program is not looked at."""
    found = seen(folder, n_trials=0, program="missing.py")
    assert (found.trials, found.program) == ((), None)


def test_what_cannot_run_is_an_error(folder):
    """A missing script, and a grid over a continuous parameter."""
    with pytest.raises(ProgramError, match=r"program missing\.py does not exist"):
        seen(folder, program="missing.py")
    with pytest.raises(SearchSpaceError, match="a grid cannot enumerate"):
        seen(folder, method=Method.GRID)
