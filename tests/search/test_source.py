"""Schedulers of wandb 0.31: a named engine, or the user's own study."""

import subprocess
import sys

import optuna
import pytest
import yaml

from orchestrator.errors import SearchSpaceError
from orchestrator.search.factory import check_search, make_search
from orchestrator.search.protocol import Observation, Outcome, Pending, Remembered, Sweep
from orchestrator.space import SearchSpace
from orchestrator.spec.model import Categorical, Gaussian, Goal, Interval, Kind, Metric, Nested, Scheduler

PARAMETERS = {
    "lr": Interval(kind=Kind.LOG_UNIFORM_VALUES, min=1e-4, max=1.0),
    "n": Interval(kind=Kind.Q_UNIFORM, min=0, max=8, q=2),
    "opt": Nested(parameters={"c": Categorical(values=("a", "b")), "g": Gaussian(kind=Kind.NORMAL)}),
}

SOURCE = """
import enum, sys
import numpy as np
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

def of_numpy(trial):
    x = trial.suggest_float("x", 0, 1)
    return {"x": np.float32(x), "n": np.int64(3), "b": np.bool_(True), "a": np.arange(2), "t": (1, {2: Size.S}), "s": Name.A}

class Size(enum.IntEnum):
    S = 5

class Name(str, enum.Enum):
    A = "A"

def dtype(trial):
    return {"net": {"layers": [1, np.dtype("float32")]}}

def surrogate(trial):
    return {"path": "caf\\udce9"}

def huge(trial):
    return {"n": 10**400}

def leaves(anything):
    sys.exit(0)

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
        (
            {"search_space": "dtype"},
            r"returned net.layers\[1\]: dtype\('float32'\), a Float32DType; a config holds numbers",
        ),
        ({"search_space": "surrogate"}, r"returned path: 'caf\\udce9', a str; a config"),
        ({"search_space": "huge"}, r"returned n: 100\d+\.\.\.0+, a int; a config"),
        ({"search_space": "leaves"}, "search_space: SystemExit: 0"),
        ({"optimizer": "leaves"}, "optimizer: SystemExit: 0"),
        ({"search_space": "two_arguments"}, "of one argument, an optuna.Trial"),
        ({"search_space": "space", "source": False}, "source must name the Python file"),
    ],
)
def test_mistakes_show_before_the_sweep_starts(functions, message, custom):
    """Each names the key, the function and what is expected."""
    with pytest.raises(SearchSpaceError, match=message):
        build(custom(**functions))


def test_what_a_space_returns_is_kept_as_plain_values(custom):
    """NumPy's numbers and arrays, tuples, names that are no text and enums become what YAML and JSON write."""
    config = build(custom(search_space="of_numpy")).suggest(0, [], [])
    assert yaml.safe_load(yaml.safe_dump(config)) == config
    assert config | {"x": 0} == {"x": 0, "n": 3, "b": True, "a": [0, 1], "t": [1, {"2": 5}], "s": "A"}


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
from orchestrator.search.factory import make_search, warm_up
from orchestrator.search.strategies import is_adaptive
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


def test_a_search_is_checked_without_numpy():
    """`sweep check` of what can only be refused by its words answers before a library is read."""
    code = """
import sys
from orchestrator import session
from orchestrator.spec.model import Beta, Categorical, Kind, Method, Metric, Nested, SweepSpec
from orchestrator.search.strategies import is_known_to_work
parameters = {"a": Categorical(values=(1, 2)), "b": Nested(parameters={"c": Categorical(values=(1, 2))})}
spec = SweepSpec(method=Method("bayes"), parameters=parameters, metric=Metric(name="loss"))
session.check_search(spec, "/")
session.check_search(SweepSpec(method=Method("random"), parameters=parameters), "/")
narrow = Nested(parameters={"c": Beta(kind=Kind.BETA, a=1e300, b=2.0)})
assert not is_known_to_work(SweepSpec(method=spec.method, parameters={"b": narrow}, metric=spec.metric))
print([name for name in ("numpy", "optuna") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


KEPT = """
import optuna

def make(info):
    sampler = optuna.samplers.{sampler}
    study = optuna.create_study(storage={storage}, study_name=f"of-{{info.id}}", sampler=sampler)
    study.enqueue_trial({{"u": -1.0}})
    optuna.seen = study
    return study

def space(trial):
    u = trial.suggest_float("u", -3.0, 0.0)
    if trial.suggest_categorical("kind", {choices}) == "a":
        return {{"lr": 10**u, "n": trial.suggest_int("n", 1, 4)}}
    return {{"lr": 10**u}}
