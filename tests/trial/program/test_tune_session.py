"""Tune's functions inside a trial: found by every name and import, in functions, scripts and their children."""

import json

import pytest

from orchestrator.trial.contract.events import Cause
from orchestrator.trial.contract.launch import ProgramKind

OF_TUNE = {"kind": ProgramKind.OBJECT}
PRELOAD = ("ray.tune",)

BODY = """
import os, pathlib, tempfile
def loop(config):
    start, found = 0, GET()
    if found is not None:
        with found.as_directory() as directory:
            start = int(pathlib.Path(directory, "step").read_text()) + 1
    print("START", start, flush=True)
    for step in range(start, 5):
        if step == config.get("die_at"):
            os._exit(9)
        with tempfile.TemporaryDirectory() as directory:
            pathlib.Path(directory, "step").write_text(str(step))
            REPORT(SEEN, checkpoint=Checkpoint.from_directory(directory))
"""

IMPORTS = {
    "module": ("from ray import tune\nfrom ray.tune import Checkpoint", "tune.report", "tune.get_checkpoint"),
    "names": ("from ray.tune import report, get_checkpoint, get_context, Checkpoint", "report", "get_checkpoint"),
    "star": ("from ray.tune import *", "report", "get_checkpoint"),
    "train": ("from ray import train\nfrom ray.train import Checkpoint", "train.report", "train.get_checkpoint"),
    "train names": (
        "from ray.train import report as r, get_checkpoint as g, Checkpoint", "r", "g",
    ),
    "air": ("from ray.air import session\nfrom ray.tune import Checkpoint", "session.report", "session.get_checkpoint"),
    "importlib": (
        "import importlib\nt = importlib.import_module('ray.tune')\nCheckpoint = t.Checkpoint", "t.report", "t.get_checkpoint",
    ),
    "another module": ("from held import report, get_checkpoint, Checkpoint", "report", "get_checkpoint"),
}  # fmt: skip


def program(head: str, report: str, get: str, seen: str = "{'seen': step}") -> str:
    return head + BODY.replace("REPORT", report).replace("GET", get).replace("SEEN", seen)


def numbered(trial) -> list[tuple[int, float]]:
    return [(report.step, report.metrics["seen"]) for report in trial.reports]


@pytest.mark.parametrize("name", IMPORTS)
def test_a_session_is_found_however_it_was_imported(shared, name):
    """A name bound before, a star, another module's, Ray Train's and AIR's: reports and checkpoints of two attempts join."""
    shared.script("from ray.tune import report, get_checkpoint, Checkpoint\n", "held.py")
    module = f"by_{name.replace(' ', '_')}"
    shared.script(program(*IMPORTS[name]), f"{module}.py")
    died = shared.run(f"{module}:loop", config={"die_at": 3}, **OF_TUNE)
    assert died.ended().exit_code == 9, died.log
    again = shared.run(f"{module}:loop", trial=died.launch.trial, attempt=1, **OF_TUNE)
    assert again.ended().cause is Cause.FINISHED, again.log
    assert "START 3" in again.log
    assert numbered(died) + numbered(again) == [(n + 1, float(n)) for n in range(5)]
    (kept,) = (again.dir / "checkpoints").iterdir()
    assert (kept / "step").read_text() == "4"


def test_a_script_that_reports_to_tune_is_captured(shared):
    """No function is named to the sweep: the script itself reports, is resumed, and asks for its context."""
    text = program("from ray.tune import report, get_checkpoint, get_context, Checkpoint", "report", "get_checkpoint")
    script = shared.script(
        f"{text}\nimport sys\nprint('TRIAL', get_context().get_trial_id())\nloop({{'die_at': 2}} if sys.argv[1:] else {{}})\n",
        "as_script.py",
    )
    died = shared.run(script, "die")
    again = shared.run(script, trial=died.launch.trial, attempt=1)
    assert again.ended().cause is Cause.FINISHED, again.log
    assert numbered(died) + numbered(again) == [(n + 1, float(n)) for n in range(5)]
    assert f"TRIAL k3x9w2ab-{again.launch.trial:04d}" in again.log


def test_a_command_that_starts_python_is_captured(shared):
    """A shell script that runs the script: the hook finds the session there."""
    script = shared.script(
        program("from ray import tune\nfrom ray.tune import Checkpoint", "tune.report", "tune.get_checkpoint")
        + "\nloop({})\n",
        "below.py",
    )
    trial = shared.run(["bash", "-c", f"python {script}"], kind=ProgramKind.COMMAND)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert numbered(trial) == [(n + 1, float(n)) for n in range(5)]


OLD = """
from ray import tune
import os, pathlib
def kwargs(config):
    tune.report(loss=0.5, acc=1)
    tune.report(0.25)
def drawer(config, checkpoint_dir=None):
    start = int(pathlib.Path(checkpoint_dir, "step").read_text()) + 1 if checkpoint_dir else 0
    print("START", start, tune.get_trial_id(), tune.get_trial_name(), tune.get_trial_dir(), tune.is_session_enabled())
    for step in range(start, 4):
        if step == config.get("die_at"):
            os._exit(9)
        with tune.checkpoint_dir(step=step) as directory:
            pathlib.Path(directory, "step").write_text(str(step))
        tune.report(seen=step)
"""


