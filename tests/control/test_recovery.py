import json
import os
import subprocess
import sys
import time

import psutil
import pytest

from orchestrator.control.launching import Launcher
from orchestrator.control.recovery import settle, whole_truth
from orchestrator.control.running import Running
from orchestrator.layout import TrialDir
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import TrialState
from orchestrator.trial.contract.end_record import give_up, leave_record, left_behind
from orchestrator.trial.contract.events import Cause, Ended, Report, Reported
from tests.sweeps import RANDOM, Sweep


class Left:
    """A sweep whose controller died while trial 0 was running."""

    def __init__(self, path, **overrides):
        self.sweep = Sweep(path, RANDOM.format(run_cap=4), overrides)
        self.ledger = self.sweep.ledger()
        self.launcher = Launcher(
            spec=self.sweep.spec, sweep=self.ledger.sweep.record, sweep_dir=self.sweep.dir, environ=dict(os.environ)
        )
        self.number = self.ledger.add_trial({"lr": 0.5}).number
        self.ledger.begin_attempt(self.number)
        self.dir = self.sweep.dir.trial(self.number)
        self.dir.path.mkdir()

    def reported(self, *values):
        """What the trial wrote itself; its controller heard of what `heard` says."""
        lines = [{"attempt": 0, "i": i, "t": 1.0, "step": i, "m": {"loss": value}} for i, value in enumerate(values)]
        self.dir.reports_path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def heard(self, *values):
        reports = tuple(Report(index=i, time=1.0, step=i, metrics={"loss": value}) for i, value in enumerate(values))
        self.ledger.record([Reported(trial=self.number, attempt=0, reports=reports)], {})

    def ended(self, code, error=None, attempt=0):
        record = {"exit_code": code, "error": error, "started": True}
        assert leave_record(self.dir, attempt, record)

    def settle(self, retries=0):
        """Settle as the next controller does, and return the trial."""
        self.ledger.close()
        self.ledger = self.sweep.ledger()
        self.histories = settle(self.ledger, self.launcher, retries=retries)
        return self.ledger.trial(self.number)


@pytest.fixture
def left(tmp_path):
    made = Left(tmp_path)
    yield made
    made.ledger.close()


def test_a_trial_that_was_cut_off_runs_again(left):
    """It is nobody's failure and is not counted."""
    left.heard(1.0)
    trial = left.settle()
    assert (trial.state, trial.reason) == (TrialState.PENDING, "its controller died")
    assert left.histories[left.number].failures == 0
    with LedgerReader(left.sweep.dir.ledger_path) as reader:
        (attempt,) = reader.attempts(left.number)
    assert attempt.cause is Cause.CONTROLLER_LOST
    assert attempt.begun <= attempt.ended <= time.time()
    assert left.settle().state is TrialState.PENDING
    assert left.histories[left.number].losses == 0


@pytest.mark.parametrize("n_heard", [0, 1, 2])
def test_a_trial_that_was_cut_off_after_its_last_row_may_add_nothing(left, n_heard):
    """It goes on from a checkpoint behind what nobody had heard of: all of its rows count, and it has finished."""
    left.heard(*[3.0, 2.0][:n_heard])
    left.reported(3.0, 2.0)
    left.settle()
    left.ledger.begin_attempt(left.number)
    left.ended(0, attempt=1)
    trial = left.settle()
    assert (trial.state, trial.cause, trial.value, trial.step) == (TrialState.FINISHED, Cause.FINISHED, 2.0, 2)
    assert left.ledger.scores.rows(left.number) == [(0, 3.0), (1, 2.0)]


