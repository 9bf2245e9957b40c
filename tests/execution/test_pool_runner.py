"""The pool with the real runner below it: warm fork servers, their children, and what dies with whom."""

import os
import signal
import sys

import psutil
import pytest

from orchestrator.execution.ray.pool import RayPool
from orchestrator.spec.model import Resources
from orchestrator.trial.contract.events import Cause, Ended, Reported, Started
from orchestrator.trial.contract.launch import Program, ProgramKind

pytestmark = pytest.mark.ray

REPORTING = """
import os, signal
from torch.utils.tensorboard import SummaryWriter
with SummaryWriter() as writer:
    for step in range(5):
        writer.add_scalar("loss", 1.0 / (step + 1), step)
print(os.environ["CUDA_VISIBLE_DEVICES"], os.environ["HOME"], {"RAY_AUTH_TOKEN", "RAY_JOB_ID"} & set(os.environ))
print(signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""

HANGING = "import time\nprint('up', flush=True)\ntime.sleep(1000)\n"


@pytest.fixture
def watch(local_ray, tmp_path, watching):
    pool = RayPool(local_ray, resources=Resources(cpu=2), runs_dir=tmp_path)
    watch = watching(pool, patience_s=90.0)
    watch.slots(2)
    yield watch
    pool.close()


@pytest.fixture
def go(watch, a_launch, tmp_path):
    def launch(text, trial=0, attempt=0):
        script = tmp_path / "train.py"
        script.write_text(text)
        program = Program(kind=ProgramKind.SCRIPT, target=str(script))
        watch.pool.launch(a_launch(trial, attempt, argv=(sys.executable, str(script)), program=program, metric=None))

    return launch


def test_a_script_is_forked_reports_and_sees_the_users_environment(watch, go, tmp_path):
    """From `pool.launch` to TensorBoard scalars as reports; Ray's variables and blocked signals stay out of the trial."""
    go(REPORTING)
    ended = watch.one(Ended, 0)
    assert (ended.cause, ended.error) == (Cause.FINISHED, None)
    assert watch.one(Started, 0).cold_reason is None
    losses = [r.metrics["loss"] for e in watch.of(Reported, 0) for r in e.reports]
    assert losses == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    assert (tmp_path / "trials" / "0000" / "output.log").read_text() == f" {os.environ['HOME']} set()\nset()\n"


def test_a_killed_fork_server_loses_its_attempts_but_not_the_worker(watch, go, gone):
    """SIGKILL on the warm server: its attempts end as lost, the next launch gets a new server."""
    go(HANGING)
    pid = watch.one(Started, 0).pid
    server = psutil.Process(pid).parent()
    worker = server.ppid()
    server.kill()
    assert watch.one(Ended, 0).cause is Cause.WORKER_LOST
    assert gone(pid)
    go("print('again')", 0, attempt=1)
    assert watch.one(Ended, 0, attempt=1).cause is Cause.FINISHED
    assert psutil.pid_exists(worker)


def test_a_killed_worker_takes_its_server_and_its_trials_along(watch, go, gone):
    """SIGKILL on the actor: nothing of it goes on, and a new one runs the next attempt."""
    for trial in range(2):
        go(HANGING, trial)
    pids = [watch.one(Started, trial).pid for trial in range(2)]
    server = psutil.Process(pids[0]).parent()
    os.kill(server.ppid(), signal.SIGKILL)
    assert [watch.one(Ended, trial).cause for trial in range(2)] == [Cause.WORKER_LOST] * 2
    assert all(gone(pid) for pid in [*pids, server.pid])
    go("print('again')", 0, attempt=1)
    assert watch.one(Ended, 0, attempt=1).cause is Cause.FINISHED
    watch.quiet()
    assert [len(watch.of(Ended, trial)) for trial in range(2)] == [1, 1]


def test_a_killed_trial_is_its_own_end(watch, go):
    """SIGKILL on the child, as the kernel's out-of-memory killer sends it: killed, with its signal and log."""
    go(HANGING)
    os.kill(watch.one(Started, 0).pid, signal.SIGKILL)
    ended = watch.one(Ended, 0)
    assert (ended.cause, ended.signal) == (Cause.KILLED, signal.SIGKILL)
