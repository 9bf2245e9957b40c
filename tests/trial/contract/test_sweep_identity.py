"""What a program can ask to know that a sweep runs it, in every mode; and that what is recorded goes up by itself."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.trial.contract.events import Cause
from orchestrator.trial.contract.launch import ProgramKind
from tests.trial.conftest import a_wandb_run, wandb_runs
from tests.wandb_server import ENTITY, WandbServer

PRELOAD = ("wandb",)

ASKS = """
import os, sys, wandb
def facts():
    names = ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_DIR")
    run = wandb.init(project="ignored", entity="ignored")
    found = {name: os.environ[name] for name in names}
    assert os.path.exists(found["WANDB_SWEEP_PARAM_PATH"])
    found |= {"sweep_id": run.sweep_id, "module": wandb.run.sweep_id, "id": run.id, "url": run.sweep_url, "lr": run.config["lr"]}
    run.log({"loss": run.config["lr"]})
    return found
def main():
    print("FACTS", facts())
if __name__ == "__main__":
    main()
"""

CHILD = """
import subprocess, sys
subprocess.run([sys.executable, "asks.py"], check=True)
"""


def facts_of(trial):
    (line,) = [line for line in trial.log.splitlines() if line.startswith("FACTS ")]
    return ast.literal_eval(line.removeprefix("FACTS "))


@pytest.mark.parametrize("wandb", ["offline", "off"])
@pytest.mark.parametrize("way", ["script", "module", "function", "command", "child"])
def test_a_program_knows_that_a_sweep_runs_it(shared, wandb, way):
    """`WANDB_SWEEP_ID` and what else an agent sets is there, `run.sweep_id` is the same, however the program is started."""
    number = 2 * ["script", "module", "function", "command", "child"].index(way) + (wandb == "off")
    script = shared.script(ASKS, "asks.py")
    shared.script(CHILD, "child.py")
    target, kind = {
        "script": (script, ProgramKind.SCRIPT),
        "module": ("asks", ProgramKind.MODULE),
        "function": ("asks:main", ProgramKind.OBJECT),
        "command": ((sys.executable, script), ProgramKind.COMMAND),
        "child": (shared.dir / "child.py", ProgramKind.SCRIPT),
    }[way]
    run = a_wandb_run(number) if wandb == "offline" else None
    trial = shared.run(target, kind=kind, wandb=run, trial=number, config={"lr": 0.5})
    assert trial.ended().cause is Cause.FINISHED, trial.log
    run_id = f"k3x9w2ab-{number:04d}"
    assert facts_of(trial) == {
        "WANDB_SWEEP_ID": "k3x9w2ab",
        "WANDB_RUN_ID": run_id,
        "WANDB_SWEEP_PARAM_PATH": str(trial.dir / "config.yaml"),
        "WANDB_DIR": str(trial.dir),
        "sweep_id": "k3x9w2ab",
        "module": "k3x9w2ab",
        "id": run_id,
        "url": None,
        "lr": 0.5,
    }
    assert "Ignoring project 'ignored' when running a sweep." in trial.log
    assert trial.series("loss") == [0.5]


def test_the_id_of_a_sweep_on_the_server_is_the_one_that_is_seen_and_recorded(shared):
    """A sweep that is on a server has the server's id: for the script, and in the run's log."""
    trial = shared.run(
        shared.script(ASKS, "asks.py"), wandb=a_wandb_run(20, sweep_id="swp1"), trial=20, config={"lr": 1.0}
    )
    assert facts_of(trial)["sweep_id"] == facts_of(trial)["WANDB_SWEEP_ID"] == "swp1"
    assert [logged.run.sweep_id for logged in wandb_runs(trial)] == ["swp1"]


def test_a_recorded_run_goes_up_by_wandbs_own_sync(shared, tmp_path):
    """No server knows a sweep of ours: the id is not in the log, so that `wandb sync` sends the run by itself."""
    trial = shared.run(shared.script(ASKS, "asks.py"), wandb=a_wandb_run(21), trial=21, config={"lr": 1.0})
    assert [logged.run.sweep_id for logged in wandb_runs(trial)] == [""]
    (directory,) = (trial.dir / "wandb").glob("offline-run-*")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    with WandbServer() as server:
        environment |= server.environ | {"NETRC": str(tmp_path / "none"), "HOME": str(tmp_path)}
        command = [str(Path(sys.executable).parent / "wandb"), "sync", str(directory)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        run = server.run("k3x9w2ab-0021")
        assert (run.sweep, run.project, run.values("loss")) == (None, "p", [1.0])


def test_an_online_run_without_a_sweep_on_the_server_is_sent_without_its_id(shared):
    """In the client's own online mode, too, a server never hears of a sweep that it does not know."""
    with WandbServer() as server:
        run = a_wandb_run(22, mode="online")
        trial = shared.run(shared.script(ASKS, "asks.py"), wandb=run, trial=22, config={"lr": 1.0}, env=server.environ)
        assert trial.ended().cause is Cause.FINISHED, trial.log
        assert facts_of(trial)["sweep_id"] == "k3x9w2ab"
        there = server.run("k3x9w2ab-0022")
        assert (there.sweep, there.entity, there.values("loss")) == (None, ENTITY, [1.0])


FOLDS = """
import multiprocessing, os, wandb

def forget_the_sweep():
    for name in [n for n in os.environ if n.startswith("WANDB_") and n not in ("WANDB_PROJECT", "WANDB_ENTITY", "WANDB_API_KEY")]:
        del os.environ[name]

def fold(queue, answers):
    forget_the_sweep()
    number, group, name, config = queue.get()
    run = wandb.init(group=group, job_type=name, name=f"{name}-{number}", id=f"fold-{name}-{number}", config=config)
    run.log({"val": number + config["lr"]})
    wandb.finish()
    answers.put(number)

if __name__ == "__main__":
    answers, queues = multiprocessing.Queue(), [multiprocessing.Queue() for _ in range(2)]
    workers = [multiprocessing.Process(target=fold, args=(queue, answers)) for queue in queues]
    for worker in workers:
        worker.start()
    run = wandb.init()
    run.notes = f"{run.project_url}/groups/{run.sweep_id}"
    for number, queue in enumerate(queues):
        queue.put((number, run.sweep_id, run.name, dict(run.config)))
    print("DONE", sorted(answers.get() for _ in workers))
    for worker in workers:
        worker.join()
    run.log({"loss": run.config["lr"]})
"""


def test_runs_of_folds_that_forget_the_sweep_are_offline_and_in_the_trial(shared):
    """W&B's cross-validation example deletes the variables and starts a run per fold: each is recorded, and none goes online."""
    trial = shared.run(shared.script(FOLDS, "folds.py"), wandb=a_wandb_run(23), trial=23, config={"lr": 0.5})
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert "DONE [0, 1]" in trial.log
    runs = {logged.run.run_id: logged for logged in wandb_runs(trial)}
    assert set(runs) == {"k3x9w2ab-0023", "fold-digits-23-0", "fold-digits-23-1"}
    assert runs["fold-digits-23-1"].run.run_group == "k3x9w2ab"
    assert [row["val"] for row in runs["fold-digits-23-1"].rows] == [1.5]
