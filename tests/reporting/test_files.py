import csv
import io
import json
import math
import shlex
import shutil
import stat
import subprocess
import threading
from datetime import datetime

import pytest
import yaml

import orchestrator
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.requests import Action, Instruction, ask
from orchestrator.reporting import environment
from orchestrator.reporting.experiment import Experiment
from orchestrator.reporting.files import write_files
from orchestrator.reporting.recipe import command
from orchestrator.reporting.results import Results, read_results
from orchestrator.reporting.table import ABOUT, as_csv, as_records, moment, table_of
from orchestrator.search.prior import from_csv
from orchestrator.space import SearchSpace
from orchestrator.watch.collation import Collation
from tests.reporting.planted import BEGIN, Plan, plant

PRINT = """
command: [python, -c, "import os, sys, ray; print(sys.argv[1:], os.getcwd(), sep='|')", "--key=${envvar:SECRET}!", "${args}"]
method: random
name: "a $(rm -rf x)"
metric: {name: "loss; exit 3"}
parameters: {text: {values: ["it's $HOME `id`"]}, lr: {min: 0, max: 1}}
"""


def results_of(sweep_dir) -> Results:
    with LedgerReader(sweep_dir.ledger_path) as reader:
        return read_results(sweep_dir, reader)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    sweep_dir = plant(tmp_path_factory.mktemp("runs"))
    write_files(results_of(sweep_dir))
    return sweep_dir


def test_the_best_config_is_a_plain_mapping_with_a_head(planted):
    """best.yaml reads as the config itself, and says where it comes from and how to use it."""
    best = results_of(planted).ranked[0]
    text = (planted.path / "best.yaml").read_text()
    assert yaml.safe_load(text) == best.config
    assert text.startswith(f"# trial {best.number} of digits k3x9w2ab: {best.value:.5g} (valid/accuracy, maximize) at ")
    assert (planted.path / f"trials/{best.number:04d}/config.yaml").exists()


def test_wandb_reads_the_param_file_that_the_head_names(planted):
    """The trial's config.yaml holds the same config in the form of W&B's param files."""
    best = results_of(planted).ranked[0]
    data = yaml.safe_load((planted.trial(best.number).config_path).read_text())
    assert data.pop("wandb_version") == 1
    assert {name: entry["value"] for name, entry in data.items()} == best.config


def test_the_script_runs_what_ran_whatever_is_in_the_names(tmp_path):
    """best.sh is executable, changes to the launch directory and passes every argument unharmed, secrets by reference."""
    launched = tmp_path / "it's here"
    launched.mkdir()
    sweep_dir = plant(
        tmp_path / "sweep-runs", n=2, spec=PRINT, cwd=str(launched), play=lambda *_: Plan([{"loss; exit 3": 1.0}])
    )
    environment.record(sweep_dir, str(launched))
    results = results_of(sweep_dir)
    write_files(results)
    path = sweep_dir.path / "best.sh"
    assert path.stat().st_mode & stat.S_IXUSR
    done = subprocess.run(
        [path, "more"], capture_output=True, text=True, check=True, env={"SECRET": "s e", "PATH": "/usr/bin:/bin"}
    )
    argv, _, cwd = done.stdout.strip().partition("|")
    best = results.ranked[0]
    assert argv == repr(["--key=s e!", *(f"--{k}={v}" for k, v in best.config.items()), "more"])
    assert cwd == str(launched)
    assert "s e" not in path.read_text()


def test_the_script_gives_wandb_its_config(tmp_path):
    """A program that reads `wandb.config` and no arguments gets the trial's values, without a server."""
    code = "import wandb; run = wandb.init(dir='.'); print('lr', run.config.lr, run.settings.mode)"
    spec = {"command": ["python", "-c", code], "method": "random", "metric": {"name": "loss"}}
    spec["parameters"] = {"lr": {"min": 0.0, "max": 1.0}}
    text = yaml.safe_dump(spec)
    sweep_dir = plant(tmp_path, n=1, spec=text, cwd=str(tmp_path), play=lambda *_: Plan([{"loss": 1.0}]))
    environment.record(sweep_dir, str(tmp_path))
    write_files(results_of(sweep_dir))
    moved = sweep_dir.path.rename(tmp_path / "moved")
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "WANDB_ERROR_REPORTING": "false"}
    done = subprocess.run([moved / "best.sh"], capture_output=True, text=True, check=True, env=clean)
    lr = yaml.safe_load((moved / "best.yaml").read_text())["lr"]
    assert f"lr {lr} offline" in done.stdout


