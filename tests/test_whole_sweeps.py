"""Whole random sweeps of a small torch program, on two CPUs and on a box with eight (fake) GPUs."""

import itertools
import json
import math
from collections import defaultdict

import pytest

import orchestrator
from tests.cli.shell import sweep
from tests.scripts import run
from tests.trial_runs import read_run, tensorboard_run, wandb_run

PROGRAM = """\
import argparse, json, os, time
import torch
import wandb

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--width", type=int)
args = parser.parse_args()
begun = time.time()
run = wandb.init()
torch.manual_seed(0)
x = torch.linspace(-1, 1, 64).unsqueeze(1)
model = torch.nn.Sequential(torch.nn.Linear(1, args.width), torch.nn.Tanh(), torch.nn.Linear(args.width, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
for epoch in range(5):
    loss = (model(x) - torch.sin(3 * x)).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    run.log({"loss": loss.item(), "epoch": epoch})
with open(os.path.join(os.environ["SWEEP_TRIAL_DIR"], "own.json"), "w") as file:
    json.dump({"gpus": os.environ.get("CUDA_VISIBLE_DEVICES"), "begun": begun, "ended": time.time()}, file)
"""

SPEC = """\
program: train.py
method: random
metric: {name: loss, goal: minimize}
parameters:
  lr: {distribution: log_uniform_values, min: 0.001, max: 0.5}
  width: {values: [4, 8, 16]}
"""

N_SAMPLE, N_SOAK = 6, 200

BOXES = {
    # what the box has, what a trial takes: (CPUs, GPUs, share of a GPU)
    "2 CPUs": (2, 0, 0),
    "1 GPU, halves": (2, 1, 0.5),
    "2 GPUs, halves": (4, 2, 0.5),
    "8 GPUs, one each": (8, 8, 1),
    "8 GPUs, halves": (16, 8, 0.5),
    "8 GPUs, pairs": (8, 8, 2),
}
SAMPLED = {"1 GPU, halves"}

CASES = [
    *[pytest.param(box, N_SAMPLE, id=f"{box}, sample") for box in BOXES if box in SAMPLED],
    *[pytest.param(box, N_SOAK, marks=pytest.mark.soak, id=f"{box}, soak") for box in BOXES],
]


@pytest.mark.ray
@pytest.mark.timeout(3000)
@pytest.mark.parametrize(("box", "n"), CASES)
def test_every_trial_is_complete_and_no_gpu_is_shared_beyond_what_was_asked_for(box, n, tmp_path):
    """Directory, TensorBoard run and W&B run of every trial; GPUs by what the trials themselves saw and when."""
    n_cpus, n_gpus, share = BOXES[box]
    options = [f"--num-cpus={n_cpus}", f"--num-gpus={n_gpus}", f"--gpus-per-trial={share}"]
    (tmp_path / "train.py").write_text(PROGRAM)
    (tmp_path / "sweep.yaml").write_text(SPEC)
    run("sweep", "run", "sweep.yaml", f"--count={n}", *options, cwd=tmp_path, timeout=3000)
    results = orchestrator.load(runs_dir=tmp_path / "sweep-runs")
    assert [trial.number for trial in results] == list(range(n))
    for trial in results:
        assert trial.state == "finished", trial.error
        check_runs(trial)
    check_gpus([json.loads((trial.path / "own.json").read_text()) for trial in results], share, n_gpus)


def check_runs(trial):
    """W&B and TensorBoard have what the program logged, under the trial's own hyperparameters."""
    logged, shown = wandb_run(trial.path), tensorboard_run(trial.path)
    assert (logged.run_id, logged.exit_code) == (trial.run_id, 0)
    assert {name: logged.config[name] for name in trial.config} == trial.config
    losses = logged.values("loss")
    assert len(losses) == 5
    assert [value for _, value in shown.scalars["loss"]] == pytest.approx(losses)
    assert {name: shown.hparams[name] for name in trial.config} == pytest.approx(trial.config)


