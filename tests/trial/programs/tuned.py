"""The two APIs of Ray Tune."""

import json
import tempfile
from pathlib import Path

from model import epochs
from ray import tune


def train(config):
    """The function API: a checkpoint with every report, and the one of an earlier attempt to start from."""
    start = 0
    checkpoint = tune.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as directory:
            start = json.loads(Path(directory, "state.json").read_text())["step"] + 1
    context = tune.get_context()
    print("context", context.get_trial_id(), context.get_trial_dir(), context.get_world_size(), start)
    for step, metrics in epochs(config["lr"]):
        if step < start:
            continue
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "state.json").write_text(json.dumps({"step": step}))
            tune.report({k: float(v) for k, v in metrics.items()}, checkpoint=tune.Checkpoint.from_directory(directory))
        if step == config.get("die_at"):
            raise RuntimeError("died")


class Trainable(tune.Trainable):
    """The class API."""

    def setup(self, config):
        self.rows = dict(epochs(config["lr"]))
        self.position = 0
        self.die_at = config.get("die_at")

    def step(self):
        if self.position == self.die_at:
            raise RuntimeError("died")
        metrics = {k: float(v) for k, v in self.rows[self.position].items()}
        self.position += 1
        return {**metrics, "done": self.position == len(self.rows)}

    def save_checkpoint(self, checkpoint_dir):
        Path(checkpoint_dir, "position").write_text(str(self.position))

    def load_checkpoint(self, checkpoint_dir):
        self.position = int(Path(checkpoint_dir, "position").read_text())
        print("restored", self.position)

    def reset_config(self, new_config):
        return True

    def cleanup(self):
        print("cleaned up")
