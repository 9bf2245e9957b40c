"""Schedulers of wandb 0.31: a named engine, or the user's own study."""

import subprocess
import sys

import pytest

from orchestrator.errors import SearchSpaceError
from orchestrator.search.factory import make_search
from orchestrator.space import SearchSpace
from orchestrator.spec.model import Categorical, Gaussian, Goal, Interval, Kind, Metric, Nested, Scheduler

PARAMETERS = {
    "lr": Interval(kind=Kind.LOG_UNIFORM_VALUES, min=1e-4, max=1.0),
    "n": Interval(kind=Kind.Q_UNIFORM, min=0, max=8, q=2),
    "opt": Nested(parameters={"c": Categorical(values=("a", "b")), "g": Gaussian(kind=Kind.NORMAL)}),
}

SOURCE = """
import optuna

def sampler_of(info):
    direction = info.config["metric"]["goal"]
    assert info.config["parameters"]["lr"]["distribution"] == "log_uniform_values"
    return optuna.create_study(sampler=optuna.samplers.TPESampler(n_startup_trials=3), direction=direction)

def terminated(info):
    return sampler_of(info), lambda study: len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE])) >= 5

def grid(info):
    return optuna.create_study(sampler=optuna.samplers.GridSampler({"lr": [0.1, 0.2]}, seed=1), direction="minimize")

def two_directions(info):
    return optuna.create_study(directions=["minimize", "minimize"])

def no_study(info):
    return "tpe"

def broken(info):
    raise KeyError("oops")

def space(trial):
    kind = trial.suggest_categorical("kind", ["svm", "tree"])
    if kind == "svm":
        return {"kind": kind, "C": trial.suggest_float("C", 0.1, 10, log=True)}
    return {"kind": kind, "depth": trial.suggest_int("depth", 1, 5)}

def lists(trial):
    return [1]

def two_arguments(a, b):
    return a
"""


@pytest.fixture
def custom(tmp_path, spec_of):
    """A function: the names of the user's functions to a spec with method custom."""
    path = tmp_path / "my_search.py"
    path.write_text(SOURCE)

    def make(parameters=None, *, goal=Goal.MINIMIZE, engine="optuna", source=True, **functions):
        scheduler = Scheduler(engine=engine, source=str(path) if source else None, **functions)
        return spec_of("custom", PARAMETERS if parameters is None else parameters, goal=goal, scheduler=scheduler)

    return make


def build(spec):
    return make_search(spec, SearchSpace.of(spec.parameters), 4)


@pytest.mark.parametrize("goal", list(Goal))
def test_the_users_study_chooses(goal, custom, sweep):
    """A study with the user's sampler runs over nested and normal parameters, in the metric's own direction."""
    spec = custom(optimizer="sampler_of", goal=goal)
    trials = sweep(spec, lambda c: (c["lr"],), n=10, parallel=2)
    assert len(trials) == 10
    assert all(SearchSpace.of(PARAMETERS).contains(t.config) for t in trials)
    assert [t.config for t in sweep(spec, lambda c: (c["lr"],), n=10, parallel=2)] == [t.config for t in trials]


def test_conditional_spaces_run_by_definition(custom, sweep):
    """A define-by-run function makes configs with different parameters, failures included."""
    spec = custom({}, search_space="space")
    trials = sweep(spec, lambda c: None if c.get("depth") == 1 else (c.get("C", 5.0),), n=14)
    assert {frozenset(t.config) for t in trials} == {frozenset({"kind", "C"}), frozenset({"kind", "depth"})}


def test_a_terminator_ends_the_sweep(custom, sweep):
    """When the user's function says so, nothing more is proposed."""
    assert len(sweep(custom(optimizer="terminated"), lambda c: (c["lr"],), n=20)) == 5


