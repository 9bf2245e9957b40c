"""A sweep on a node whose disk is its own: project and runs directory are on the head alone."""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.errors import ClusterError
from orchestrator.execution.ray.probe import probe
from tests.cli.shell import SWEEP, environ

pytestmark = [pytest.mark.ray, pytest.mark.soak, pytest.mark.timeout(900)]

RAY = Path(sys.executable).with_name("ray")

SPEC = "program: train.py\nmethod: grid\nmetric: {name: loss}\nparameters: {x: {values: [1, 2, 3, 4]}}\n"

PROGRAM = """import argparse, hashlib, os, time
import mine.values
from orchestrator import checkpoint_dir, report
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=int)
x = parser.parse_args().x
place = checkpoint_dir()
step = os.path.join(place, "step")
first = int(open(step).read()) if os.path.exists(step) else 0
print("from", first, "seen", os.path.exists("%s"), flush=True)
for n in range(first, 8):
    report(loss=x + n * mine.values.RATE)
    with open(step + ".tmp", "w") as file:
        file.write(str(n + 1))
    os.replace(step + ".tmp", step)
    time.sleep(0.3)
content = os.urandom(5_000_000)
with open(os.path.join(place, hashlib.sha256(content).hexdigest()), "wb") as file:
    file.write(content)
"""


def may_have_namespaces():
    """Whether a process may be given mounts of its own here."""
    unshare = shutil.which("unshare")
    command = [unshare or "false", "--mount", "true"]
    return os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.fixture
def apart(tmp_path):
    """A head without trials, and a node on which an empty disk lies where the project is; yields the address."""
    if not may_have_namespaces():
        pytest.skip("needs root and mount namespaces")
    project = tmp_path / "project"
    project.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    variables = {**environ(), "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    temp_dir = f"/tmp/swa-{os.getpid()}"
    port = address.partition(":")[2]
    head = [RAY, "start", "--head", "--num-cpus=0", "--num-gpus=0", f"--port={port}", "--include-dashboard=false"]
    node = f'mount --make-rprivate / && mount -t tmpfs tmpfs "{project}" && exec "{RAY}" start --address={address}'
    commands = [
        [*head, f"--temp-dir={temp_dir}", "--block"],
        ["unshare", "--mount", "sh", "-c", f"{node} --num-cpus=2 --num-gpus=0 --block"],
    ]
    started = []
    try:
        for command in commands:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            started.append(subprocess.Popen(command, env=variables, start_new_session=True, **quiet))
            while not is_up(address):
                time.sleep(0.2)
        yield project, address, variables
    finally:
        for process in reversed(started):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)
        shutil.rmtree(temp_dir, ignore_errors=True)


def is_up(address):
    """Whether a cluster answers that has a node here."""
    try:
        probe(address)
    except ClusterError:
        return False
    return True


def test_a_sweep_runs_where_neither_project_nor_runs_are(apart):
    """Code goes along, everything comes back whole, also of a trial whose worker was killed; nothing stays on the node."""
    project, address, variables = apart
    (project / "mine").mkdir()
    (project / "mine/__init__.py").touch()
    (project / "mine/values.py").write_text("RATE = 0.1\n")
    (project / "train.py").write_text(PROGRAM % (project / "train.py"))
    (project / "sweep.yaml").write_text(SPEC)
    command = [SWEEP, "run", "sweep.yaml", "--address", address]
    node_dir = project.parent / "node"
    node_dir.mkdir()
    variables = variables | {"SWEEP_NODE_DIR": str(node_dir)}
    with subprocess.Popen(command, cwd=project, env=variables, text=True, stderr=subprocess.PIPE) as running:
        steps = []
        while not steps and running.poll() is None:
            time.sleep(0.05)
            steps = [path for path in project.glob("sweep-runs/*/trials/*/checkpoints/step") if path.read_text() == "3"]
        kill_workers(node_dir)
        said = running.stderr.read()
    assert running.returncode == 0, said
    assert "will run again" in said
    (sweep_dir,) = project.glob("sweep-runs/train-*")
    logs = [(sweep_dir / f"trials/{n:04d}/output.log").read_text() for n in range(4)]
    assert all("seen False" in log for log in logs)
    assert any(f"from {n}" in log for log in logs for n in range(2, 8))
    for n in range(4):
        (model,) = [p for p in (sweep_dir / f"trials/{n:04d}/checkpoints").iterdir() if len(p.name) == 64]
        assert hashlib.sha256(model.read_bytes()).hexdigest() == model.name
    assert (sweep_dir / "best.yaml").exists()
    assert not any(node_dir.iterdir())


def kill_workers(node_dir):
    """Kill every worker that holds a directory of its own."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.startswith(str(node_dir)) and target.endswith("/lock"):
            os.kill(int(link.parts[2]), signal.SIGKILL)