"""
SAMPLERS = [
    "TPESampler(n_startup_trials=2)",
    "NSGAIISampler(population_size=3)",
    "RandomSampler(seed=1)",
    "GPSampler(n_startup_trials=2)",
]


class Ledgered:
    """A search whose controller may die at any time: what it wanted kept, and the trials as a ledger has them."""

    def __init__(self, spec, sweep_id="abcd1234"):
        self.spec, self.sweep_id = spec, sweep_id
        self.memory, self.records = None, {}
        self.trials, self.observations, self.rows = {}, [], {}
        self.begin()

    def begin(self):
        sweep = Sweep(id=self.sweep_id, memory=self.memory)
        self.search = make_search(self.spec, SearchSpace.of(self.spec.parameters), 4, sweep)
        over = {o.number for o in self.observations}
        self.search.restore(
            self.memory,
            [
                Remembered(number=n, config=c, record=self.records.get(n), rows=self.rows[n], over=n in over)
                for n, c in self.trials.items()
            ],
        )
        for observation in self.observations:
            self.search.tell(observation)

    def ask(self, *, dies=False):
        number = len(self.trials)
        over = {o.number for o in self.observations}
        pending = [Pending(number=n, config=c) for n, c in self.trials.items() if n not in over]
        config = self.search.suggest(number, self.observations, pending)
        if not dies and config is not None:
            self.trials[number], self.rows[number] = config, []
            self.keep()
        return config

    def end(self, number, score):
        self.rows[number] = [(0, score + 1.0), (1, score)]
        self.search.report(number, self.rows[number])
        outcome = Outcome.FAILED if number == 2 else Outcome.FINISHED
        scores = () if number == 2 else (score,)
        config = self.trials[number]
        order = len(self.observations)
        self.observations.append(Observation(number=number, config=config, outcome=outcome, scores=scores, order=order))
        self.search.tell(self.observations[-1])
        self.keep()

    def keep(self):
        memory = self.search.remember()
        self.records |= memory.trials
        self.memory = memory.search or self.memory

    def run(self, n, *, dies_after=()):
        """Two trials at a time, the newer ends first; the controller dies after some of the ends, having asked once more."""
        for start in range(0, n, 2):
            for _ in range(2):
                self.ask()
            for number in (start + 1, start):
                self.end(number, float(number))
            if start in dies_after:
                self.ask(dies=True)
                self.begin()
        return list(self.trials.values())


@pytest.fixture
def kept_spec(tmp_path, spec_of):
    def make(sampler, storage="None"):
        path = tmp_path / "kept.py"
        choices = "['a', 'b', (1, 2)]" if storage == "None" else "['a', 'b']"
        path.write_text(KEPT.format(sampler=sampler, storage=storage, choices=choices))
        scheduler = Scheduler(engine="optuna", source=str(path), optimizer="make", search_space="space")
        return spec_of("custom", {}, scheduler=scheduler)

    return make


def account():
    return [
        (t.number, t.state.name, t.params, t.values, t.intermediate_values)
        for t in optuna.seen.get_trials(deepcopy=False)
    ]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_resumed_study_goes_on_as_it_would_have(sampler, kept_spec):
    """A study in memory is filled from the ledger, its random state and all: the same trials as without a death."""
    whole = Ledgered(kept_spec(sampler)).run(8)
    expected = account()
    assert Ledgered(kept_spec(sampler)).run(8, dies_after=(0, 4)) == whole
    assert account() == expected
    assert expected[0][2]["u"] == -1.0


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_study_in_a_storage_is_filled_once(kind, kept_spec, tmp_path):
    """Eight trials are eight trials there, whatever dies when; a trial asked for and not written down is used, not lost."""
    storage = {
        "sqlite": f"'sqlite:///{tmp_path}/study.db'",
        "journal": "optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend("
        f"'{tmp_path}/study.log'))",
    }[kind]
    whole = Ledgered(kept_spec("TPESampler(n_startup_trials=2)", "optuna.storages.InMemoryStorage()")).run(8)
    expected = account()
    spec = kept_spec("TPESampler(n_startup_trials=2)", storage)
    assert Ledgered(spec).run(8, dies_after=(0, 2, 4)) == whole
    assert account() == expected
    assert len(expected) == 8


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("number", [1, 2])
def test_a_trial_that_runs_again_is_told_again(number, kept_spec):
    """As a trial of its own, of the same params, also of one that had failed; resumed, the study knows the last end alone."""
    made = Ledgered(kept_spec("RandomSampler(seed=1)"))
    made.run(4)
    ended = account()
    made.search.again(number)
    made.search.again(number)  # it runs already
    made.keep()
    made.observations = [o for o in made.observations if o.number != number]
    begun = account()
    assert (begun[:-1], begun[-1][1]) == (ended, "RUNNING")
    made.search.report(number, [(0, 9.0)])
    again = Observation(number=number, config=made.trials[number], outcome=Outcome.FINISHED, scores=(7.0,), order=9)
    for _ in range(2):
        made.search.tell(again)
    made.observations.append(again)
    made.keep()
    old = next(t for t in ended if t[2] == begun[-1][2])
    assert account()[-1] == (4, "COMPLETE", old[2], [7.0], {0: 9.0})
    made.rows[number] = [(0, 9.0)]
    made.begin()
    assert [t[3] for t in account() if t[2] == old[2]] == [[7.0]]


@pytest.mark.filterwarnings("ignore")
def test_looking_leaves_nothing_behind(kept_spec, tmp_path):
    """`check` and `plan` make the study, and its storage has none afterwards."""
    spec = kept_spec("RandomSampler()", f"'sqlite:///{tmp_path}/study.db'")
    check_search(spec, Sweep(id="plan"))
    assert optuna.get_all_study_summaries(f"sqlite:///{tmp_path}/study.db") == []
