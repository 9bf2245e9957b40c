"""Priors from sweeps, W&B runs and tables on disk, through the real formats."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import session
from orchestrator.control import prior_sources as priors
from orchestrator.errors import SearchSpaceError, UnknownSweepError
from orchestrator.ledger.curves import objectives_of
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import TrialState
from orchestrator.ledger.store import Ledger
from orchestrator.search.prior import PriorTrial
from orchestrator.spec.model import Categorical, Constant, Goal, Interval, Kind, Method, Metric, SweepSpec
from orchestrator.trial.contract.events import Cause, Ended, Report, Reported, Started

SPEC = SweepSpec(
    method=Method.BAYES,
    parameters={
        "lr": Interval(kind=Kind.UNIFORM, min=0.0, max=1.0),
        "n": Categorical(values=(1, 2, 4)),
        "epochs": Constant(value=5),
    },
    metric=Metric(name="acc", goal=Goal.MAXIMIZE),
)

RUNS = """
import wandb
for lr, code in ((0.1, 0), (0.2, 1), (5.0, 0)):
    run = wandb.init(mode="offline", project="p", config={"lr": lr, "n": 4, "epochs": 9, "seed": 1})
    for acc in (0.5, 0.8, float("nan"), 0.7):
        run.log({"acc": acc, "val": {"loss": 1.0}})
    run.finish(exit_code=code)
