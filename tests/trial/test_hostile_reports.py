"""Whatever a program hands to `orchestrator.report`, and by it to Tune's `report`, inside a trial."""

import pytest
from hypothesis import HealthCheck, example, given, settings

import orchestrator
from orchestrator.layout import TrialDir
from orchestrator.trial.capture import process as capture
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind
from orchestrator.trial.contract.reports import ReportTail
from tests.json_values import Spiteful, anything


@pytest.fixture(scope="module")
def trial_dir(tmp_path_factory):
    """The directory of a trial that this process takes itself for."""
    directory = tmp_path_factory.mktemp("trial")
    program = Program(kind=ProgramKind.SCRIPT, target="train.py")
    places = {"cwd": str(directory), "trial_dir": str(directory), "argv": (), "config": {}}
    launch = Launch(sweep_id="s", sweep_name="s", trial=0, attempt=0, program=program, metric="loss", **places)
    before, capture._current = capture._current, capture.Capture(launch)
    yield directory
    capture._current.close(0)
    capture._current = before


@given(anything(), anything())
@example({"acc/caf\udce9.png": 0.5}, 2**63)
@example({"loss": Spiteful(), "x": {"y": Spiteful()}}, Spiteful())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_no_value_ends_the_program_or_spoils_its_reports(trial_dir, row, step):
    """The call returns, and the report that follows is read like any other."""
    orchestrator.report(row, step=step)
    orchestrator.report({"loss": 0.5})
    tail = ReportTail(TrialDir(trial_dir).reports_path, 0)
    reports = [*tail.read(), *tail.rest()]
    tail.close()
    assert tail.problems == []
    assert reports[-1].metrics["loss"] == 0.5
    for report in reports:
        assert all(type(value) is float and name.encode().decode() == name for name, value in report.metrics.items())
