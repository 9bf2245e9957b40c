"""How checks are run: apart from each other, for as long as they may, with a table whatever happens."""

import json
import subprocess
import sys
import time

import pytest

import tests.gpu.__main__ as driver
from orchestrator.trial.processes import _processes, marked
from tests.gpu.plan import Planned

HANGS = """
import os, subprocess, sys, time
from pathlib import Path
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
work = Path(os.environ["GPU_CHECK_WORK"])
(work / "figures.json").write_text('{"n_gpus": 1}')
print("child", child.pid, flush=True)
time.sleep(600)
"""
FAILS = "raise ValueError('a broken check')"


def _alive():
    return {pid for pid, process in _processes().items() if process is not None}


def a_check(name, limit_s=60.0):
    return Planned(name=name, item=0, title="t", limit_s=limit_s, aim_s=1, stage=0, function="f:f")


@pytest.fixture
def proof(tmp_path, monkeypatch):
    """A function: a `Proof` whose checks are this program."""

    def make(program):
        (tmp_path / "tests" / "gpu").mkdir(parents=True)
        (tmp_path / "tests" / "__init__.py").touch()
        (tmp_path / "tests" / "gpu" / "__init__.py").touch()
        (tmp_path / "tests" / "gpu" / "check.py").write_text(program)
        (tmp_path / "work").mkdir()
        monkeypatch.setattr(driver, "ROOT", tmp_path)
        return driver.Proof("cpu", tmp_path, tmp_path / "work", slowness=1.0)

    return make


def test_a_check_that_hangs_is_killed_with_all_it_started_and_keeps_its_figures(proof, tmp_path):
    """Also with what has left its session."""
    row = proof(HANGS)._check(a_check("machine", limit_s=6.0))
    assert row.problem == "killed after 6 s"
    assert row.figures == {"n_gpus": 1}
    pid = int((tmp_path / "work/machine/check.log").read_text().split()[1])
    assert pid not in _alive()


def test_a_check_that_breaks_says_its_last_line_and_the_others_run(proof, tmp_path, monkeypatch):
    """The table is complete, as text and as data, and the logs of what failed are beside it."""
    checks = (a_check("machine"), a_check("ddp"))
    monkeypatch.setattr(driver, "CHECKS", checks)
    monkeypatch.setattr(driver, "stages", lambda _: [[check] for check in checks])
    assert not proof(FAILS).run({"machine", "ddp"})
    data = json.loads((tmp_path / "table.json").read_text())
    assert [row["name"] for row in data["checks"]] == ["machine", "ddp"]
    assert data["dry_run"] is True
    assert all("ValueError: a broken check" in row["failures"][0] for row in data["checks"])
    assert (tmp_path / "table.txt").read_text().count("FAIL") == 2
    assert (tmp_path / "logs.txt").read_text().count("==== ") == 2


def test_checks_for_which_there_is_no_time_left_are_not_begun(proof, monkeypatch):
    """The table says so."""
    monkeypatch.setattr(driver, "TOTAL_S", 1.0)
    assert "time for all checks is over" in proof(FAILS)._check(a_check("machine")).problem


def test_without_a_gpu_the_command_says_so_and_runs_nothing(tmp_path):
    """With its own exit code, and how to try it all the same."""
    if driver.why_no_gpu() is None:
        pytest.skip("there is a GPU")
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu", "--out", str(tmp_path)],
        cwd=driver.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == driver.NO_GPU
    assert "No check was run: torch" in done.stdout
    assert "sees no GPU" in done.stdout
    assert "--device cpu" in done.stdout
    assert not list(tmp_path.iterdir())
    assert time.monotonic() - began < 300
    assert marked("GPU_CHECK_DEVICE=cuda") == []


def test_patience_reaches_every_check(monkeypatch, tmp_path):
    """A slow machine has more time for everything; without a GPU, the stand-ins come first."""
    monkeypatch.setattr(driver.os, "environ", {"PATH": "/bin", "SWEEP_RUNS_DIR": "elsewhere"})
    driver.prepare("cpu", tmp_path, 3.0)
    environ = driver.os.environ
    assert environ["GPU_CHECK_PATIENCE"] == "3.0"
    assert environ["PATH"] == f"{driver.FAKE}:/bin"
    assert environ["PYTHONPATH"] == str(driver.FAKE)
    assert "SWEEP_RUNS_DIR" not in environ
