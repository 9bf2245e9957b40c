"""A sweep directory that the first version left, its controller killed in the middle: it shows, and goes on."""

import json
import sqlite3
import tarfile
from pathlib import Path

import pytest

from tests.cli.shell import sweep
from tests.trial_runs import tensorboard_run, wandb_run

ARCHIVE = Path(__file__).parent / "old" / "sweep.tar.gz"
"""Made with the first version: six trials; one finished, one failed, one stopped for NaN, two running, one never begun.

Its program waits for a file `go` in trials 3 to 5. It was killed, resumed, interrupted, resumed and killed again.
"""


@pytest.fixture
def old(tmp_path):
    """The directory of the old sweep, as if it had always lain here."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    (ledger,) = tmp_path.glob("runs/*/ledger.sqlite")
    database = sqlite3.connect(ledger)
    database.execute("UPDATE sweep SET cwd = ?, source_path = ?", (str(tmp_path), str(tmp_path / "sweep.yaml")))
    database.commit()
    database.close()
    return tmp_path


def states(path):
    shown = json.loads(sweep("show", "--json", cwd=path).stdout)
    return [trial["state"] for trial in shown["trials"]]


def test_it_is_shown(old):
    """Its states, its best, its curves and what each trial reported."""
    assert states(old) == ["finished", "failed", "stopped", "running", "pending"]
    listed = json.loads(sweep("ls", "--json", cwd=old).stdout)
    assert [(s["state"], s["best"]) for s in listed] == [("interrupted", 0.01)]
    best = json.loads(sweep("best", "--json", cwd=old).stdout)
    assert (best["trials"][0]["number"], best["trials"][0]["config"]) == (0, {"x": 1})
    trial = json.loads(sweep("show", "last", "3", "--json", cwd=old).stdout)
    assert [attempt["attempt"] for attempt in trial["attempts"]] == [0, 1, 2]
    for command in (("show", "last", "2"), ("report",), ("export",), ("logs", "last", "1")):
        done = sweep(*command, cwd=old)
        assert done.returncode == 0, done.stderr


@pytest.mark.ray
def test_it_goes_on(old):
    """What had ended does not run again; the others do, and there is one W&B and one TensorBoard run of each."""
    (old / "go").touch()
    done = sweep("resume", "--trust", "--num-cpus", "2", "--num-gpus", "0", cwd=old, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert states(old) == ["finished", "failed", "stopped", "finished", "finished", "finished"]
    (run_dir,) = old.glob("runs/*")
    attempts = [len(list(trial.glob(".attempt-*"))) for trial in sorted(run_dir.glob("trials/*"))]
    assert attempts == [1, 1, 1, 4, 3, 1]
    assert [value for _, value in tensorboard_run(run_dir / "trials" / "0005").scalars["loss"]][-1] == pytest.approx(
        0.06
    )
    assert wandb_run(run_dir / "trials" / "0005").values("loss")[-1] == 0.06