def test_a_function_is_run_by_the_command_that_can(tmp_path):
    """`package.module:function` is no command line; the script says `sweep try` with the trial's config."""
    spec = "{program: 'pkg.mod:train', method: random, metric: {name: loss}, parameters: {lr: {min: 0, max: 1}}}"
    sweep_dir = plant(tmp_path, n=1, spec=spec, play=lambda *_: Plan([{"loss": 1.0}]))
    line = command(results_of(sweep_dir), results_of(sweep_dir).trials[0])
    assert shlex.split(line)[:2] == ["sweep", "try"]


def test_the_table_is_a_prior_for_another_sweep(planted):
    """trials.csv has a row per trial, and gives configs and objectives back as they were."""
    results = results_of(planted)
    found = from_csv((planted.path / "trials.csv").read_text(), SearchSpace.of(results.spec.parameters))
    assert [trial.config for trial in found] == [trial.config for trial in results.trials]
    values = [trial.metrics.get("valid/accuracy", math.nan) for trial in found]
    assert [None if math.isnan(value) else value for value in values] == [trial.value for trial in results.trials]


CLASHING = """
program: t.py
method: random
metric: {name: loss}
parameters:
  state: {min: 0.0, max: 1.0}
  loss: {values: [l1, l2]}
  lr: {min: 0.0, max: 1.0}
  width: {values: [1, 2]}
  config: {parameters: {lr: {min: 0.0, max: 1.0}}}
"""


def test_columns_of_one_name_are_told_apart(tmp_path):
    """As `config.` and `metric.`, only where names clash; another sweep finds parameters and metrics by them all the same."""
    rows = [{"loss": 1.0, "state": 3.0, "lr": 0.5, "seconds": 7.0, "metric.x": 8.0, "acc": 0.5}]
    results = results_of(plant(tmp_path, n=2, spec=CLASHING, play=lambda *_: Plan(rows)))
    table = table_of(results)
    of_trials = ["config.state", "config.loss", "config.lr", "width", "config.config.lr", "metric.loss"]
    others = ["acc", "metric.lr", "metric.metric.x", "metric.seconds", "metric.state"]
    assert sorted(table.columns[len(ABOUT) :]) == sorted(of_trials + others)
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert (row["state"], row["metric.state"], row["metric.loss"]) == ("finished", 3.0, 1.0)
    assert (row["row"], row["rows"]) == (1, 1)
    found = from_csv(as_csv(table), SearchSpace.of(results.spec.parameters))
    assert [trial.config for trial in found] == [trial.config for trial in results.trials]
    assert found[0].metrics.items() >= {"loss": 1.0, "lr": 0.5, "metric.x": 8.0, "acc": 0.5, "seconds": 7.0}.items()


def test_moments_are_moments(planted):
    """ISO 8601 with its zone in CSV and JSON, in UTC in data frames, also where no trial has ended; what is no time is none."""
    table = table_of(results_of(planted))
    began = BEGIN + 2.1
    first = next(csv.DictReader(io.StringIO(as_csv(table))))
    assert (first["started"], as_records(table)[0]["started"]) == ("2026-09-21T14:13:22.100+00:00",) * 2
    assert datetime.fromisoformat(first["started"]).timestamp() == began
    frame = orchestrator.load(str(planted.path)).df
    assert str(frame.dtypes["started"]) == str(frame.dtypes["ended"]) == "datetime64[us, UTC]"
    assert frame["started"][0].timestamp() == began
    assert (frame["ended"] - frame["started"]).dt.total_seconds().to_numpy() == pytest.approx(
        frame["seconds"].to_numpy()
    )
    assert moment(1e300) is None


def test_moments_of_a_sweep_that_has_just_begun(tmp_path):
    """Columns of moments without any; a metric called `time` gives way to the time of its row."""
    sweep_dir = plant(tmp_path, n=2, spec=CLASHING, play=lambda *_: Plan([{"loss": 1.0, "time": 3.0}] * 9), until=20)
    results = orchestrator.load(str(sweep_dir.path))
    assert results.df["ended"].isna().all()
    assert results.df["ended"].dt.tz is not None
    history = results[0].history
    assert list(history.columns) == ["step", "time", "loss", "metric.time"]
    assert (history["time"].dt.tz is not None, history["metric.time"].tolist()[0]) == (True, 3.0)
    assert list(results[1].history.columns[:2]) == ["step", "time"]


