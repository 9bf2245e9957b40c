import os
import subprocess
import sys
import time
from pathlib import Path

from orchestrator.trial.processes import end_family, end_marked, family, marked, signal_session

TREE = """
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(1000)"]
kinds = [{}, {"process_group": 0}, {"start_new_session": True}]
print(*(subprocess.Popen(sleep, **kind).pid for kind in kinds), flush=True)
time.sleep(1000)
"""


def tree(**environment):
    process = subprocess.Popen(
        [sys.executable, "-c", TREE],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | environment,
    )
    return process, [process.pid, *map(int, process.stdout.readline().split())]


def finish(process):
    process.wait(timeout=10)
    process.stdout.close()


def test_a_family_is_all_that_a_trial_started(gone):
    """Children, process groups and sessions of their own belong to it; ending it ends them; a stranger's session is empty."""
    process, pids = tree()
    assert family(process.pid) == sorted(pids)
    end_family(process.pid)
    finish(process)
    assert all(gone(pid) for pid in pids)
    assert family(process.pid) == []


def test_a_signal_to_the_session_leaves_other_sessions(gone):
    """SIGTERM for the trial's session, process groups included; what left the session gets none."""
    process, pids = tree()
    signal_session(process.pid, 15)
    finish(process)
    assert all(gone(pid) for pid in pids[:3])
    assert Path(f"/proc/{pids[3]}").exists()
    os.kill(pids[3], 9)
    assert gone(pids[3])


def test_the_marked_are_found_by_their_environment(gone):
    """Whatever became of their parents."""
    marker = f"SWEEP_TEST_MARK=m{time.time_ns()}"
    process, pids = tree(**dict([marker.split("=")]))
    assert sorted(marked(marker)) == sorted(pids)
    process.kill()
    end_marked(marker)
    finish(process)
    assert all(gone(pid) for pid in pids)
    assert marked(marker) == []
