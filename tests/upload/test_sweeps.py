"""`sweep run` with the real client and a W&B server, from the command line to what the server has."""

import json
import os
import subprocess
import sys
import time
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
while lr > 0.3 and not os.path.exists("gate"):
    time.sleep(0.01)
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
parameters: {lr: {values: [0.1, 0.2, 0.4, 0.8]}}
orchestrator: {concurrency: 2, retries: 1}
"""

LRS = (0.1, 0.2, 0.4, 0.8)


@pytest.fixture
def command(tmp_path):
    """Returns `command(*words, **environment)`: the sweep command, begun, with JSON events on its standard output."""
    (tmp_path / "train.py").write_text(PROGRAM)
    (tmp_path / "sweep.yaml").write_text(SPEC)
    base = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    base |= {"NETRC": str(tmp_path / "none"), "HOME": str(tmp_path)}
    begun = []

    def begin(*words, **environment):
        command = [str(Path(sys.executable).parent / "sweep"), *words, "--json"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        begun.append(subprocess.Popen(command, cwd=tmp_path, env=base | environment, **pipes))
        return begun[-1]

    yield begin
    for process in begun:
        process.terminate()
        process.communicate()


def outcome(process):
    """(exit code, what was said about W&B, standard error) of a command, once it has ended."""
    output, errors = process.communicate()
    events = [json.loads(line) for line in output.splitlines()]
    notes = [event["text"] for event in events if event["event"] == "note"]
    return process.returncode, [note for note in notes if note.startswith("W&B")], errors


def check_runs(server, sweep_id):
    """Every trial is one run of the one sweep, with every row once, and ended as its trial did."""
    (sweep,) = server.sweeps.values()
    assert (sweep.state, sweep.display_name) == ("FINISHED", "e2e")
    assert sorted(run.name for run in server.runs.values()) == [f"{sweep_id}-{n:04d}" for n in range(len(LRS))]
    for number, lr in enumerate(LRS):
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


def took(sweep_dir, number):
    """The time from before `wandb.init` to after `run.finish` in a trial, seconds."""
    log = (sweep_dir / "trials" / f"{number:04d}" / "output.log").read_text()
    (time_s,) = [float(line.split()[1]) for line in log.splitlines() if line.startswith("TOOK")]
    return time_s


def test_a_sweep_whose_server_breaks_midway_is_as_fast_and_goes_up_later(command, tmp_path):
    """A hang after half of the trials costs none of the others a second, nor a row: `sweep sync` sends what is missing, once."""
    with WandbServer() as server:
        sweep = command("run", "sweep.yaml", "--num-cpus", "2", **server.environ, **IMPATIENT)
        server.wait(lambda: [run.exitcode for run in server.runs.values()].count(0) == 2, 120.0)
        server.fault = "hang"
        (tmp_path / "gate").touch()
        code, notes, errors = outcome(sweep)
        assert code == 0, errors
        (sweep_dir,) = (tmp_path / "sweep-runs").iterdir()
        sweep_id = sweep_dir.name.rpartition("-")[2]
        (there,) = server.sweeps.values()
        assert notes[0] == f"W&B: runs appear at {server.url}/loopers/proj/sweeps/{there.name}"
        assert notes[-1].startswith("W&B: 2 runs are not there yet (")
        assert notes[-1].endswith(f"later: sweep sync {sweep_id}")
        assert len(notes) <= 4
        assert took(sweep_dir, 3) < max(took(sweep_dir, 0), took(sweep_dir, 1)) + 1.0
        assert [run.states for run in server.runs.values() if run.exitcode == 0] == [["running", "finished"]] * 2
        server.fault = None
        server.released.set()
        code, _, errors = outcome(command("sync", sweep_id, **server.environ, **IMPATIENT))
        assert code == 0, errors
        check_runs(server, sweep_id)
    found = subprocess.run(["grep", "-rl", API_KEY, str(tmp_path)], capture_output=True, text=True, check=False)
    assert found.stdout == ""


@pytest.mark.soak
@pytest.mark.parametrize("fault", [None, 500, 401, "hang", "down"])
def test_a_sweep_ends_well_whatever_its_server_does(command, tmp_path, fault):
    """From the first second on: every trial ends as it would, and in the end every run is on the server once."""
    (tmp_path / "gate").touch()
    with WandbServer() as server:
        server.stop() if fault == "down" else None
        server.fault = fault
        code, notes, errors = outcome(command("run", "sweep.yaml", "--num-cpus", "2", **server.environ, **IMPATIENT))
        assert code == 0, errors
        (sweep_dir,) = (tmp_path / "sweep-runs").iterdir()
        sweep_id = sweep_dir.name.rpartition("-")[2]
        if fault is not None:
            assert notes[-1].startswith("W&B: 4 runs are not there yet (")
            assert server.runs == {}
            server.fault = None
            server.start() if fault == "down" else server.released.set()
            code, _, errors = outcome(command("sync", sweep_id, **server.environ, **IMPATIENT))
            assert code == 0, errors
        check_runs(server, sweep_id)


@pytest.mark.soak
def test_online_trials_wait_for_a_slow_server_to_make_the_sweep(command, tmp_path):
    """A run joins its sweep when it begins, and never after."""
    (tmp_path / "gate").touch()
    with WandbServer() as server:
        server.fault, server.fault_at = 500, "UpsertSweep"
        words = ("run", "sweep.yaml", "--num-cpus", "2", "--set", "orchestrator.wandb=online")
        begun = command(*words, **server.environ)
        time.sleep(20)
        server.fault = None
        code, notes, errors = outcome(begun)
        assert code == 0, errors
        assert "W&B: the server has not made the sweep yet" in notes[0]
        (sweep,) = server.sweeps.values()
        assert {run.sweep for run in server.runs.values()} == {sweep.name}


@pytest.mark.soak
def test_online_trials_send_their_runs_themselves(command, tmp_path):
    """`orchestrator.wandb: online`: no row goes twice, though uploads stand by for what trials could not send."""
    (tmp_path / "gate").touch()
    with WandbServer() as server:
        words = ("run", "sweep.yaml", "--num-cpus", "2", "--set", "orchestrator.wandb=online")
        code, notes, errors = outcome(command(*words, **server.environ, **IMPATIENT))
        assert code == 0, errors
        (sweep_dir,) = (tmp_path / "sweep-runs").iterdir()
        (sweep,) = server.sweeps.values()
        assert notes[-1] == f"W&B: all runs are at {server.url}/loopers/proj/sweeps/{sweep.name}"
        for number, lr in enumerate(LRS):
            run = server.run(f"{sweep_dir.name.rpartition('-')[2]}-{number:04d}")
            n_attempts = 2 if lr in {0.2, 0.4} else 1  # each goes on with the steps of the one before it
            assert [row["_step"] for row in run.history] == list(range(len(run.history)))
            assert len(run.history) in {6 * n_attempts, 6 * n_attempts - 1}  # a killed one loses its pending row
            assert (run.sweep, run.state) == (sweep.name, "failed" if lr == 0.4 else "finished")