def test_the_names_of_older_versions_still_mean_what_they_meant(shared):
    """Keywords, a bare number, `checkpoint_dir` as context and as argument, `get_trial_id` and its like."""
    shared.script(OLD, "old.py")
    trial = shared.run("old:kwargs", **OF_TUNE)
    assert [report.metrics for report in trial.reports] == [{"loss": 0.5, "acc": 1.0}, {"_metric": 0.25}], trial.log
    died = shared.run("old:drawer", config={"die_at": 2}, **OF_TUNE)
    number = died.launch.trial
    again = shared.run("old:drawer", trial=number, attempt=1, **OF_TUNE)
    assert numbered(died) + numbered(again) == [(n + 1, float(n)) for n in range(4)], again.log
    assert f"START 2 k3x9w2ab-{number:04d} digits-{number} {again.dir} True" in again.log
    assert [path.name for path in (again.dir / "checkpoints").iterdir()] == ["checkpoint_000004"]
    assert not list(again.dir.glob(".checkpoint-*"))


CONTEXT = """
import json
from ray import train, tune
def ask(config):
    context = tune.get_context()
    assert isinstance(context, tune.TuneContext)
    names = [name for name in dir(tune.TuneContext) if name.startswith("get_")]
    found = {name: getattr(context, name)() for name in names}
    resources, storage = found.pop("get_trial_resources"), found.pop("get_storage")
    assert isinstance(resources, tune.PlacementGroupFactory)
    found["bundles"] = [resources.head_cpus, resources.bundles, resources.required_resources]
    found["storage"] = [storage.trial_fs_path, storage.storage_fs_path, storage.trial_working_directory]
    found["train"] = train.get_context().get_world_rank()
    from ray.air import session
    found["session"] = [session.get_trial_id(), session.get_trial_name(), session.get_trial_dir(), session.get_experiment_name()]
    found["resources"] = session.get_trial_resources().bundles
    print("FOUND", json.dumps(found))
    tune.report({"loss": 1.0})
class Asks(tune.Trainable):
    def setup(self, config):
        print("FOUND", json.dumps([self.trial_id, self.trial_name, self.logdir, self.trial_resources.head_cpus, config]))
    def step(self):
        return {"loss": 1.0, "done": True}
"""


def found(trial):
    (line,) = [line for line in trial.log.splitlines() if line.startswith("FOUND ")]
    return json.loads(line.removeprefix("FOUND "))


def test_every_question_about_the_trial_is_answered(shared):
    """Each public method of Tune's context, Ray Train's and AIR's; the resources and the storage are Ray's own kinds."""
    shared.script(CONTEXT, "asks.py")
    trial = shared.run("asks:ask", cpus=2.0, **OF_TUNE)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    number, place = trial.launch.trial, str(trial.dir)
    assert found(trial) == {
        "get_experiment_name": "digits",
        "get_trial_id": f"k3x9w2ab-{number:04d}",
        "get_trial_name": f"digits-{number}",
        "get_trial_dir": place,
        "get_metadata": {},
        "get_world_size": 1,
        "get_local_world_size": 1,
        "get_world_rank": 0,
        "get_local_rank": 0,
        "get_node_rank": 0,
        "bundles": [2.0, [{"CPU": 2.0}], {"CPU": 2.0}],
        "storage": [place, str(trial.dir.parents[1]), place],
        "train": 0,
        "session": [f"k3x9w2ab-{number:04d}", f"digits-{number}", place, "digits"],
        "resources": [{"CPU": 2.0}],
    }
    assert not list(trial.dir.parent.glob(".validate*"))


def test_a_class_knows_its_trial(shared, tmp_path):
    """Id, name, directory and resources are the trial's; nothing is made in the user's home, and the config stays clean."""
    shared.script(CONTEXT, "asks.py")
    trial = shared.run("asks:Asks", config={"lr": 1}, env={"HOME": str(tmp_path)}, **OF_TUNE)
    number = trial.launch.trial
    assert found(trial) == [f"k3x9w2ab-{number:04d}", f"digits-{number}", str(trial.dir), 1.0, {"lr": 1}], trial.log
    assert not (tmp_path / "ray_results").exists()


NESTED = """
import ray
from ray import tune
def inner(config):
    tune.report({"score": config["x"] * 2})
if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    grid = tune.Tuner(inner, param_space={"x": tune.grid_search([1, 2])}, run_config=tune.RunConfig(verbose=0)).fit()
    print("BEST", grid.get_best_result("score", "max").metrics["score"])
    tune.report({"best": 1.0})
"""


@pytest.mark.soak
def test_a_trial_that_runs_a_tuner_of_its_own_keeps_it_apart(shared, tmp_path):
    """The inner Tuner hears of its own trials; what they report is not the outer trial's."""
    script = shared.script(NESTED, "nested.py")
    trial = shared.run(script, env={"HOME": str(tmp_path), "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"})
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert "BEST 4" in trial.log
    assert trial.series("best") == [1.0]
    assert not trial.series("score")