def test_the_front_of_several_objectives(tmp_path):
    """pareto.yaml lists each trial that no other beats; best.yaml is the one that is best in the first objective."""
    spec = (
        "{program: t.py, method: random, parameters: {x: {min: 0, max: 1}},"
        " metrics: [{name: accuracy, goal: maximize}, {name: size}]}"
    )
    pairs = [(0.9, 5.0), (0.8, 3.0), (0.7, 4.0), (0.95, 9.0)]
    sweep_dir = plant(
        tmp_path,
        n=4,
        spec=spec,
        gpus=1,
        play=lambda n, *_: Plan([dict(zip(("accuracy", "size"), pairs[n], strict=True))]),
    )
    results = results_of(sweep_dir)
    write_files(results)
    front = yaml.safe_load((sweep_dir.path / "pareto.yaml").read_text())
    assert [(entry["trial"], entry["values"]) for entry in front] == [
        (3, {"accuracy": 0.95, "size": 9.0}),
        (0, {"accuracy": 0.9, "size": 5.0}),
        (1, {"accuracy": 0.8, "size": 3.0}),
    ]
    assert front[0]["config"] == results.trials[3].config
    assert yaml.safe_load((sweep_dir.path / "best.yaml").read_text()) == results.trials[3].config


def test_the_files_follow_the_sweep_while_it_runs(planted):
    """An event makes the collation write the files again; readers meanwhile never see half a file."""
    said = []
    collation = Collation(
        planted, spec := results_of(planted).spec, experiment=Experiment(planted, spec), say=said.append
    )
    for name in ("best.yaml", "trials.csv"):
        (planted.path / name).unlink()
    collation.event(object())
    waiting = threading.Event()
    while not (planted.path / "best.yaml").exists():
        waiting.wait(0.01)
    assert yaml.safe_load((planted.path / "best.yaml").read_text())
    collation.close()
    collation.close()
    assert said == []
    assert not list(planted.path.glob(".*.tmp"))


def test_what_cannot_be_written_is_said_once_and_stops_nothing(planted, tmp_path):
    """A broken report or a directory that is gone ends in one sentence."""
    said = []

    def broken(_):
        raise ZeroDivisionError("oh")

    Collation(
        planted, spec := results_of(planted).spec, experiment=Experiment(planted, spec), say=said.append, finish=broken
    ).close()
    assert said == ["report.html could not be written: ZeroDivisionError: oh"]


def test_a_directory_that_is_gone_ends_in_a_sentence(tmp_path):
    """The end of a sweep whose directory was deleted says so; nothing is raised into the controller."""
    sweep_dir = plant(tmp_path, n=2)
    spec = results_of(sweep_dir).spec
    said = []
    collation = Collation(sweep_dir, spec, experiment=Experiment(sweep_dir, spec), say=said.append)
    shutil.rmtree(sweep_dir.path)
    collation.event(object())
    collation.close()
    assert len(said) == 1
    assert said[0].startswith("the best configs could not be written: ")


def test_events_cost_the_loop_nothing(planted):
    """A thousand events while the files are being written take less than one redraw of the screen."""
    import time

    collation = Collation(planted, spec := results_of(planted).spec, experiment=Experiment(planted, spec), say=print)
    began = time.perf_counter()
    for _ in range(1000):
        collation.event(object())
    took_s = time.perf_counter() - began
    collation.close()
    assert took_s < 1.0
    ask(planted.ledger_path, Instruction(action=Action.STOP))  # the ledger is free: nobody keeps it


def test_the_environment_is_recorded_once(tmp_path):
    """Commit, changed files and versions of the launch directory; a later start does not rewrite them."""
    sweep_dir = plant(tmp_path / "sweep-runs", n=1)
    repo = tmp_path / "repo"
    repo.mkdir()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q", "-b", "main"], cwd=repo, check=True)
    (repo / "train.py").write_text("1")
    subprocess.run([*git, "add", "."], cwd=repo, check=True)
    subprocess.run([*git, "commit", "-qm", "one"], cwd=repo, check=True)
    (repo / "train.py").write_text("2")
    environment.record(sweep_dir, str(repo))
    found = environment.recorded(sweep_dir)
    sha = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repo, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert found["git"] == {"sha": sha, "branch": "main", "dirty": True, "changed": ["train.py"]}
    assert found["packages"]["ray"]
    environment.record(sweep_dir, str(tmp_path))
    assert environment.recorded(sweep_dir) == found
    assert environment.environment("/")["git"] is None
    sweep_dir.environment_path.write_text(json.dumps([]))
    assert environment.recorded(sweep_dir) == {}
