"""The training of timed.py as trials of Ray Tune, a fresh actor each, which is its default. Argument: how many."""

import os
import sys
from pathlib import Path

import ray
from ray import tune

HERE = str(Path(__file__).parent)


def trial(config):
    sys.path.insert(0, HERE)
    from timed import train

    train()
    tune.report({"done": 1})


ray.init(num_gpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
tuner = tune.Tuner(
    tune.with_resources(trial, {"cpu": 1, "gpu": 1}),
    param_space={"lr": tune.loguniform(1e-4, 1e-1)},
    tune_config=tune.TuneConfig(num_samples=int(sys.argv[1]), metric="done", mode="max"),
    run_config=tune.RunConfig(storage_path=os.environ["GPU_CHECK_TUNE_DIR"], verbose=0),
)
results = tuner.fit()
assert not results.errors, results.errors
