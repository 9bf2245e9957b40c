"""Twenty programs of Ray Tune, classes and functions: the same under a Tuner and under a sweep."""

import json
import os
import pathlib
import tempfile

from ray import tune
from ray.tune import Checkpoint, get_checkpoint, report

ROWS = 9


def die(config, row):
    """End the process at once, at each of the rows that `deaths` lists, once."""
    for n, death in enumerate(config["deaths"]):
        flag = pathlib.Path(config["flags"], str(n))
        if row == death and not flag.exists():
            flag.touch()
            os._exit(9)


class Counts(tune.Trainable):
    """Keeps its checkpoint in a directory."""

    def setup(self, config):
        self.n = 0
        self.sum = 0.0

    def step(self):
        die(self.config, self.n + 1)
        self.n += 1
        self.sum += 1 / self.n
        return {"n": self.n, "sum": self.sum, "done": self.n >= ROWS, **self.more()}

    def more(self):
        return {}

    def save_checkpoint(self, directory):
        pathlib.Path(directory, "state.json").write_text(json.dumps([self.n, self.sum]))

    def load_checkpoint(self, directory):
        self.n, self.sum = json.loads(pathlib.Path(directory, "state.json").read_text())


class ByDict(Counts):
    def save_checkpoint(self, directory):
        return {"n": self.n, "sum": self.sum}

    def load_checkpoint(self, found):
        self.n, self.sum = found["n"], found["sum"]


class ReturnsItsDirectory(Counts):
    def save_checkpoint(self, directory):
        super().save_checkpoint(directory)
        return directory


class NestedFiles(Counts):
    def save_checkpoint(self, directory):
        path = pathlib.Path(directory, "deep", "er")
        path.mkdir(parents=True)
        (path / "state.json").write_text(json.dumps([self.n, self.sum]))

    def load_checkpoint(self, directory):
        super().load_checkpoint(pathlib.Path(directory, "deep", "er"))


class EndsByIteration(Counts):
    def more(self):
        return {"done": self.iteration + 1 >= ROWS, "iteration": self.iteration}


class Timesteps(Counts):
    def more(self):
        return {"timesteps_this_iter": 10, "episodes_this_iter": 2, "total": self._timesteps_total or 0}


class OwnIteration(Counts):
    def more(self):
        return {"training_iteration": 10 * self.n}


class OwnTime(Counts):
    def more(self):
        return {"time_this_iter_s": 2.0, "spent": self._time_total}


class NestedMetrics(Counts):
    def more(self):
        return {"valid": {"acc": self.sum, "deep": {"er": self.n}}, "text": "no metric"}


class SaysWhen(Counts):
    def more(self):
        return {"should_checkpoint": self.n % 3 == 0}


class ForgetsEverything(tune.Trainable):
    """Has no checkpoints: a death begins it anew."""

    def setup(self, config):
        self.n = 0

    def step(self):
        die(self.config, self.n + 1)
        self.n += 1
        return {"n": self.n, "done": self.n >= ROWS}


def restored():
    found = get_checkpoint()
    if found is None:
        return 0
    with found.as_directory() as directory:
        return json.loads(pathlib.Path(directory, "state.json").read_text())


def kept(n, directory):
    pathlib.Path(directory, "state.json").write_text(json.dumps(n))
    return Checkpoint.from_directory(directory)


def every_row(config):
    for n in range(restored() + 1, ROWS + 1):
        die(config, n)
        with tempfile.TemporaryDirectory() as directory:
            report({"n": n}, checkpoint=kept(n, directory))


def every_third_row(config):
    for n in range(restored() + 1, ROWS + 1):
        die(config, n)
        with tempfile.TemporaryDirectory() as directory:
            report({"n": n}, checkpoint=kept(n, directory) if n % 3 == 0 else None)


def no_checkpoint(config):
    for n in range(1, ROWS + 1):
        die(config, n)
        tune.report({"n": n, "nested": {"value": n / 2}})


def by_done(config):
    n = restored()
    while True:
        n += 1
        die(config, n)
        with tempfile.TemporaryDirectory() as directory:
            tune.report({"n": n, "done": n >= ROWS}, checkpoint=kept(n, directory))


def own_iteration(config):
    for n in range(restored() + 1, ROWS + 1):
        die(config, n)
        with tempfile.TemporaryDirectory() as directory:
            report({"n": n, "training_iteration": 5 * n}, checkpoint=kept(n, directory))


def yields_mappings(config):
    for n in range(1, ROWS + 1):
        die(config, n)
        yield {"n": n}


def yields_numbers(config):
    for n in range(ROWS):
        die(config, n + 1)
        yield n / 4


def returns_a_mapping(config):
    die(config, 1)
    return {"n": 7, "sum": 0.5}


def with_table(config, table):
    for n in range(restored() + 1, ROWS + 1):
        die(config, n)
        with tempfile.TemporaryDirectory() as directory:
            report({"n": n, "table": table[n]}, checkpoint=kept(n, directory))


parametrized = tune.with_resources(tune.with_parameters(with_table, table=list(range(20))), {"cpu": 1})

NAMES = (
    "Counts", "ByDict", "ReturnsItsDirectory", "NestedFiles", "EndsByIteration", "Timesteps", "OwnIteration", "OwnTime",
    "NestedMetrics", "SaysWhen", "ForgetsEverything", "every_row", "every_third_row", "no_checkpoint", "by_done",
    "own_iteration", "yields_mappings", "yields_numbers", "returns_a_mapping", "parametrized",
)  # fmt: skip
