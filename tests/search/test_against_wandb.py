"""Studies driven by wandb 0.31's own scheduler classes and by ours, side by side: the same asks, rows, ends and trials."""

import random
from dataclasses import dataclass

import optuna
import pytest
from wandb.sdk.sweeps.run_state import RunState
from wandb.sdk.sweeps.scheduler.optimizer import RunConfig, RunWithMetrics
from wandb.sdk.sweeps.scheduler.optuna import build_optuna_optimizer
from wandb.sdk.sweeps.sweep_info import SweepInfo

from orchestrator.search.factory import make_search
from orchestrator.search.protocol import Observation, Outcome, Pending
from orchestrator.space import SearchSpace
from orchestrator.spec import load_dict

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning", "ignore::FutureWarning")

SAMPLERS = {
    "tpe": "TPESampler(seed=SEED, n_startup_trials=3)",
    "tpe together": "TPESampler(seed=SEED, n_startup_trials=3, multivariate=True, group=True)",
    "gp": "GPSampler(seed=SEED, n_startup_trials=3)",
    "cmaes": "CmaEsSampler(seed=SEED, n_startup_trials=2)",
    "nsgaii": "NSGAIISampler(seed=SEED, population_size=3)",
    "random": "RandomSampler(seed=SEED)",
    "qmc": "QMCSampler(seed=SEED, scramble=True)",
    "grid": "GridSampler({'u': [0.5, -1.0, float('nan')][:2], 'kind': ['a', 1, True]}, seed=SEED)",
    "brute force": "BruteForceSampler(seed=SEED)",
}
FINITE = {"grid", "brute force"}
PRUNERS = [
    "NopPruner()",
    "MedianPruner(n_startup_trials=1, n_warmup_steps=1)",
    "SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)",
    "ThresholdPruner(upper=4.0)",
]
SPACES = {
    "derived": """
    u = trial.suggest_float("u", -3.0, 1.0)
    trial.set_user_attr("size", u * u)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    return {"lr": 10 ** u, "net": {"kind": kind, "depth": [1, 2]}}
""",
    "branches": """
    u = trial.suggest_float("u", -3.0, 1.0)
    if trial.suggest_categorical("kind", ["a", "b"]) == "a":
        return {"u": u, "n": trial.suggest_int("n", 1, 5)}
    return {"u": u}
""",
    "finite": """
    u = trial.suggest_categorical("u", [0.5, -1.0])
    if trial.suggest_categorical("kind", ["a", 1, True]) == "a":
        return {"u": u, "more": 1}
    return {"u": u}
""",
}
FILE = """
import optuna

SEED = {seed}
studies = []


def make(info):
    sampler = optuna.samplers.{sampler}
    study = optuna.create_study(direction="{goal}", sampler=sampler, pruner=optuna.pruners.{pruner})
    for params in {enqueued}:
        study.enqueue_trial(params)
    for trial in {added}:
        study.add_trial(optuna.trial.create_trial(value=trial, params=dict(u=0.25), distributions=dict(
            u=optuna.distributions.FloatDistribution(-3.0, 1.0))))
    optuna.seen = study
    return study


def space(trial):
{space}
"""


@dataclass
class Case:
    """One generated sweep."""

    name: str
    seed: int

    def __post_init__(self):
        rng = random.Random(f"{self.name}/{self.seed}")
        self.finite = self.name in FINITE
        self.space = "finite" if self.finite else rng.choice(["derived", "branches"])
        self.pruner = rng.choice(PRUNERS)
        self.goal = rng.choice(["minimize", "maximize"])
        self.enqueued = [] if self.name == "grid" else rng.choice([[], [{"u": 0.5}], [{"u": -1.0}, {"u": 0.5}]])
        self.added = rng.choice([[], [1.5]]) if not self.finite else []
        self.parallel = 1 if self.finite else rng.choice([1, 2, 3])

    def spec(self, tmp_path):
        path = tmp_path / f"search_{self.seed}.py"
        given = {"seed": self.seed, "sampler": SAMPLERS[self.name], "pruner": self.pruner, "goal": self.goal}
        given |= {"enqueued": self.enqueued, "added": self.added, "space": SPACES[self.space]}
        path.write_text(FILE.format(**given))
        scheduler = {"engine": "optuna", "source": str(path), "optimizer": "make", "search_space": "space"}
        return {"method": "custom", "metric": {"name": "loss", "goal": self.goal}, "scheduler": scheduler}

    def value(self, number, config, step):
        u = config.get("u", config.get("lr", 0.0))
        return round((u - 0.3) ** 2 + number % 3 + 2.0 / (step + 1), 6)

    def drive(self, engine, n=14):
        """Ask, report and end in an order that the case alone decides; return the configs."""
        rng, running, configs = random.Random(self.seed), {}, {}
        while True:
            while len(running) < self.parallel and len(configs) < n:
                config = engine.ask(len(configs))
                if config is None:
                    n = len(configs)
                    break
                running[len(configs)] = []
                configs[len(configs)] = config
            if not running:
                return configs
            number = rng.choice(sorted(running))
            rows = running[number]
            if len(rows) < 4 and rng.random() < 0.75:
                step = len(rows) * 2 + 1
                rows.append((step, self.value(number, configs[number], step)))
                if engine.report(number, configs[number], rows):
                    del running[number]
                continue
            engine.end(number, configs[number], rows, failed=rng.random() < 0.2 or not rows)
            del running[number]


