"""The example of Ray Tune's classes goes on exactly: killed at any moments, it trains the same epochs to the same weights."""

import os
import random
import signal
from pathlib import Path

import pytest

from orchestrator.trial.contract.events import Cause
from orchestrator.trial.contract.history import joined
from orchestrator.trial.contract.launch import ProgramKind

TRAINABLES = Path(__file__).parents[2] / "trainables"
CONFIG = {"hidden": 16, "lr": 0.003, "alpha": 0.0001, "epochs": 30}
KILLS = 5


def attempt(bench, name, **fields):
    return bench.start(f"digits_tune:{name}", kind=ProgramKind.OBJECT, config=CONFIG, cwd=str(TRAINABLES), **fields)


def left_by(trial):
    (kept,) = [path for path in (trial.dir / "checkpoints").iterdir() if path.name.startswith("checkpoint_")]
    return (kept / "model.pkl").read_bytes()


@pytest.mark.parametrize("name", ["Digits", "train"])
def test_five_kills_change_nothing(bench, name):
    """Every epoch once, with the loss that it has without a kill, and a final checkpoint that is the same file."""
    whole = attempt(bench, name)
    assert whole.ended().cause is Cause.FINISHED, whole.log
    attempts = []
    for n, row in enumerate(sorted(random.Random(name).sample(range(1, CONFIG["epochs"]), KILLS))):
        killed = attempt(bench, name, trial=1, attempt=n)
        attempts.append(killed)
        killed.until(lambda killed=killed, row=row: any((r.step or 0) >= row for r in killed.reports) or ended(killed))
        os.kill(killed.started().pid, signal.SIGKILL)
        assert killed.ended().cause is Cause.KILLED
    attempts.append(attempt(bench, name, trial=1, attempt=KILLS))
    assert attempts[-1].ended().cause is Cause.FINISHED, attempts[-1].log
    rows = joined([each.reports for each in attempts])
    assert [(row.step, row.metrics) for row in rows] == [(row.step, row.metrics) for row in whole.reports]
    assert [row.step for row in rows] == list(range(1, CONFIG["epochs"] + 1))
    assert left_by(attempts[-1]) == left_by(whole)


def ended(trial) -> bool:
    return any(hasattr(event, "cause") for event in trial.events)
