"""`sweep sync` as its user types it, with runs of the real client, against the loopback server."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from orchestrator import session
from orchestrator.ledger.curves import objectives_of
from orchestrator.ledger.store import Ledger
from orchestrator.spec import load_text
from tests.upload.conftest import IMPATIENT, PROGRAM, RECORDING, SPEC
from tests.wandb_server import API_KEY, WandbServer

N_TRIALS = 2
ROWS = 800


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A sweep whose trials ran offline, without a sweep on any server: (runs directory, sweep's directory)."""
    runs = tmp_path_factory.mktemp("runs")
    spec = load_text(SPEC, path="sweep.yaml", needs_program=False).require()
    sweep_dir = session.create(spec, name="ridge", runs=runs)
    ledger = Ledger(sweep_dir.ledger_path)
    ledger.load(objectives_of(spec))
    programs = []
    for number in range(N_TRIALS):
        run_id = f"{sweep_dir.sweep_id}-{number:04d}"
        ledger.add_trial({"lr": 0.5}, run_id=run_id)
        directory = sweep_dir.trial(number).path
        directory.mkdir(parents=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")} | RECORDING
        environment |= {"WANDB_DIR": str(directory), "WANDB_RUN_ID": run_id, "ROWS": f"0,{ROWS},0,0,0"}
        programs.append(subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment))
    ledger.close()
    assert [program.wait() for program in programs] == [0] * N_TRIALS
    return runs, sweep_dir


@pytest.fixture
def sweep(recorded, tmp_path):
    """Returns `sweep(*words)`: a Popen of the command, on this sweep, with an environment of its own."""
    runs, _ = recorded
    base = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}

    def start(*words, **environment):
        command = [str(Path(sys.executable).parent / "sweep"), *words, "--runs-dir", str(runs)]
        env = base | {"NETRC": str(tmp_path / "none"), "HOME": str(tmp_path)} | environment
        return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    return start


def test_sync_goes_on_after_a_kill_and_sends_every_run_once(recorded, sweep):
    """From no key, over a wrong key and SIGKILL in the middle, to one sweep with every run once; then there is nothing to do."""
    _, sweep_dir = recorded
    refused = sweep("sync")
    assert refused.communicate()[1].startswith("error: you are not logged in to W&B.\n  Run `wandb login`")
    assert refused.returncode == 2
    with WandbServer() as server:
        environment = server.environ | IMPATIENT
        server.fault = 401
        wrong = sweep("sync", **environment)
        assert "2 of 2 runs are not sent: the server refuses: HTTP 401" in wrong.communicate()[1]
        server.fault, server.fault_at = 0.3, ".*file_stream"
        killed = sweep("sync", **environment)
        server.wait(lambda: any(run.history for run in server.runs.values()))
        family = [psutil.Process(killed.pid), *psutil.Process(killed.pid).children(recursive=True)]
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive
        server.fault = None
        again = sweep("sync", "--json", **environment)
        output, errors = again.communicate()
        last = json.loads(output.splitlines()[-1])
        (there,) = server.sweeps.values()
        assert (last["event"], last["left"], again.returncode) == ("sync_ended", 0, 0), errors
        assert last["path"] == f"loopers/proj/{there.name}"
        for number in range(N_TRIALS):
            run = server.run(f"{sweep_dir.sweep_id}-{number:04d}")
            assert [row["_step"] for row in run.history] == list(range(ROWS))
            assert (run.sweep, run.project, run.state, run.overwritten) == (there.name, "proj", "finished", 0)
        assert len(server.runs) == N_TRIALS
        n_requests = len(server.operations)
        idle = sweep("sync", **environment)
        assert idle.communicate()[0] == f"every run is on the server already, in {last['path']}\n"
        elsewhere = sweep("sync", "--project", "other", **environment)
        assert f"is on the server as {last['path']} already" in elsewhere.communicate()[1]
        assert len(server.operations) == n_requests
    record = subprocess.run(["grep", "-r", API_KEY, str(sweep_dir.path)], capture_output=True, check=False)
    assert record.stdout == b""


def test_sync_leaves_a_running_sweep_alone(recorded, sweep):
    """Whoever controls the sweep sends its runs; the command says who that is."""
    from orchestrator.ledger.lock import controlling

    _, sweep_dir = recorded
    with controlling(sweep_dir.lock_path):
        refused = sweep("sync", WANDB_API_KEY=API_KEY)
        assert "is controlled by" in refused.communicate()[1]
    assert refused.returncode == 6
