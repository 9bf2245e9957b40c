"""Tune's classes and functions as programs: what they report, when they end, and how a further attempt goes on."""

import json

import pytest

from orchestrator.trial.contract.events import Cause
from orchestrator.trial.contract.launch import ProgramKind

OF_TUNE = {"kind": ProgramKind.OBJECT}
PRELOAD = ("ray.tune",)

CLASSES = """
import json, os, pathlib
from ray import tune
class Counts(tune.Trainable):
    def setup(self, config):
        self.n = 0
    def step(self):
        self.n += 1
        if self.n == self.config.get("die_at"):
            os._exit(9)
        print("STEP", self.n, self.iteration, self.training_iteration)
        return {"n": self.n, "timesteps_this_iter": 10, "time_this_iter_s": 2.0, "done": self.n >= 6, **self.more()}
    def more(self):
        return {"timesteps": self._timesteps_total or 0, "total_s": self._time_total}
    def save_checkpoint(self, directory):
        pathlib.Path(directory, "n").write_text(str(self.n))
    def load_checkpoint(self, directory):
        self.n = int(pathlib.Path(directory, "n").read_text())
class ByDict(Counts):
    def save_checkpoint(self, directory):
        return {"n": self.n, "text": "kept"}
    def load_checkpoint(self, found):
        assert found["text"] == "kept"
        self.n = found["n"]
class SaysWhen(Counts):
    def more(self):
        return {"should_checkpoint": True} if self.n % 2 == 0 else {}
class Endless(Counts):
    def more(self):
        return {"done": False, "training_iteration": 100 + self.n}
"""


def attempts(shared, name, deaths, **fields):
    """Run a program that dies at each of some steps, one an attempt, and then to its end; return the attempts."""
    shared.script(CLASSES, "counts.py")
    first = shared.run(f"counts:{name}", config={"die_at": deaths[0]} if deaths else {}, **OF_TUNE, **fields)
    all_of_it = [first]
    for n, death in enumerate([*deaths[1:], None] if deaths else [], start=1):
        config = {} if death is None else {"die_at": death}
        all_of_it.append(
            shared.run(f"counts:{name}", config=config, trial=first.launch.trial, attempt=n, **OF_TUNE, **fields)
        )
    assert all_of_it[-1].ended().cause is Cause.FINISHED, all_of_it[-1].log
    return all_of_it


def rows(trials):
    return [(report.step, report.metrics) for trial in trials for report in trial.reports]


@pytest.mark.parametrize("name", ["Counts", "ByDict"])
def test_a_class_goes_on_after_two_deaths_as_if_there_had_been_none(shared, name):
    """Iterations, timesteps and time count on; checkpoints by directory and by dict; only the last one is left."""
    whole, died = attempts(shared, name, []), attempts(shared, name, [3, 5])
    assert rows(died) == rows(whole)
    assert [metrics["timesteps"] for _, metrics in rows(whole)] == [0, 10, 20, 30, 40, 50]
    assert [metrics["total_s"] for _, metrics in rows(whole)] == [0, 2, 4, 6, 8, 10]
    assert "STEP 5 4 4" in died[-1].log
    assert [path.name for path in (died[-1].dir / "checkpoints").iterdir()] == ["checkpoint_000006"]


def test_a_class_that_says_when_to_keep_a_checkpoint_is_obeyed(shared):
    """It is restored from what it asked for, and repeats from there."""
    first, second = attempts(shared, "SaysWhen", [6])
    assert [step for step, _ in rows([first])] == [1, 2, 3, 4, 5]
    assert [step for step, _ in rows([second])] == [5, 6]


def test_stop_ends_a_class_that_never_ends(shared):
    """The first result that meets a condition is the last, and the trial has finished; its own iteration is a metric."""
    (trial,) = attempts(shared, "Endless", [], stop={"training_iteration": 103})
    assert [(step, metrics["training_iteration"]) for step, metrics in rows([trial])] == [
        (101, 101),
        (102, 102),
        (103, 103),
    ]
    (trial,) = attempts(shared, "Endless", [], stop={"time_total_s": 7, "n": 50})
    assert [metrics["n"] for _, metrics in rows([trial])] == [1, 2, 3, 4]
    (trial,) = attempts(shared, "Endless", [], stop={"n": 2}, metric="time_total_s")
    assert [metrics["time_total_s"] for _, metrics in rows([trial])] == [2, 4]


