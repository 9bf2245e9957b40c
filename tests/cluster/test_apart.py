"""A sweep on a node whose disk is its own: project and runs directory are on the head alone."""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.cli.shell import SWEEP, environ
from tests.faults.checker import check
from tests.hosts import Hosts, may_be, network_of, start_ray
from tests.waiting import until

pytestmark = [pytest.mark.ray, pytest.mark.soak, pytest.mark.timeout(900)]

DRIVER = Path(__file__).parents[1] / "faults/driver.py"

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


QUICK_HEALTH_CHECKS = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 4,
}

LEASE_S = 5.0


@pytest.fixture
def hosts(tmp_path, request):
    """A head and a node, with a network and a disk of its own; yields both, the address and variables.

    The head has no slots unless a test asks for some.
    """
    if not may_be():
        pytest.skip("needs root, network and mount namespaces")
    (tmp_path / "project").mkdir()
    (tmp_path / "node").mkdir()
    variables = environ(
        RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0", SWEEP_NODE_DIR=str(tmp_path / "node"), MARK=str(tmp_path)
    )
    temp_dir = f"/tmp/swh-{os.getpid()}"
    both = Hosts({tmp_path / "project": "50%"})
    try:
        head = [f"--system-config={json.dumps(QUICK_HEALTH_CHECKS)}", f"--num-cpus={getattr(request, 'param', 0)}"]
        address = start_ray(both, variables=variables, temp_dir=temp_dir, head=head, node=["--num-cpus=2"])
        yield both, address, variables
    finally:
        both.close()
        shutil.rmtree(temp_dir, ignore_errors=True)


def a_project(variables, *, steps=8):
    """A sweep of four trials, on the head's disk; return where."""
    project = Path(variables["MARK"]) / "project"
    (project / "mine").mkdir()
    (project / "mine/__init__.py").touch()
    (project / "mine/values.py").write_text("RATE = 0.1\n")
    (project / "train.py").write_text(PROGRAM.replace("first, 8", f"first, {steps}") % (project / "train.py"))
    (project / "sweep.yaml").write_text(SPEC)
    return project


def test_a_sweep_runs_where_neither_project_nor_runs_are(hosts):
    """Code goes along, everything comes back whole, also of a trial whose worker was killed; nothing stays on the node."""
    both, address, variables = hosts
    project = a_project(variables)
    command = [*both.head, SWEEP, "run", "sweep.yaml", "--address", address]
    node_dir = project.parent / "node"
    with subprocess.Popen(command, cwd=project, env=variables, text=True, stderr=subprocess.PIPE) as running:
        steps = []
        while not steps and running.poll() is None:
            time.sleep(0.05)
            steps = [path for path in project.glob("sweep-runs/*/trials/*/checkpoints/step") if path.read_text() > "2"]
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


@pytest.mark.parametrize("hosts", [1], indirect=True)
def test_a_host_that_is_cut_off_for_good_costs_what_it_ran_alone(hosts):
    """Its attempts are lost with its name when their lease is over, go on elsewhere from what has arrived; nothing is doubled."""
    both, address, variables = hosts
    project = a_project(variables, steps=20)
    command = [*both.head, sys.executable, DRIVER, "-", str(LEASE_S), "run", "sweep.yaml", "--address", address]

    def away():
        logs = [log for log in project.glob("sweep-runs/*/trials/*/output.log") if "seen False" in log.read_text()]
        steps = [log.parent / "checkpoints/step" for log in logs]
        return [int(step.parts[-3]) for step in steps if step.exists() and int(step.read_text()) > 2]

    with subprocess.Popen(command, cwd=project, env=variables, text=True, stderr=subprocess.PIPE) as running:
        while not away() and running.poll() is None:
            time.sleep(0.05)
        both.cut()
        said = running.stderr.read()
    assert running.returncode == 0, said
    assert f"will run again: node lost: node {socket.gethostname()}" in said
    attempts = query_all(project, "SELECT trial, cause FROM attempts ORDER BY trial, attempt")
    lost = [trial for trial, cause in attempts if cause == "node_lost"]
    assert lost, said
    assert attempts == [(n, cause) for n in range(4) for cause in ["node_lost"] * (n in lost) + ["finished"]]
    (sweep_dir,) = project.glob("sweep-runs/train-*")
    for n in range(4):
        log = (sweep_dir / f"trials/{n:04d}/output.log").read_text()
        assert log.splitlines()[-1].endswith("seen True") or n not in lost
        (model,) = [p for p in (sweep_dir / f"trials/{n:04d}/checkpoints").iterdir() if len(p.name) == 64]
        assert hashlib.sha256(model.read_bytes()).hexdigest() == model.name


