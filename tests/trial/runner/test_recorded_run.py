import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.trial.contract.events import Cause, Ended
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind
from orchestrator.trial.contract.reports import ReportWriter
from orchestrator.trial.runner.recorded_run import record_run
from tests.trial.conftest import a_wandb_run
from tests.wandb_server import ENTITY, WandbServer

BEGAN_S = time.time() - 100


@pytest.fixture
def launch(tmp_path):
    """An attempt that has reported out of order, by two tags, a value that is not finite, and one that the summary keeps."""
    writer = ReportWriter(tmp_path / "reports.jsonl", 1)
    for metrics, step in (({"loss": 1.0}, 0), ({"loss": 0.5}, 2), ({"acc": 0.7}, 0), ({"acc": math.inf}, 2)):
        writer.write(metrics, step, BEGAN_S + 10 + step)
    writer.close()
    return Launch(
        sweep_id="k3x9w2ab",
        sweep_name="digits",
        trial=7,
        attempt=1,
        trial_dir=str(tmp_path),
        cwd=str(tmp_path),
        program=Program(kind=ProgramKind.SCRIPT, target="train.py"),
        argv=(),
        config={"lr": 0.1, "opt": {"name": "adam"}},
        wandb=a_wandb_run(7, tags=("first",)),
    )


def ended(code=None, number=None):
    return Ended(trial=7, attempt=1, time=time.time(), cause=Cause.FAILED, exit_code=code, signal=number)


def logs(launch):
    return sorted(Path(launch.trial_dir).glob("wandb/offline-run-*/run-k3x9w2ab-0007.wandb"))


def test_what_is_written_is_what_wandb_sends(launch):
    """It arrives by its own `sync` as a run of its client does: config, names, rows by step, summary, state."""
    record_run(launch, ended(1), BEGAN_S)
    (log,) = logs(launch)
    with WandbServer() as server:
        environ = os.environ | server.environ | {"WANDB_DIR": launch.trial_dir}
        command = [sys.executable, "-m", "wandb", "sync", "--entity", ENTITY, str(log.parent)]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        run = server.run("k3x9w2ab-0007")
    assert (run.project, run.group, run.display_name, run.tags) == ("p", "digits", "digits-7", ["first"])
    assert run.settings() == launch.config
    assert [(row["_step"], row["loss"], row["acc"]) for row in run.history] == [(0, 1.0, 0.7), (2, 0.5, math.inf)]
    assert (run.summary["loss"], run.summary["_step"], run.state, run.exitcode) == (0.5, 2, "failed", 1)


def test_a_run_that_is_there_is_left_alone(launch):
    """One of this attempt; that of an earlier one is another part of the same run."""
    record_run(launch, ended(number=9), BEGAN_S)
    (log,) = logs(launch)
    whole = log.read_bytes()
    record_run(launch, ended(0), BEGAN_S)
    assert [path.read_bytes() for path in logs(launch)] == [whole]
    os.utime(log, (BEGAN_S - 50, BEGAN_S - 50))
    record_run(launch, ended(0), BEGAN_S + 1)
    assert len(logs(launch)) == 2
