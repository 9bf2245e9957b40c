"""A sweep whose trials run in the user's environment: another Python, with nothing of ours in it before or after."""

import json
import sys
from pathlib import Path

import pytest

import orchestrator
from tests.interpreters.environments import digest, venv
from tests.scripts import run
from tests.trial.environments.pythons import made
from tests.trial_runs import tensorboard_run, wandb_run

TRAIN = """\
import argparse, json, os, subprocess, sys
from pathlib import Path
import orchestrator
from orchestrator import wandb

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--side", default="")
args = parser.parse_args()
for epoch in range(3):
    orchestrator.report(loss=args.lr / (epoch + 1))
subprocess.run([sys.executable, "-c", "import orchestrator; orchestrator.report(inner=1.0)"], check=True)
try:
    from orchestrator import agent
    refused = ""
except ImportError as error:
    refused = str(error)
try:
    import numpy
    sees = numpy.__file__
except ImportError:
    sees = ""
facts = {"executable": sys.executable, "version": sys.version_info[:2], "path": sys.path, "refused": refused, "sees": sees}
Path(os.environ["SWEEP_TRIAL_DIR"], "facts.json").write_text(json.dumps(facts))
"""

SPEC = """\
program: train.py
method: grid
metric: {name: loss, goal: minimize}
parameters: {lr: {values: [0.1, 0.2]}}
"""


def facts_of(trial):
    return json.loads((trial.path / "facts.json").read_text())


@pytest.mark.ray
@pytest.mark.parametrize(
    "version",
    [pytest.param("3.10", id="old"), *(pytest.param(v, marks=pytest.mark.soak) for v in ("3.9", "3.12", "3.13"))],
)
def test_trials_run_warm_in_the_environment_beside_the_program(tmp_path, ray_head, version):
    """Found, captured (children included), shown and recorded; the environment is as it was, and sees nothing of ours."""
    python = venv(tmp_path / ".venv", version)
    before = digest(tmp_path / ".venv")
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "sweep.yaml").write_text(SPEC)
    done = run("sweep", "run", "sweep.yaml", "--no-pin", f"--address={ray_head}", cwd=tmp_path, VIRTUAL_ENV="")
    assert f"python  .venv/bin/python  {version}." in done.stderr
    assert "(found beside train.py)" in done.stderr
    results = orchestrator.load(runs_dir=tmp_path / "sweep-runs")
    assert [trial.state for trial in results] == ["finished", "finished"]
    for trial in results:
        facts = facts_of(trial)
        assert facts["executable"] == str(python)
        assert facts["path"][0] == str(tmp_path)
        assert all(place.startswith((str(tmp_path), str(Path(sys.prefix).anchor))) for place in facts["path"])
        assert not any(sys.prefix in place for place in facts["path"])
        assert "only what trials need" in facts["refused"]
        assert sys.executable in facts["refused"]
        assert facts["sees"] == ""
        assert {"loss", "inner"} <= set(trial.metrics)
    assert digest(tmp_path / ".venv") == before
    environment = json.loads((results.path / "environment.json").read_text())
    assert [entry["path"] for entry in environment["pythons"]] == [str(python)]
    assert f"export PATH={python.parent}:$PATH  # python {version}." in (results.path / "best.sh").read_text()


@pytest.mark.ray
def test_a_parameters_value_decides_which_python_runs_a_trial(tmp_path, ray_head):
    """Each value has its own, two fork servers in one runner, and both are shown before anything runs."""
    pythons = {"a": venv(tmp_path / "venv-a", "3.12"), "b": venv(tmp_path / "venv-b", "3.13")}
    (tmp_path / "train.py").write_text(TRAIN)
    by = "orchestrator: {python: {by: side, a: venv-a, b: venv-b}}"
    spec = SPEC.replace("lr: {values: [0.1, 0.2]}", "lr: {value: 0.1}, side: {values: [a, b]}")
    (tmp_path / "sweep.yaml").write_text(f"{spec}{by}\n")
    done = run("sweep", "run", "sweep.yaml", f"--address={ray_head}", cwd=tmp_path)
    assert "python  side=a  venv-a/bin/python  3.12." in done.stderr
    assert "        side=b  venv-b/bin/python  3.13." in done.stderr
    results = orchestrator.load(runs_dir=tmp_path / "sweep-runs")
    assert {trial.config["side"]: facts_of(trial)["executable"] for trial in results} == {
        side: str(python) for side, python in pythons.items()
    }


OLD_PROJECT = """\
import argparse
import wandb

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
args = parser.parse_args()
run = wandb.init(project="old", config=vars(args))
for step in range(5):
    wandb.log({"loss": run.config.lr / (step + 1)})
wandb.finish()
"""


@pytest.mark.ray
@pytest.mark.soak
def test_an_old_project_keeps_its_own_wandb(tmp_path, ray_head):
    """A client of its own version, W&B's default command, and `--python`: config, rows and exit codes in both runs."""
    python = made("3.10", ("wandb==0.21.4", "tensorboard"))
    if isinstance(python, str):
        pytest.skip(python)
    (tmp_path / "train.py").write_text(OLD_PROJECT)
    (tmp_path / "sweep.yaml").write_text(SPEC)
    words = (f"--address={ray_head}", f"--python={python.parents[1]}")
    done = run("sweep", "run", "sweep.yaml", *words, cwd=tmp_path)
    assert "wandb 0.21.4" in done.stderr
    assert "(--python)" in done.stderr
    for trial in orchestrator.load(runs_dir=tmp_path / "sweep-runs"):
        assert (trial.state, len(list(trial.reports()))) == ("finished", 5)
        found = wandb_run(trial.path)
        assert (found.run_id, found.exit_code, found.config["lr"]) == (trial.run_id, 0, trial.config["lr"])
        assert found.values("loss") == [trial.config["lr"] / (step + 1) for step in range(5)]
        assert len(tensorboard_run(trial.path).scalars["loss"]) == 5