HARD = """import argparse, hashlib, os, random, sys, time
from orchestrator import checkpoint_dir, report
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
x = parser.parse_args().x
chance = random.Random()
place = checkpoint_dir()
root = os.path.dirname(place)
def sum_of(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
saved = os.path.join(place, "saved")
if os.path.exists(saved):
    with open(saved, "rb") as file:
        digest, _, content = file.read().partition(b" ")
    if hashlib.sha256(content).hexdigest() != digest.decode():
        sys.exit("TORN")
    print("goes on", flush=True)
os.makedirs(os.path.join(root, "own", "deep"), exist_ok=True)
for n in range(10):
    report(loss=x + n)
    print("line", n, flush=True)
    content = chance.randbytes(chance.randrange(2_000_000))
    with open(saved + ".tmp", "wb") as file:
        file.write(hashlib.sha256(content).hexdigest().encode() + b" " + content)
    os.replace(saved + ".tmp", saved)
    with open(os.path.join(root, "own", "history.csv"), "a") as file:
        file.write(f"{n},{content[:8].hex()}\\n" * 100)
    with open(os.path.join(root, "own", "deep", str(n % 4)), "wb") as file:
        file.write(content[:1000])
    if n % 3 == 2:
        os.remove(os.path.join(root, "own", "deep", str(n % 4)))
    time.sleep(0.1)
with open(os.path.join(place, "SUMS"), "w") as sums:
    for top, _, names in os.walk(root):
        for path in (os.path.join(top, name) for name in names if name != "SUMS"):
            inside = os.path.relpath(path, root)
            if inside.startswith(("own", "checkpoints")):
                sums.write(f"{sum_of(path)} {inside}\\n")
"""

HARD_SPEC = """program: train.py
method: random
metric: {name: loss}
run_cap: 100000
parameters: {x: {min: 0.0, max: 1.0}}
orchestrator: {seed: 1, wandb: off}
"""


def act(hosts, chance, mark):
    """Do something bad to the node; return what."""
    kind = chance.choice(["cut for a moment", "cut for long", "worker", "raylet"])
    if kind.startswith("cut"):
        seconds = chance.uniform(0.2, 0.6 * LEASE_S) if kind.endswith("moment") else chance.uniform(2, 3) * LEASE_S
        hosts.cut()
        time.sleep(seconds)
        hosts.heal()
        return f"{kind}: {seconds:.1f} s"
    names = {"worker": "ray::Carried", "raylet": "raylet"}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            is_marked = network_of(process.pid) == hosts.node_net and process.environ().get("MARK") == mark
            if is_marked and Path(process.cmdline()[0]).name.startswith(names[kind]):
                process.kill()
    return kind


@pytest.mark.timeout(3600)
def test_cuts_and_kills_while_files_travel(hosts, tmp_path):
    """A hundred of them, at random moments, cuts shorter and longer than the lease: nothing is lost, doubled or torn."""
    both, address, variables = hosts
    chance = random.Random(int(os.environ.get("FAULTS_SEED", "20261127")))
    project = tmp_path / "project"
    (project / "train.py").write_text(HARD)
    (project / "sweep.yaml").write_text(HARD_SPEC)
    command = [sys.executable, DRIVER, "-", LEASE_S, "run", "sweep.yaml", "--address", address, "--json"]
    with (tmp_path / "err").open("wb") as err:
        running = both.start(both.head, command, cwd=project, env=variables, stderr=err)
    said = (tmp_path / "err").read_text
    finished = "SELECT count(*) FROM attempts WHERE cause = 'finished'"
    for round_ in range(int(os.environ.get("FAULTS_ROUNDS", "100"))):
        before = query(project, finished)
        until(lambda before=before: running.poll() is not None or query(project, finished) > before, said, 600)
        assert running.poll() is None, said()
        time.sleep(chance.uniform(0, 2))
        print(time.strftime("%H:%M:%S"), round_, query(project, finished), act(both, chance, str(tmp_path)), flush=True)
    asked = subprocess.run([SWEEP, "stop"], cwd=project, env=variables, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    assert running.wait(timeout=300) in {0, 5}, said()
    (sweep_dir,) = project.glob("sweep-runs/train-*")
    check(sweep_dir, over=False, ships=True)
    ended = query_all(project, "SELECT trial FROM attempts WHERE cause = 'finished'")
    assert len(ended) == len(set(ended)) > 0
    for (trial,) in ended:
        whole(sweep_dir / f"trials/{trial:04d}")
    assert not query(project, "SELECT count(*) FROM attempts WHERE cause = 'failed'"), said()
    assert not list(sweep_dir.glob(".arriving*"))


def whole(place):
    """A finished trial's directory has what its program saw in it at the end, byte for byte, and nothing else."""
    lines = (place / "checkpoints/SUMS").read_text().splitlines()
    sums = {path: digest for digest, path in (line.split(" ", 1) for line in lines)}
    found = {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for top in ("own", "checkpoints")
        for path in (place / top).rglob("*")
        if path.is_file() and path.name != "SUMS"
    }
    assert found == sums, place
    log = (place / "output.log").read_text().splitlines()
    assert log[-10:] == [f"line {n}" for n in range(10)], place


def query_all(project, text):
    """Rows of the ledger; none while there is none."""
    for path in project.glob("sweep-runs/*/ledger.sqlite"):
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path, timeout=30)) as ledger:
            return ledger.execute(text).fetchall()
    return []


def query(project, text):
    """The number that a query gives; 0 where there is no ledger yet."""
    rows = query_all(project, text)
    return rows[0][0] if rows else 0


def kill_workers(node_dir):
    """Kill every worker that holds a directory of its own."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.startswith(str(node_dir)) and target.endswith("/lock"):
            os.kill(int(link.parts[2]), signal.SIGKILL)
