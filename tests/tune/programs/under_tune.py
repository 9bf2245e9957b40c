"""Runs trainables under a Tuner and prints what came of each: ``python under_tune.py '[["Counts", [3]], ...]'``."""

import json
import pathlib
import sys
import tempfile

import ray
import twenty
from ray import tune

AUTOMATIC = {
    "trial_id", "date", "timestamp", "pid", "hostname", "node_ip", "time_since_restore", "time_this_iter_s", "time_total_s",
    "iterations_since_restore", "timesteps_since_restore", "checkpoint_dir_name", "done", "should_checkpoint",
    "experiment_tag", "timesteps_total", "episodes_total",
}  # fmt: skip


class Results(tune.Callback):
    """Keeps every result that Tune hears of."""

    def __init__(self):
        self.found = []

    def on_trial_result(self, iteration, trials, trial, result, **info):
        self.found.append(dict(result))


def run(name, deaths):
    trainable = getattr(twenty, name)
    with tempfile.TemporaryDirectory() as place:
        flags = pathlib.Path(place, "flags")
        flags.mkdir()
        frequency = 1 if isinstance(trainable, type) and name not in {"SaysWhen", "ForgetsEverything"} else 0
        results = Results()
        config = tune.RunConfig(
            callbacks=[results],
            storage_path=f"{place}/results",
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=len(deaths)),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=frequency, checkpoint_at_end=name == "SaysWhen"
            ),
        )
        tune.Tuner(trainable, param_space={"deaths": deaths, "flags": str(flags)}, run_config=config).fit()
        (parameters,) = pathlib.Path(place, "results").rglob("params.json")
        rows = {}
        for found in results.found:
            row = ray.tune.utils.flatten_dict(found)
            numbers = {k: v for k, v in row.items() if isinstance(v, (int, float)) and not k.startswith("config/")}
            # what a later attempt repeats comes later
            rows[row["training_iteration"]] = {k: float(v) for k, v in numbers.items() if k not in AUTOMATIC}
        checkpoints = sorted(path for path in parameters.parent.glob("checkpoint_*") if path.is_dir())
        files = {}
        for path in sorted(checkpoints[-1].rglob("*")) if checkpoints else []:
            if path.is_file():
                files[str(path.relative_to(checkpoints[-1]))] = path.read_bytes().hex()
        return {"rows": sorted(rows.items()), "checkpoint": files}


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    for job in json.loads(sys.argv[1]):
        print("RESULT", json.dumps([*job, run(*job)]), flush=True)