def test_a_lost_worker_s_rows_that_nobody_had_heard_of_are_told_before_its_end(left):
    """Each once: what is in the ledger, or in the same batch, is not told again."""
    left.heard(3.0)
    left.reported(3.0, 2.0, 1.0)
    running = Running(launch=left.launcher.launch(left.number, 0, {"lr": 0.5}))
    second = Report(index=1, time=1.0, step=1, metrics={"loss": 2.0})
    batch = [
        Reported(trial=left.number, attempt=0, reports=(second,)),
        Ended(trial=left.number, attempt=0, time=2.0, cause=Cause.NODE_LOST),
    ]
    late, end = whole_truth(batch[1], batch, running, left.ledger)
    assert ([report.metrics for report in late.reports], end) == ([{"loss": 1.0}], batch[1])


def test_what_a_trial_repeats_after_it_was_cut_off_is_replaced(left):
    """Also what its next controller has found of the attempt before, of every metric."""
    left.reported(3.0, 2.0)
    left.settle()
    left.ledger.begin_attempt(left.number)
    again = Report(index=0, time=2.0, step=0, metrics={"loss": 5.0})
    left.ledger.record([Reported(trial=left.number, attempt=1, reports=(again,))], {})
    assert left.ledger.trial(left.number).value == 5.0
    assert [(row.attempt, row.value) for row in left.ledger.metrics.of(left.number)] == [(1, 5.0)]


def test_a_trial_that_came_to_its_end_afterwards_has_finished(left):
    """With every report that its controller did not hear any more, each once."""
    left.reported(3.0, 2.0, 1.0)
    left.heard(3.0)
    left.ended(0)
    trial = left.settle()
    assert (trial.state, trial.value, trial.step, trial.n_reports) == (TrialState.FINISHED, 1.0, 3, 3)


def test_a_failure_that_nobody_saw_counts(left):
    """It is failed, or tried again where the spec forgives."""
    left.ended(1, "ValueError: no")
    trial = left.settle()
    assert (trial.state, trial.cause, trial.error) == (TrialState.FAILED, Cause.FAILED, "ValueError: no")


def test_a_failure_that_nobody_saw_is_retried(left):
    """As if it had been seen."""
    left.ended(1, "ValueError: no")
    assert left.settle(retries=1).state is TrialState.PENDING
    assert left.histories[left.number].failures == 1


def test_a_success_without_the_metric_is_found_out(left):
    """Also when nobody watched."""
    left.ended(0)
    assert left.settle().cause is Cause.NO_METRIC


def test_the_end_of_an_earlier_attempt_is_not_taken_for_this_ones(left):
    """The record it left has the attempt's number."""
    left.ended(0, attempt=3)
    assert left.settle().state is TrialState.PENDING


@pytest.mark.parametrize("came_to_its_end", [True, False])
def test_a_trial_that_a_rule_was_ending_is_over(left, came_to_its_end):
    """The decision was written before the signal was sent: it holds, whether or not the trial heard of it."""
    left.heard(3.0)
    left.reported(3.0)
    left.ledger.decide(left.number, "rule", "worse than the rest")
    if came_to_its_end:
        left.ended(143, "exit code 143")
    trial = left.settle()
    assert (trial.state, trial.cause, trial.reason) == (TrialState.STOPPED, Cause.STOPPED, "worse than the rest")
    assert trial.value == 3.0


def test_a_trial_that_was_being_canceled_stays_canceled(left):
    """For good is for good."""
    left.ledger.decide(left.number, "cancel", "canceled")
    assert left.settle().state is TrialState.CANCELED


@pytest.mark.parametrize("came_to_its_end", [True, False])
def test_a_trial_that_was_being_interrupted_runs_again(left, came_to_its_end):
    """Its exit code 143 is our doing, not a failure."""
    left.ledger.decide(left.number, "interrupt", "interrupted")
    if came_to_its_end:
        left.ended(143, "exit code 143")
    assert left.settle().state is TrialState.PENDING


def test_a_trial_that_exited_with_0_because_it_was_interrupted_runs_again(left):
    """It saved, exited with 0 and left half of its work: nobody knows any more that it was not the whole."""
    left.reported(3.0)
    left.ledger.decide(left.number, "interrupt", "interrupted")
    left.ended(0)
    assert left.settle().state is TrialState.PENDING