def test_a_spent_grid_ends_the_sweep(custom, sweep):
    """Optuna's GridSampler would repeat itself; here the sweep is over, also while its last trials run."""
    spec = custom({"lr": Categorical(values=(0.1, 0.2))}, optimizer="grid")
    for parallel in (1, 2):
        trials = sweep(spec, lambda c: (c["lr"],), n=9, parallel=parallel)
        assert sorted(t.config["lr"] for t in trials) == [0.1, 0.2]


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ({"optimizer": "two_directions"}, r"directions \['minimize', 'minimize'\] are not the goals"),
        ({"optimizer": "no_study"}, "returned str; it must return an optuna.Study"),
        ({"optimizer": "broken"}, "KeyError: 'oops'"),
        ({"optimizer": "missing"}, "does not define 'missing'"),
        ({"optimizer": "two_arguments"}, "must be a function of one argument, a SweepInfo"),
        ({"search_space": "lists"}, "search_space returned list"),
        ({"search_space": "two_arguments"}, "of one argument, an optuna.Trial"),
        ({"search_space": "space", "source": False}, "source must name the Python file"),
    ],
)
def test_mistakes_show_before_the_sweep_starts(functions, message, custom):
    """Each names the key, the function and what is expected."""
    with pytest.raises(SearchSpaceError, match=message):
        build(custom(**functions))


def test_a_missing_file_is_named(spec_of):
    """The path is in the message."""
    scheduler = Scheduler(engine="optuna", source="no/such.py", optimizer="f")
    with pytest.raises(SearchSpaceError, match=r"no file 'no/such\.py'"):
        build(spec_of("custom", PARAMETERS, scheduler=scheduler))


def test_a_file_that_fails_is_named(tmp_path, spec_of):
    """An exception of the user's file is told in one line."""
    path = tmp_path / "bad.py"
    path.write_text("import nothing_of_this_name")
    scheduler = Scheduler(engine="optuna", source=str(path), optimizer="f")
    with pytest.raises(SearchSpaceError, match=r"bad.py: ModuleNotFoundError: .*nothing_of_this_name"):
        build(spec_of("custom", PARAMETERS, scheduler=scheduler))


@pytest.mark.parametrize("engine", ["optuna", "wandb"])
def test_engines_without_functions(engine, custom, sweep):
    """`engine: optuna` alone is TPE, as Optuna's default; `engine: wandb` is our own search."""
    spec = custom(engine=engine, source=False)
    assert len(sweep(spec, lambda c: (c["lr"],), n=9)) == 9


def test_ax_says_what_to_do(custom):
    """The engine that is not built in is refused with the ways out."""
    with pytest.raises(SearchSpaceError, match=r"'ax' is not built in.*method: bayes.*wandb\[ax\]"):
        build(custom(engine="ax"))


def test_several_metrics_with_a_user_study(tmp_path, spec_of, sweep):
    """Two goals, two directions."""
    path = tmp_path / "mo.py"
    path.write_text(
        "import optuna\ndef f(info):\n    return optuna.create_study(directions=['minimize', 'maximize'])\n"
    )
    metrics = (Metric(name="loss"), Metric(name="acc", goal=Goal.MAXIMIZE))
    scheduler = Scheduler(engine="optuna", source=str(path), optimizer="f")
    spec = spec_of("custom", PARAMETERS, metrics=metrics, scheduler=scheduler)
    assert len(sweep(spec, lambda c: (c["lr"], -c["lr"]), n=6)) == 6


@pytest.mark.parametrize("method", ["grid", "random"])
def test_simple_sweeps_import_nothing_heavy(method):
    """A grid or random sweep starts without Optuna, torch and scipy.stats."""
    code = f"""
import sys
from orchestrator.search.factory import is_adaptive, make_search, warm_up
from orchestrator.space import SearchSpace
from orchestrator.spec.model import Categorical, Method, SweepSpec
spec = SweepSpec(method=Method("{method}"), parameters={{"a": Categorical(values=(1, 2))}})
assert make_search(spec, SearchSpace.of(spec.parameters), 1).suggest(0, [], []) is not None
assert not is_adaptive(spec)
warm_up(spec)
print([name for name in ("optuna", "torch", "scipy.stats", "sklearn") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
