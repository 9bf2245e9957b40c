"""Ours against Ray Tune on this machine, in one run: trials per second, reports per second, and 40 torch trials with W&B.

python benchmarks/against_tune.py [trials] [reports] [torch]

A trial of ours is a process of its own with its TensorBoard run, and everything is in the ledger before the next step. Tune
runs with its default loggers (TensorBoard among them), with a fresh actor per trial as is its default, and with
``reuse_actors=True``, which keeps the process of the trial before. Rates are those of the trials after the first fifth.
"""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SWEEP = Path(sys.executable).with_name("sweep")
ENVIRON = os.environ | {
    "OMP_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_MODE": "offline",
    "WANDB_API_KEY": "f" * 40,
    "WANDB_SILENT": "true",
    "TUNE_DISABLE_AUTO_CALLBACK_SYNCER": "1",
}

SPEC = """
program: train.py
method: random
metric: {{name: loss, goal: minimize}}
run_cap: {n}
parameters:
  lr: {{min: 0.0001, max: 0.1}}
orchestrator: {{seed: 1, wandb: {wandb}}}
"""

REPORTING = """
import orchestrator
for i in range({reports}):
    orchestrator.report({{"loss": 1.0 / (i + 1), "accuracy": 0.5}}, step=i)
"""

TRAINING = """
import torch

def train(lr, log):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    x = torch.randn(512, 64)
    y = (x[:, :8].sum(1) > 0).long()
    model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    for _ in range(20):
        for i in range(0, 512, 32):
            loss = torch.nn.functional.cross_entropy(model(x[i : i + 32]), y[i : i + 32])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        log({"loss": float(loss)})
"""

WITH_WANDB = """
import argparse
import wandb
from training import train
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
args = parser.parse_args()
with wandb.init(config=vars(args)) as run:
    train(args.lr, run.log)
"""

TUNE = """
import json, sys, time
import ray
from ray import tune
kind, n, reports, reuse = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "True"

def reporting(config):
    began = time.time()
    for i in range(reports):
        tune.report({"loss": 1.0 / (i + 1), "accuracy": 0.5, "began": began, "at": time.time()})

def training(config):
    sys.path.insert(0, %(directory)r)
    from training import train
    train(config["lr"], tune.report)

callbacks = []
if kind == "training":
    from ray.air.integrations.wandb import WandbLoggerCallback
    callbacks.append(WandbLoggerCallback(project="benchmark"))
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
tuner = tune.Tuner(
    {"reporting": reporting, "training": training}[kind],
    param_space={"lr": tune.loguniform(1e-4, 1e-1)},
    tune_config=tune.TuneConfig(num_samples=n, metric="loss", mode="min", reuse_actors=reuse),
    run_config=tune.RunConfig(storage_path=%(directory)r + "/tune", verbose=0, callbacks=callbacks),
)
began = time.time()
results = tuner.fit()
assert len(results) == n and not results.errors, results.errors
ends = sorted(r.metrics.get("at", 0.0) for r in results)  # Tune's own timestamps are whole seconds
began = min(r.metrics.get("began", began) for r in results)
with open(%(directory)r + "/tune.json", "w") as file:
    json.dump({"ends": ends, "began": began}, file)
"""


def ours(program, n, *, wandb="off", training=None):
    """Run a sweep of ours; return (start, end) of every attempt in order of their ends, and the command's seconds."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "train.py").write_text(program)
        Path(directory, "training.py").write_text(training or "")
        Path(directory, "sweep.yaml").write_text(SPEC.format(n=n, wandb=wandb))
        took_s = run([SWEEP, "run", "sweep.yaml", "--num-cpus", "2", "--num-gpus", "0"], directory)
        [ledger] = Path(directory).glob("runs/*/ledger.sqlite")
        rows = sqlite3.connect(ledger).execute("SELECT started, ended, cause FROM attempts ORDER BY ended").fetchall()
        assert [row[2] for row in rows] == ["finished"] * n, rows
        return [row[:2] for row in rows], took_s


def tune(kind, n, *, reports=1, reuse=False, training=""):
    """Run Tune; return the ends of its trials in order, when the first began, and the seconds of the whole program."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "training.py").write_text(training)
        Path(directory, "program.py").write_text(TUNE % {"directory": directory})
        took_s = run([sys.executable, "program.py", kind, n, reports, reuse], directory)
        result = json.loads(Path(directory, "tune.json").read_text())
        return result["ends"], result["began"], took_s


def run(command, directory):
    """Run a command to its end; return its seconds."""
    began_s = time.perf_counter()
    done = subprocess.run(
        list(map(str, command)), check=False, cwd=directory, env=ENVIRON, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return time.perf_counter() - began_s


def steady(ends):
    """Return the rate of ends, in 1/s, after the first fifth."""
    skip = len(ends) // 5
    return (len(ends) - 1 - skip) / (ends[-1] - ends[skip])


def trials():
    """Trials that do nothing but report once."""
    n_own = 300
    attempts, own_s = ours(REPORTING.format(reports=1), n_own)
    own = steady([end for _, end in attempts])
    print(f"no-op trials, a process each:         {own:8.1f} /s  ours; {n_own} with starting and ending: {own_s:.1f} s")
    for reuse, n, aim in ((False, 10, 50), (True, n_own, 2)):
        ends, _, theirs_s = tune("reporting", n, reuse=reuse)
        theirs = steady(ends)
        print(
            f"Tune, reuse_actors={reuse!s:5}:             {theirs:8.1f} /s  ours is {own / theirs:.1f} x (aim {aim}); "
            f"{n} with starting and ending: {theirs_s:.1f} s"
        )


def reports():
    """Reports of two trials, from the first to the last: through to the ledger here, to the driver and its loggers there."""
    n = 10_000
    attempts, _ = ours(REPORTING.format(reports=n), 2)
    own = 2 * n / (max(end for _, end in attempts) - min(start for start, _ in attempts))
    print(f"reports of 2 trials to the ledger:    {own:8.0f} /s  ours")
    n = 1000
    ends, began, _ = tune("reporting", 2, reports=n)
    theirs = 2 * n / (ends[-1] - began)
    print(f"tune.report of 2 trials:              {theirs:8.0f} /s  ours is {own / theirs:.1f} x (aim 10)")


def torch():
    """40 trials of a small network with W&B offline: the whole command."""
    _, own_s = ours(WITH_WANDB, 40, wandb="auto", training=TRAINING)
    _, _, theirs_s = tune("training", 40, training=TRAINING)
    print(f"40 torch trials with W&B, everything: {own_s:8.1f} s   ours")
    print(f"Tune with its W&B callback:           {theirs_s:8.1f} s   ours takes 1/{theirs_s / own_s:.1f} of it")


def main():
    parts = {"trials": trials, "reports": reports, "torch": torch}
    for name in sys.argv[1:] or parts:
        parts[name]()


if __name__ == "__main__":
    main()
