"""A sweep and its copy in a real S3 server: begun here, fetched, and gone on with on another machine."""

import contextlib
import re
import shutil
import subprocess
import time
from contextlib import closing

import pytest

from orchestrator.cli import stores
from orchestrator.errors import SweepLockedError
from orchestrator.layout import SweepDir
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import TrialState
from orchestrator.ledger.store import Ledger
from orchestrator.storage.mirror import Mirror
from orchestrator.storage.ownership import OWNER, TakenError
from orchestrator.storage.store import Store
from tests.cli.shell import SWEEP, called, environ, start, sweep, write_project
from tests.s3_server import SECRET
from tests.storage.conftest import sweep_dir  # noqa: F401

pytestmark = pytest.mark.ray

SPEC = """\
program: train.py
method: grid
metric: {name: loss, goal: minimize}
parameters:
  lr: {values: [0.5, 0.1]}
orchestrator: {wandb: 'off'}
"""


def test_a_sweep_has_its_copy_when_it_ends(s3_server, monkeypatch, tmp_path):
    """It is fetched elsewhere, with the same answer; `resume` there has nothing to do; nothing tells the secret."""
    url = s3_server.bucket(monkeypatch.setenv, "whole") + "/sweeps"
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    write_project(here, SPEC)
    ended = sweep("run", "sweep.yaml", "--storage", url, "--num-cpus", "2", cwd=here)
    assert ended.returncode == 0, ended.stderr
    assert f"copy at {url}: everything is there" in ended.stderr
    assert sweep("sync", "--storage", cwd=here).returncode == 0
    (made,) = (here / "sweep-runs").iterdir()
    assert not [p for p in made.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]
    fetched = sweep("fetch", f"{url}/{made.name}", "-q", cwd=there)
    assert fetched.returncode == 0, fetched.stderr
    copy = there / "sweep-runs" / made.name
    assert fetched.stdout.strip() == str(copy)
    assert (copy / "best.yaml").read_bytes() == (made / "best.yaml").read_bytes()
    resumed = sweep("resume", f"{url}/{made.name}", "--trust", cwd=there)
    assert resumed.returncode == 0, resumed.stderr
    assert "2 finished" in resumed.stderr


def test_what_is_no_place_or_has_no_copy(tmp_path, monkeypatch):
    """Said before anything is made, and without the secret in it."""
    write_project(tmp_path, SPEC)
    monkeypatch.chdir(tmp_path)
    wrong = sweep("run", "sweep.yaml", "--storage", f"s3://key:{SECRET}@bucket", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "credentials and endpoints come from the environment alone" in wrong.stderr
    assert SECRET not in wrong.stderr + wrong.stdout
    assert not (tmp_path / "sweep-runs").exists()
    for words in (["fetch"], ["fetch", "s3://bucket/a", "--at", "s3://bucket"]):
        assert sweep(*words, cwd=tmp_path).returncode == 2
    with pytest.raises(Exception, match="the address of the copy names no bucket"):
        called("fetch", "s3:///a")


def test_what_a_partial_fetch_left_out_stays_in_the_store(sweep_dir, tmp_path):  # noqa: F811
    """A fetched directory is nobody's to mirror; one that is to go on has everything first."""
    url = f"file://{tmp_path}/copies"
    store = Store(url).below(sweep_dir.path.name)
    Mirror(sweep_dir, store, pid=1).send(is_last=True)
    weights = "trials/0000/checkpoints/weights"
    there = SweepDir(tmp_path / "there" / sweep_dir.path.name)
    called("fetch", store.url, "--no-checkpoints", "-o", there.path.parent, "-q")
    assert not (there.path / weights).exists()
    with pytest.raises(TakenError):
        Mirror(there, store, pid=2).send(is_last=True)
    assert stores.to_resume(store.url, there.path.parent, quiet=True) == (there, url)
    assert (there.path / weights).read_bytes() == (sweep_dir.path / weights).read_bytes()
    Mirror(there, store, pid=2).send(is_last=True)
    assert store.find(weights) is not None
    store.delete(OWNER)
    (there.path / weights).unlink()
    there.storage_path.unlink()
    Mirror(there, store, pid=3).send(is_last=True)
    assert store.find(weights) is not None


def test_a_sweep_that_somebody_controls_elsewhere_is_left_alone(sweep_dir, tmp_path):  # noqa: F811
    """Also where it lies here already, and its copy is not what names it."""
    url = f"file://{tmp_path}/copies"
    store = Store(url).below(sweep_dir.path.name)
    with closing(Ledger(sweep_dir.ledger_path)) as ledger:
        ledger.sweep.set_spec(ledger.sweep.record.spec_text[:-1] + f", orchestrator: {{storage: '{url}'}}}}", "")
    Mirror(sweep_dir, store, pid=1).send(is_last=False)
    stores.refuse_elsewhere(sweep_dir, url)
    sweep_dir.storage_path.unlink()
    for words in (["sync", "--storage"], ["resume", "--trust"]):
        with pytest.raises(SweepLockedError, match="is controlled by pid 1"):
            called(words[0], sweep_dir.path, *words[1:])


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_sweep_goes_on_elsewhere_from_its_copy(s3_server, monkeypatch, tmp_path):
    """Its machine is lost with everything on it: its project, too, comes from the copy, and checkpoints are gone on from."""
    url = s3_server.bucket(monkeypatch.setenv, "lost") + "/sweeps"
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    write_project(here, SPEC.replace("[0.5, 0.1]", "[0.5, 0.1, 0.3, 0.2]"))
    (here / "train.py").write_text(
        """import argparse, os, time, orchestrator
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
lr = parser.parse_args().lr
step = os.path.join(orchestrator.checkpoint_dir(), "step")
first = int(open(step).read()) if os.path.exists(step) else 0
print("from", first, flush=True)
for n in range(first, 8 if lr == 0.5 else 60):
    orchestrator.report(loss=lr + 1 / (n + 1))
    if n % 10 == 9:
        open(step + ".tmp", "w").write(str(n + 1))
        os.replace(step + ".tmp", step)
    time.sleep(0.5)
"""
    )
    running = start("run", "sweep.yaml", "--storage", url, "--num-cpus", "2", cwd=here)
    (made,) = wait_for(lambda: list((here / "sweep-runs").glob("train-*")))
    server = f"{url}/{made.name}"
    wait_for(lambda: list(made.glob("trials/0001/checkpoints/step")))
    time.sleep(25)
    running.kill()
    running.communicate()
    refused = sweep("resume", server, "--trust", cwd=there)
    assert refused.returncode == 6, refused.stderr
    assert "is controlled by pid" in refused.stderr
    shutil.rmtree(here)
    time.sleep(61)
    command = [SWEEP, "resume", server, "--trust", "--num-cpus", "2"]
    ended = subprocess.run(command, cwd=there, env=environ(), capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "the project now lies in" in ended.stderr
    copy = there / "sweep-runs" / made.name
    with LedgerReader(copy / "ledger.sqlite") as reader:
        assert [trial.state for trial in reader.trials()] == [TrialState.FINISHED] * 4
    assert re.search("from [1-9]0", (copy / "trials/0001/output.log").read_text())
    assert f"copy at {url}: everything is there" in ended.stderr


def wait_for(condition):
    deadline_s = time.monotonic() + 120
    while time.monotonic() < deadline_s:
        with contextlib.suppress(OSError):
            if found := condition():
                return found
        time.sleep(0.1)
    raise AssertionError("still waiting")