def test_a_trial_that_was_told_to_end_with_its_machine_runs_again(left):
    """A machine that shuts down tells every process: that is no failure of the trial, whoever died first."""
    left.ended(143, "exit code 143")
    assert left.settle().state is TrialState.PENDING
    assert left.histories[left.number].failures == 0


def test_an_attempt_that_was_given_up_can_succeed_no_more(left):
    """Whoever leaves the record first decides: a trial that runs on somewhere unseen is refused."""
    assert left.settle().state is TrialState.PENDING
    assert not leave_record(left.dir, 0, {"exit_code": 0, "error": None})
    assert left_behind(left.dir, 0) is None


def test_an_attempt_that_ended_cannot_be_given_up(left):
    """The other way round: its record is found, and no half of one is ever left."""
    left.ended(0)
    assert give_up(left.dir, 0)["exit_code"] == 0
    assert give_up(TrialDir(left.dir.path / "never-begun"), 0) is None
    assert [path.name for path in left.dir.path.iterdir()] == [".end-0.json"]


def test_a_filesystem_without_hard_links_is_no_problem(left, monkeypatch):
    """The record is then created in place, and is still the first one's."""

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    left.ended(0)
    assert not leave_record(left.dir, 0, {"given_up": True})
    assert left_behind(left.dir, 0)["exit_code"] == 0


def test_reports_of_a_second_attempt_replace_those_of_the_first(left):
    """Also when the controller died before it had recorded any of them."""
    left.heard(1.0)
    left.settle()
    left.ledger.begin_attempt(left.number)
    line = {"attempt": 1, "i": 0, "t": 1.0, "step": 0, "m": {"loss": 5.0}}
    left.dir.reports_path.write_text(json.dumps(line) + "\n")
    left.ended(0, attempt=1)
    assert left.settle().value == 5.0
    assert list(left.ledger.scores.curves()[left.number].scores) == [5.0]


def test_ends_of_earlier_attempts_are_remembered(left):
    """Retries and losses count over all controllers."""
    lost = Ended(trial=left.number, attempt=0, time=1.0, cause=Cause.NODE_LOST)
    left.ledger.record([lost], {left.number: (TrialState.PENDING, "node lost")})
    left.ledger.begin_attempt(left.number)
    failed = Ended(trial=left.number, attempt=1, time=1.0, cause=Cause.FAILED)
    left.ledger.record([failed], {left.number: (TrialState.PENDING, "retry")})
    left.settle()
    history = left.histories[left.number]
    assert (history.failures, history.losses) == (1, 1)


def test_what_still_runs_of_the_sweep_on_this_machine_is_killed(left):
    """No trial of the dead controller works beside its successor; processes of other sweeps are left alone."""

    def start(sweep_id):
        program = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(600)"]
        return subprocess.Popen(program, env={"SWEEP_ID": sweep_id}, stdout=subprocess.PIPE)

    with start("abcd1234") as ours, start("other123") as theirs:
        for process in (ours, theirs):
            process.stdout.readline()
        left.settle()
        assert ours.wait(30) == -9
        assert psutil.pid_exists(theirs.pid)
        theirs.kill()


def test_a_trial_that_is_begun_afresh_has_all_of_its_retries_again(left):
    """`--retry-failed`: the ends from before are not counted any more, those from then on are, by every controller."""

    def fail(attempt, state):
        ended = Ended(trial=left.number, attempt=attempt, time=1.0, cause=Cause.FAILED)
        left.ledger.record([ended], {left.number: (state, None)})

    fail(0, TrialState.FAILED)
    left.ledger.retry(left.number, "asked to try again")
    assert left.settle(retries=1).state is TrialState.PENDING
    assert left.number not in left.histories
    left.ledger.begin_attempt(left.number)
    fail(1, TrialState.PENDING)
    left.settle(retries=1)
    assert left.histories[left.number].failures == 1