class Wandb:
    """wandb's optimizer, called as its scheduler calls it."""

    def __init__(self, spec):
        self.optimizer = build_optuna_optimizer(
            SweepInfo(id="s", name="s", entity="", project="", config=spec, controller_run_name="")
        )
        self.ids = {}

    def data(self, config, rows, state):
        return RunWithMetrics(
            config=RunConfig.from_values(config),
            state=state,
            wandb_run_id="",
            summary_metrics={"loss": rows[-1][1]} if rows else {},
            history_metrics=[{"_step": step, "loss": value} for step, value in rows],
        )

    def ask(self, number):
        found = self.optimizer.ask_n_runs(1)
        if not found:
            return None
        self.ids[number] = found[0].run_id
        return found[0].config.flat_dict()

    def report(self, number, config, rows):
        data = self.data(config, rows, RunState.RUNNING)
        self.optimizer.tell_run(self.ids[number], data)
        return bool(self.optimizer.prune_runs([self.ids[number]], [data]))

    def end(self, number, config, rows, *, failed):
        self.optimizer.tell_run(
            self.ids[number], self.data(config, rows, RunState.FAILED if failed else RunState.FINISHED)
        )


class Ours:
    """Our search, called as the controller calls it."""

    def __init__(self, spec):
        made = load_dict(spec, needs_program=False).require()
        self.sign = -1.0 if spec["metric"]["goal"] == "maximize" else 1.0
        self.search = make_search(made, SearchSpace.of(made.parameters), 0)
        self.pending, self.ended = {}, []

    def ask(self, number):
        config = self.search.suggest(number, self.ended, list(self.pending.values()))
        if config is not None:
            self.pending[number] = Pending(number=number, config=config)
        return config

    def report(self, number, config, rows):
        stopped = self.search.report(number, rows[-1:])
        if stopped:
            self.finish(number, config, Outcome.STOPPED, ())
        return stopped is not None

    def end(self, number, config, rows, *, failed):
        scores = () if failed else (self.sign * rows[-1][1],)
        self.finish(number, config, Outcome.FAILED if failed else Outcome.FINISHED, scores)

    def finish(self, number, config, outcome, scores):
        del self.pending[number]
        observation = Observation(number=number, config=config, outcome=outcome, scores=scores, order=len(self.ended))
        self.ended.append(observation)
        self.search.tell(observation)


def account(study):
    """Everything about a study's trials that anybody can see."""
    return [
        (t.number, t.state.name, t.params, t.distributions, t.values, t.intermediate_values, t.user_attrs)
        for t in study.get_trials(deepcopy=False)
    ]


def compared(case, tmp_path):
    spec = case.spec(tmp_path)
    theirs = case.drive(Wandb(spec))
    expected = account(optuna.seen)
    ours = case.drive(Ours(spec))
    assert ours == theirs
    assert account(optuna.seen) == expected
    return expected


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_same_sweep_as_wandbs_own_scheduler(name, tmp_path):
    """A seeded sampler asks for the same trials, is told the same, and comes to the same end."""
    for seed in range(2 if name in {"gp", "cmaes"} else 4):
        assert compared(Case(name, seed), tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SAMPLERS)
def test_hundreds_of_sweeps_are_those_of_wandbs_own_scheduler(name, tmp_path):
    """As above, at length: failed, pruned, enqueued and added trials in every mixture."""
    states = {state for seed in range(100, 140) for _, state, *_ in compared(Case(name, seed), tmp_path)}
    assert {"COMPLETE", "FAIL", "PRUNED"} <= states