def check_gpus(own, share, n_gpus):
    """At no moment does a GPU have more trials than its share allows, and none is left out for long."""
    if not share:
        assert {trial["gpus"] for trial in own} == {""}
        return
    on = defaultdict(list)
    for trial in own:
        ids = trial["gpus"].split(",")
        assert len(ids) == len(set(ids)) == math.ceil(share)
        for gpu in ids:
            on[gpu].append(trial)
    at_most = max(1, int(1 / share))
    for gpu, trials in on.items():
        moments = sorted(itertools.chain(*(((t["begun"], 1), (t["ended"], -1)) for t in trials)))
        together = max(itertools.accumulate(change for _, change in moments))
        assert together <= at_most, f"GPU {gpu} had {together} trials at once, {at_most} fit"
    if len(own) >= N_SOAK:
        assert sorted(on) == [str(n) for n in range(n_gpus)]


ODD_NAME = """\
import argparse, os, orchestrator
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
lr = parser.parse_args().lr
for step in range(3):
    orchestrator.report({"loss": lr / (step + 1), os.fsdecode(b"acc\\xff"): 0.5 + step}, step=step)
"""

ODD_NAME_SPEC = """\
program: train.py
method: random
run_cap: 2
metric: {name: loss, goal: minimize}
parameters: {lr: {min: 0.1, max: 0.2}}
orchestrator: {wandb: "off"}
"""


@pytest.mark.ray
def test_a_metric_named_after_a_file_that_is_no_unicode_goes_everywhere(tmp_path):
    """Its name is kept in a form that every command can print, export and resume with; the log says which."""
    (tmp_path / "train.py").write_text(ODD_NAME)
    (tmp_path / "spec.yaml").write_text(ODD_NAME_SPEC)
    run("sweep", "run", "spec.yaml", "--num-cpus", "1", cwd=tmp_path)
    run("sweep", "resume", "last", "--add", "1", "--num-cpus", "1", cwd=tmp_path)
    commands = ("show last 0", "best", "export", "compare 0 1", "logs last 0", "report")
    ended = {words: sweep(*words.split(), cwd=tmp_path) for words in commands}
    assert {words: done.returncode for words, done in ended.items()} == dict.fromkeys(commands, 0)
    said = {words: done.stdout for words, done in ended.items()}
    kept = r"acc\udcff"
    assert kept in said["show last 0"]
    assert said["export"].splitlines()[0].endswith(f",loss,{kept}")
    assert [line.rpartition(",")[2] for line in said["export"].splitlines()[1:]] == ["2.5"] * 3
    assert "a metric's name cannot be kept as it is" in said["logs last 0"]


SAVED_BEHIND_ITS_LAST_ROW = """\
import os, pathlib, signal
import wandb
saved = pathlib.Path(os.environ["SWEEP_TRIAL_DIR"], "saved.txt")
begun = int(saved.read_text()) if saved.exists() else 0
with wandb.init() as run:
    for step in range(begun, 3):
        run.log({"loss": 3 - step}, step=step)
        saved.write_text(str(step + 1))
    if not begun:
        os.kill(os.getpid(), signal.SIGKILL)
"""

RETRIED = """\
program: train.py
method: grid
metric: {name: loss, goal: minimize}
parameters: {lr: {values: [0.1]}}
early_terminate: {type: hyperband, min_iter: 1}
orchestrator: {retries: 1}
"""


@pytest.mark.ray
def test_a_trial_that_was_killed_after_its_last_row_has_finished_with_it(tmp_path):
    """Its further attempt goes on from the checkpoint, logs nothing and exits with 0: the rows are those of its W&B run."""
    (tmp_path / "train.py").write_text(SAVED_BEHIND_ITS_LAST_ROW)
    (tmp_path / "spec.yaml").write_text(RETRIED)
    run("sweep", "run", "spec.yaml", "--num-cpus", "1", cwd=tmp_path)
    (trial,) = orchestrator.load(runs_dir=tmp_path / "sweep-runs")
    assert (trial.state, trial.error, trial.value) == ("finished", None, 1.0)
    logs = sorted(trial.path.glob("wandb/*run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime)
    runs = [read_run(path) for path in logs]
    assert [value for each in runs for value in each.values("loss")] == list(trial.history["loss"]) == [3.0, 2.0, 1.0]
    assert [(each.run_id, each.exit_code) for each in runs][1:] == [(runs[0].run_id, 0)]
