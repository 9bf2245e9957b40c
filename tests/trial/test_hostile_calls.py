"""Whatever a program hands to W&B, TensorBoard and Ray Tune, inside a trial."""

import json
import math
import re
from pathlib import Path

import pytest

from orchestrator.trial.contract.events import Cause
from tests.trial.conftest import PROGRAMS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("examples", [25, pytest.param(1000, marks=pytest.mark.soak)])
def test_no_value_ends_a_program_by_our_doing(shared, examples):
    """Only the libraries raise; the trial finishes, its reports are JSON, and rows are floats under valid names."""
    trial = shared.run(PROGRAMS / "hostile_calls.py", str(ROOT), str(examples), wandb=True)
    ended = trial.ended()
    assert (ended.cause, ended.exit_code) == (Cause.FINISHED, 0), trial.log
    assert "OURS" not in trial.log, trial.log
    calls, raised = map(int, re.search(r"WENT ON \{'calls': (\d+), 'raised': (\d+)\}", trial.log).groups())
    assert 0 < raised < calls
    for line in (trial.dir / "reports.jsonl").read_bytes().splitlines():
        json.loads(line.decode("utf-8"))
    assert trial.series("the end") == [0.5]
    assert len(trial.reports) > examples / 5
    for report in trial.reports:
        assert all(type(value) is float and name.encode().decode() == name for name, value in report.metrics.items())
        assert report.step is None or 0 <= report.step < 2**63
    assert any(math.isfinite(value) for report in trial.reports for value in report.metrics.values())