FUNCTIONS = """
from ray import tune
def number(config):
    return 0.25
def mapping(config):
    return {"loss": {"train": 0.5}, "done": True}
def numbers(config):
    yield 1
    yield 2.5
def rows(config):
    for n in range(5):
        yield {"n": n, "done": n == 2}
def done(config):
    try:
        for n in range(5):
            tune.report({"n": n, "done": n == 2})
    finally:
        print("tidied up")
def endless(config):
    n = 0
    while True:
        n += 1
        tune.report({"n": n})
def something_else(config):
    tune.report({"n": 1})
    return object()
def by_parameters(config, table):
    tune.report({"n": table["n"] + config["lr"]})
parametrized = tune.with_parameters(by_parameters, table={"n": 41})
with_more = tune.with_resources(parametrized, {"cpu": 2})
class Late(tune.Trainable):
    def setup(self, config, table):
        self.table = table
    def step(self):
        return {"n": self.table["n"], "done": True}
late = tune.with_resources(tune.with_parameters(Late, table={"n": 7}), {"cpu": 2})
"""


@pytest.mark.parametrize(
    ("name", "expected", "stop"),
    [
        ("number", [{"_metric": 0.25}], {}),
        ("mapping", [{"loss/train": 0.5}], {}),
        ("numbers", [{"_metric": 1.0}, {"_metric": 2.5}], {}),
        ("rows", [{"n": 0.0}, {"n": 1.0}, {"n": 2.0}], {}),
        ("done", [{"n": 0.0}, {"n": 1.0}, {"n": 2.0}], {}),
        ("endless", [{"n": 1.0}, {"n": 2.0}, {"n": 3.0}], {"training_iteration": 3}),
        ("endless", [{"n": 1.0}, {"n": 2.0}], {"n": 2}),
        ("something_else", [{"n": 1.0}], {}),
        ("with_more", [{"n": 42.0}], {}),
        ("late", [{"n": 7.0}], {}),
    ],
)
def test_results_of_functions_mean_what_they_mean(shared, name, expected, stop):
    """Returned and yielded numbers and mappings, `done`, stop conditions, parameters and resources that wrap a trainable."""
    shared.script(FUNCTIONS, "functions.py")
    trial = shared.run(f"functions:{name}", config={"lr": 1}, stop=stop, **OF_TUNE)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert [report.metrics for report in trial.reports] == expected
    assert ("tidied up" in trial.log) == (name == "done")


def test_the_counts_of_a_function_come_with_its_checkpoint(shared):
    """The row number goes on from the checkpoint's row, also where the program does not checkpoint every row."""
    shared.script(
        "import json, os, pathlib, tempfile\nfrom ray import tune\n"
        "def train(config):\n"
        "    found = tune.get_checkpoint()\n"
        "    start = int(pathlib.Path(found.path, 'n').read_text()) if found else 0\n"
        "    for n in range(start + 1, 8):\n"
        "        if n == config.get('die_at'): os._exit(9)\n"
        "        with tempfile.TemporaryDirectory() as directory:\n"
        "            pathlib.Path(directory, 'n').write_text(str(n))\n"
        "            kept = {'checkpoint': tune.Checkpoint.from_directory(directory)} if n % 2 == 0 else {}\n"
        "            tune.report({'n': n}, **kept)\n"
        "    if found: print('LENT', pathlib.Path(found.path, 'n').read_text())\n",
        "sparse.py",
    )
    died = shared.run("sparse:train", config={"die_at": 4}, **OF_TUNE)
    again = shared.run("sparse:train", trial=died.launch.trial, attempt=1, **OF_TUNE)
    assert [(r.step, r.metrics["n"]) for r in died.reports] == [(1, 1), (2, 2), (3, 3)]
    assert [(r.step, r.metrics["n"]) for r in again.reports] == [(n, n) for n in range(3, 8)], again.log
    assert "LENT 2" in again.log
    (kept,) = (again.dir / "checkpoints").iterdir()
    assert (kept / "n").read_text() == "6"
    counts = json.loads((again.dir / ".tune.json").read_text())[kept.name]
    assert (counts["training_iteration"], counts["step"]) == (6, 6)