"""


@pytest.fixture(scope="session")
def wandb_runs(tmp_path_factory):
    """A directory in which the real client has logged three offline runs, one of which failed."""
    path = tmp_path_factory.mktemp("wandb_runs")
    subprocess.run([sys.executable, "-c", RUNS], cwd=path, check=True, capture_output=True)
    return path


@pytest.fixture
def old_sweep(tmp_path):
    """The directory of a sweep that ended: one trial finished, one failed, one is still open."""
    sweep_dir = session.create(SPEC, name="old", runs=tmp_path)
    ledger = Ledger(sweep_dir.ledger_path)
    ledger.load(objectives_of(SPEC))
    ends = [(TrialState.FINISHED, Cause.FINISHED), (TrialState.FAILED, Cause.FAILED)]
    for number, (state, cause) in enumerate(ends):
        ledger.add_trial({"lr": 0.25, "n": 2, "epochs": 5})
        key = {"trial": number, "attempt": ledger.begin_attempt(number)}
        reports = [Report(index=i, time=0.0, step=i, metrics={"acc": v, "size": i}) for i, v in enumerate((0.9, 0.4))]
        events = [
            Started(**key, time=0.0, pid=1, host="h"),
            Reported(**key, reports=tuple(reports)),
            Ended(**key, time=1.0, cause=cause, exit_code=0),
        ]
        ledger.record(events, {number: (state, None)})
    ledger.add_trial({"lr": 0.5, "n": 2, "epochs": 5})
    ledger.close()
    return sweep_dir


def test_a_sweep_of_ours(old_sweep, tmp_path):
    """Trials that ended count, with the value that their sweep ranked them by (the best) and their failures."""
    trials, account = priors.gather([old_sweep.sweep_id], SPEC, tmp_path)
    assert [(t.name, t.metrics["acc"], t.failed) for t in trials] == [("trial 0", 0.9, False), ("trial 1", 0.9, True)]
    assert account == [f"prior {old_sweep.sweep_id}: 2 of 2 trials used, 1 of them failures"]
    assert priors.gather([str(old_sweep.path)], SPEC, tmp_path / "elsewhere")[0] == trials


def test_a_directory_of_wandb_runs(wandb_runs):
    """Offline runs of the real client: the best value of the history, exit codes, and an account of what was left out."""
    trials, account = priors.gather([str(wandb_runs / "wandb")], SPEC, wandb_runs)
    assert [(t.config, t.metrics["acc"], t.failed) for t in sorted(trials, key=lambda t: t.config["lr"])] == [
        ({"epochs": 5, "lr": 0.1, "n": 4}, 0.8, False),
        ({"epochs": 5, "lr": 0.2, "n": 4}, 0.8, True),
    ]
    assert account[0].endswith("wandb: 2 of 3 trials used, 1 of them failures")
    assert account[1].startswith("  dropped 1: lr is outside the search space, from 0 to 1 (run-")
    assert account[1].endswith(": 5.0)")
    assert account[2:] == [
        "  left out seed: no parameters of this sweep",
        "  epochs is 9 in 3 of them and 5 here: scores may not compare",
    ]


def test_one_wandb_run_by_its_directory_or_log(wandb_runs):
    """Both names of one run mean the same."""
    run = min((wandb_runs / "wandb").glob("offline-run-*"), key=lambda path: path.stat().st_ctime)
    [log] = run.glob("run-*.wandb")
    assert priors.gather([str(run)], SPEC, run)[0] == priors.gather([str(log)], SPEC, run)[0]


def test_an_online_run_without_its_log(tmp_path):
    """The files that the client keeps of an online run are enough."""
    files = tmp_path / "run-20260101_000000-abc" / "files"
    files.mkdir(parents=True)
    (files / "config.yaml").write_text("lr:\n  value: 0.5\nn:\n  value: 1\n")
    (files / "wandb-summary.json").write_text(json.dumps({"acc": 0.6}))
    trials, _ = priors.gather([str(tmp_path)], SPEC, tmp_path)
    assert [(t.config["lr"], t.metrics) for t in trials] == [(0.5, {"acc": 0.6})]


def test_a_table_with_states(tmp_path):
    """Rows of trials that failed are failures, those that still run are no trials, and cells become values."""
    table = tmp_path / "old.csv"
    table.write_text("Name,State,lr,config.n,acc\na,finished,0.5,2,0.7\nb,crashed,0.1,2,\nc,running,0.2,1,0.1\n")
    trials, account = priors.gather([str(table)], SPEC, tmp_path)
    assert [(t.name, t.config["n"], t.failed) for t in trials] == [("line 2", 2, False), ("line 3", 2, True)]
    assert account == [f"prior {table}: 2 of 2 trials used, 1 of them failures"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "lr,n,accuracy\n0.5,1,0.2\n",
            "none of its 1 trials has a value of 'acc': it has accuracy; did you mean accur",
        ),
        ("rate,n,acc\n0.5,1,0.2\n", r"no column lr; its columns are \['acc', 'n', 'rate'\]"),
        ("lr,n,acc\n7,1,0.2\n8,1,0.2\n", r"(?s)none .* can be used.*dropped 2: lr is outside .*\(line 2: 7\)"),
        ("lr,n,acc\n", "it has no trial that has ended"),
        ("", "no column lr, n"),
    ],
)
def test_what_does_not_fit_is_explained(text, message, tmp_path):
    """Every mistake names the source, what was found, and what was looked for."""
    table = tmp_path / "t.csv"
    table.write_text(text)
    with pytest.raises(SearchSpaceError, match=message) as caught:
        priors.gather([str(table)], SPEC, tmp_path)
    assert str(caught.value).startswith(f"--prior {table}: ")


def test_a_source_that_does_not_exist_is_named(tmp_path):
    """The message says what a prior can be."""
    with pytest.raises(UnknownSweepError, match=r"--prior nowhere: there is no such file(?s:.*)a CSV file"):
        priors.gather(["nowhere"], SPEC, tmp_path)


def test_a_directory_without_runs_is_named(tmp_path):
    """An empty directory is no silent success."""
    with pytest.raises(SearchSpaceError, match="has no W&B runs"):
        priors.gather([str(tmp_path)], SPEC, tmp_path)


def test_what_is_kept_is_what_was_gathered(tmp_path):
    """Floats, NaN, null and nesting survive; a sweep without priors has no file."""
    trials = [
        PriorTrial(config={"lr": 0.1 + 0.2, "o": {"b": None}}, metrics={"acc": 1 / 3}, name="line 2"),
        PriorTrial(config={"lr": 1, "o": {"b": True}}, metrics={}, failed=True),
    ]
    path = tmp_path / "prior.jsonl"
    assert priors.kept(path) == []
    priors.keep(trials, path)
    assert priors.kept(path) == trials


PROGRAM = """
import argparse
from orchestrator import report
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
report(acc=-((parser.parse_args().lr - 0.31) ** 2))
"""

SWEEP = """
program: train.py
method: bayes
metric: {name: acc, goal: maximize}
parameters: {lr: {min: 0.0, max: 1.0}}
orchestrator: {seed: 1, resources: {cpu: 1}}
"""


@pytest.mark.ray
def test_run_learns_from_a_prior(tmp_path):
    """The first trial of `sweep run --prior` is near the prior's best, and the account of the prior is shown."""
    (tmp_path / "train.py").write_text(PROGRAM)
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    (tmp_path / "old.csv").write_text("lr,acc\n" + "".join(f"{n / 20},{-((n / 20 - 0.31) ** 2)}\n" for n in range(21)))
    command = [str(Path(sys.executable).with_name("sweep")), "run", "sweep.yaml", "--prior", "old.csv"]
    command += ["--count", "1", "--num-cpus", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "prior old.csv: 21 of 21 trials used" in done.stderr
    [path] = tmp_path.glob("sweep-runs/*/ledger.sqlite")
    with LedgerReader(path) as ledger:
        [trial] = ledger.trials()
    assert abs(trial.config["lr"] - 0.31) < 0.05


def test_resume_knows_the_same_trials(tmp_path):
    """What a sweep was told when it began is in its directory: later it proposes what it would have proposed."""
    told = [
        PriorTrial(config={"lr": n / 20, "n": 1, "epochs": 5}, metrics={"acc": -((n / 20 - 0.31) ** 2)})
        for n in range(21)
    ]
    sweep_dir = session.create(SPEC, name="new", runs=tmp_path, prior=told)
    proposed = []
    for trials in (told, priors.kept(sweep_dir.prior_path)):
        sweep = session.searched(SPEC, sweep_id=sweep_dir.sweep_id, name="new", cwd=str(tmp_path))
        strategy = session.make_strategy(SPEC, 7, trials, sweep)
        proposed.append(strategy.search.suggest(0, strategy.prior, []))
    assert proposed[0] == proposed[1]
