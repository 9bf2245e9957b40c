import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from orchestrator.layout import SweepDir
from orchestrator.ledger.records import SweepRecord, SweepState
from orchestrator.spec import load_text
from orchestrator.upload.uploads import Uploads
from tests.wandb_server import WandbServer

SPEC = """
program: train.py
method: random
name: ridge
project: proj
parameters: {lr: {min: 0.0, max: 1.0}}
early_terminate: {type: asha, min_iter: 3}
metric: {name: loss, goal: minimize}
orchestrator: {seed: 1}
"""

RECORDING = {
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_X_DISABLE_STATS": "true",
    "WANDB_X_SAVE_REQUIREMENTS": "false",
    "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL": "0.05",
    "WANDB_RUN_GROUP": "ridge-abcdefgh",
    "WANDB_PROJECT": "elsewhere",
}
"""Offline, fast and quiet."""

IMPATIENT = {
    "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1",
    "WANDB_X_FILE_STREAM_RETRY_WAIT_MIN_SECONDS": "1",
    "WANDB_X_FILE_STREAM_RETRY_WAIT_MAX_SECONDS": "1",
    "WANDB_X_GRAPHQL_RETRY_WAIT_MIN_SECONDS": "1",
    "WANDB_X_GRAPHQL_RETRY_WAIT_MAX_SECONDS": "1",
    "WANDB_HTTP_TIMEOUT": "3",
}
"""What a client waits between two tries, so that tests need not."""

PROGRAM = """
import os, time, wandb
first, last, pause, finish, attempt = [float(x) for x in os.environ["ROWS"].split(",")]
run = wandb.init(config={"lr": 0.5, "opt": {"wd": 1e-05}})
for step in range(int(first), int(last)):
    run.log({"loss": 1 / (step + 1), "nested": {"attempt": int(attempt)}}, step=step)
    time.sleep(pause)
print("attempt", int(attempt))
run.log({"page": wandb.Html(f"<b>{int(attempt)}</b>")}, step=step)
if finish < 0:
    time.sleep(0.5)
    os._exit(9)
run.finish(exit_code=int(finish))
"""


@pytest.fixture
def sweep_dir(tmp_path):
    path = tmp_path / "ridge-abcdefgh"
    path.mkdir()
    return SweepDir(path)


@pytest.fixture
def record(sweep_dir):
    """Returns `record(trial, rows, ...)`: a trial's program with the real client, offline, as an attempt of the trial."""
    started = []

    def record(trial, rows, *, attempt=0, finish=0, pause=0.0, wait=True, run_id=None, **more):
        directory = sweep_dir.trial(trial).path
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f".attempt-{attempt}").touch()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        environment |= RECORDING
        environment |= {"WANDB_DIR": str(directory), "WANDB_RUN_ID": run_id or f"abcdefgh-{trial:04d}"} | more
        environment["ROWS"] = f"{rows[0]},{rows[1]},{pause},{finish},{attempt}"
        process = subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment)
        started.append(process)
        if wait:
            process.wait()
        return process

    yield record
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def server(monkeypatch, tmp_path):
    with WandbServer() as server:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
        for name, seconds in IMPATIENT.items():
            monkeypatch.setenv(name, seconds)
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def uploads(sweep_dir):
    """Returns `uploads(...)`: a sweep's uploads; closed at the end, and nothing of them is left."""
    made = []

    def uploads(path=None, **options):
        spec = load_text(SPEC, path="sweep.yaml", needs_program=False).require()
        record = SweepRecord(
            sweep_id="abcdefgh",
            name="ridge",
            spec_text="",
            seed=1,
            state=SweepState.RUNNING,
            created=0.0,
            cwd="/",
            wandb_sweep_id=path,
        )
        made.append(Uploads(sweep_dir, spec, record, **options))
        return made[-1]

    yield uploads
    for each in made:
        family = processes(each)
        each.close()
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive


def processes(uploads):
    """The upload process and its wandb core."""
    if uploads._process is None:
        return []
    try:
        process = psutil.Process(uploads._process.popen.pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def settled(uploads, timeout_s=60.0, *, finished=False):
    """What uploads say once they have tried everything."""
    until_s = time.monotonic() + timeout_s
    standing = uploads.settle(finished=finished, is_over=lambda _: time.monotonic() > until_s)
    assert standing.settled, standing
    return standing


def kill(process):
    """SIGKILL, and gone."""
    os.kill(process.pid, signal.SIGKILL)
