"""`sweep run` with the real client and a W&B server, from the command line to what the server has."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.upload.conftest import IMPATIENT
from tests.wandb_server import API_KEY, WandbServer

pytestmark = pytest.mark.ray

PROGRAM = """
import argparse, os, signal, sys, time
import wandb
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
lr = parser.parse_args().lr
began = time.monotonic()
run = wandb.init(project="own")
for step in range(6):
    run.log({"loss": lr / (step + 1)})
if lr == 0.2 and not os.path.exists("killed"):
    open("killed", "w").close()
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGKILL)
if lr == 0.4:
    sys.exit(3)
run.finish()
print("TOOK", time.monotonic() - began)
"""

SPEC = """
program: train.py
method: grid
project: proj
name: e2e
metric: {name: loss, goal: minimize}
parameters: {lr: {values: [0.1, 0.2, 0.4]}}
orchestrator: {concurrency: 2, retries: 1}
"""


@pytest.fixture
def command(tmp_path):
    """Returns `command(*words, **environment)`: (exit code, JSON events, what was said) of the sweep command."""
    (tmp_path / "train.py").write_text(PROGRAM)
    (tmp_path / "sweep.yaml").write_text(SPEC)
    base = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    base |= {"NETRC": str(tmp_path / "none"), "HOME": str(tmp_path)}

    def run(*words, **environment):
        (tmp_path / "killed").unlink(missing_ok=True)
        command = [str(Path(sys.executable).parent / "sweep"), *words, "--json"]
        done = subprocess.run(
            command, cwd=tmp_path, env=base | environment, text=True, capture_output=True, check=False
        )
        events = [json.loads(line) for line in done.stdout.splitlines()]
        notes = [event["text"] for event in events if event["event"] == "note"]
        return done.returncode, notes, done.stderr

    return run


def check_runs(server, sweep_id):
    """Every trial is one run of the one sweep, with every row once, and ended as its trial did."""
    (sweep,) = server.sweeps.values()
    assert sorted(run.name for run in server.runs.values()) == [f"{sweep_id}-{n:04d}" for n in range(3)]
    for number, lr in enumerate([0.1, 0.2, 0.4]):
        run = server.run(f"{sweep_id}-{number:04d}")
        assert (run.sweep, run.project, run.group, run.settings()) == (
            sweep.name,
            "proj",
            f"e2e-{sweep_id}",
            {"lr": lr},
        )
        assert run.values("loss") == [pytest.approx(lr / (step + 1)) for step in range(6)]
        assert (run.state, run.exitcode) == (("failed", 3) if lr == 0.4 else ("finished", 0))
        assert run.overwritten == 0
    assert server.unknown == set()


def test_a_sweep_appears_on_the_server_while_it_runs(command, tmp_path):
    """A finished trial, one that is killed and tried again, and one that fails: a run each, under one finished sweep."""
    with WandbServer() as server:
        code, notes, errors = command("run", "sweep.yaml", "--num-cpus", "2", **server.environ, **IMPATIENT)
        assert code == 0, errors
        (sweep_dir,) = (tmp_path / "runs").iterdir()
        sweep_id = sweep_dir.name.rpartition("-")[2]
        check_runs(server, sweep_id)
        (sweep,) = server.sweeps.values()
        assert (sweep.state, sweep.display_name) == ("FINISHED", "e2e")
        url = f"{server.url}/loopers/proj/sweeps/{sweep.name}"
        assert [note for note in notes if note.startswith("W&B")] == [
            f"W&B: runs appear at {url}",
            f"W&B: all runs are at {url}",
        ]
        assert [run.states for run in server.runs.values() if run.exitcode == 0] == [["running", "finished"]] * 2
    found = subprocess.run(["grep", "-rl", API_KEY, str(tmp_path)], capture_output=True, text=True, check=False)
    assert found.stdout == ""


def test_a_server_that_hangs_costs_no_trial_a_second(command, tmp_path):
    """The same sweep without credentials and with a hanging server: as fast, as complete; `sweep sync` sends it afterwards."""
    code, notes, errors = command("run", "sweep.yaml", "--num-cpus", "2", "--runs-dir", "offline")
    assert (code, [note for note in notes if note.startswith("W&B")]) == (0, []), errors
    with WandbServer() as server:
        server.fault = "hang"
        code, notes, errors = command("run", "sweep.yaml", "--num-cpus", "2", **server.environ, **IMPATIENT)
        assert code == 0, errors
        (sweep_dir,) = (tmp_path / "runs").iterdir()
        sweep_id = sweep_dir.name.rpartition("-")[2]
        assert notes[-1].startswith("W&B: 3 runs are not there yet (")
        assert notes[-1].endswith(f"later: sweep sync {sweep_id}")
        assert took(sweep_dir) < took(next((tmp_path / "offline").iterdir())) + 1.0
        assert server.runs == {}
        server.fault = None
        server.released.set()
        code, _, errors = command("sync", sweep_id, **server.environ, **IMPATIENT)
        assert code == 0, errors
        check_runs(server, sweep_id)


def took(sweep_dir):
    """The longest time from before `wandb.init` to after `run.finish` in a trial, seconds."""
    logs = [path.read_text() for path in sweep_dir.glob("trials/*/output.log")]
    times = [float(line.split()[1]) for log in logs for line in log.splitlines() if line.startswith("TOOK")]
    assert len(times) == 2
    return max(times)
