import itertools
import math
import os
import signal
import subprocess
import sys
import textwrap

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import LedgerError, SweepLockedError
from orchestrator.ledger.curves import Objective
from orchestrator.ledger.metrics import DENSE_ROWS
from orchestrator.ledger.paths import create_sweep_dir
from orchestrator.ledger.records import SweepRecord, SweepState, TrialState
from orchestrator.ledger.requests import Action, Instruction, ask
from orchestrator.ledger.store import Ledger
from orchestrator.trial.contract.events import Cause, Ended, Report, Reported, Started

LOSS = Objective(name="loss", sign=1.0, last=False)
ACCURACY = Objective(name="accuracy", sign=-1.0, last=False)


def open_ledger(path, *objectives) -> Ledger:
    ledger = Ledger(path)
    ledger.load(objectives or (LOSS,))
    return ledger


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path):
    ledger = open_ledger(path)
    ledger.sweep.create(
        SweepRecord(
            sweep_id="abcd1234",
            name="s",
            spec_text="",
            seed=1,
            state=SweepState.RUNNING,
            created=1.0,
            cwd="/",
            reason=None,
        )
    )
    yield ledger
    ledger.close()


def reported(trial, *values, attempt=0, first=0, steps=None, name="loss"):
    reports = tuple(
        Report(index=first + i, time=1.0, step=steps[i] if steps else None, metrics={name: v})
        for i, v in enumerate(values)
    )
    return Reported(trial=trial, attempt=attempt, reports=reports)


def ended(trial, cause=Cause.FINISHED, attempt=0):
    return Ended(trial=trial, attempt=attempt, time=2.0, cause=cause)


def running_trial(ledger, config=None):
    number = ledger.add_trial(config or {"lr": 0.1}).number
    ledger.begin_attempt(number)
    return number


def reopened(ledger, path, *objectives):
    ledger.close()
    return open_ledger(path, *objectives)


def test_a_trial_is_as_good_as_its_best_report(ledger):
    """The best value over the history counts, with the report it came from."""
    number = running_trial(ledger)
    ledger.record([reported(number, 3.0, 1.0, 2.0), ended(number)], {number: (TrialState.FINISHED, None)})
    trial = ledger.trial(number)
    assert (trial.value, trial.score, trial.step, trial.n_reports, trial.state) == (1.0, 1.0, 2, 3, TrialState.FINISHED)


def test_the_last_value_counts_when_the_spec_says_so(path):
    """`objective: last` takes the last finite value."""
    ledger = open_ledger(path, Objective(name="loss", sign=1.0, last=True))
    number = running_trial(ledger)
    ledger.record([reported(number, 3.0, 1.0, 2.0, math.nan)], {})
    assert ledger.trial(number).value == 2.0
    ledger.close()


def test_a_metric_to_maximise_is_turned_once(path):
    """The score is lower-is-better, the value is what the user knows."""
    ledger = open_ledger(path, ACCURACY)
    number = running_trial(ledger)
    ledger.record([reported(number, 0.5, 0.9, name="accuracy")], {})
    assert (ledger.trial(number).value, ledger.trial(number).score) == (0.9, -0.9)
    assert list(ledger.scores.curves()[number].scores) == [-0.5, -0.9]
    ledger.close()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_never_wins(ledger, bad):
    """NaN and infinities are kept, mark the curve, and are never the trial's value."""
    number = running_trial(ledger)
    ledger.record([reported(number, 2.0, bad, 3.0)], {})
    assert ledger.trial(number).value == 2.0
    assert ledger.scores.curves()[number].diverged_at == 1
    assert list(ledger.scores.curves()[number].scores) == [2.0, 3.0]


def test_everything_is_there_again_after_opening_the_file(ledger, path):
    """What is in memory equals what is on disk."""
    first, second = running_trial(ledger, {"a": [1, {"b": None}], "ü": "\n"}), running_trial(ledger)
    start = Started(trial=first, attempt=0, time=1.5, pid=7, host="box", gpu_ids=("1", "3"))
    ledger.record([start, reported(first, 1.0, math.nan, 0.5), reported(second, math.inf)], {})
    ledger.record([ended(second, Cause.FAILED)], {second: (TrialState.FAILED, None)})
    trials, curves, sweep = ledger.trials(), dict(ledger.scores.curves()), ledger.sweep.record
    again = reopened(ledger, path)
    assert again.trials() == trials
    assert dict(again.scores.curves()) == curves
    assert again.sweep.record == sweep
    again.close()


def test_a_sweep_has_one_controller_at_a_time(tmp_path):
    """Who opens its ledger to run it holds it until it is closed, however that comes about."""
    sweep_dir = create_sweep_dir(tmp_path, "s", "abcd1234")
    with Ledger.open(sweep_dir) as ledger:
        ledger.load((LOSS,))
        with pytest.raises(SweepLockedError, match=str(os.getpid())), Ledger.open(sweep_dir):
            pass
    with Ledger.open(sweep_dir) as again, pytest.raises(LedgerError, match="closed"):
        ledger.sweep.set_spec("", None)
    assert again is not ledger


def test_an_attempt_that_starts_over_replaces_the_curve(ledger):
    """A retried trial is judged by its second run alone."""
    number = running_trial(ledger)
    ledger.record([reported(number, 0.1, 0.2, steps=[0, 1])], {})
    ledger.record([ended(number, Cause.NODE_LOST)], {number: (TrialState.PENDING, "node lost")})
    ledger.begin_attempt(number)
    ledger.record([reported(number, 5.0, attempt=1, steps=[0])], {})
    assert list(ledger.scores.curves()[number].scores) == [5.0]
    assert ledger.trial(number).value == 5.0


def test_an_attempt_that_goes_on_from_a_checkpoint_continues_the_curve(ledger, path):
    """Reports from before the checkpoint stay, repeated ones are replaced."""
    number = running_trial(ledger)
    ledger.record([reported(number, 3.0, 2.0, 1.0, steps=[0, 1, 2])], {})
    ledger.record([ended(number, Cause.PREEMPTED)], {number: (TrialState.PENDING, None)})
    ledger.begin_attempt(number)
    ledger.record([reported(number, 1.5, 0.5, attempt=1, steps=[2, 3])], {})
    assert list(ledger.scores.curves()[number].scores) == [3.0, 2.0, 1.5, 0.5]
    again = reopened(ledger, path)
    assert list(again.scores.curves()[number].scores) == [3.0, 2.0, 1.5, 0.5]
    again.close()


def test_late_events_of_an_earlier_attempt_are_ignored(ledger):
    """A worker that was given up cannot write into its successor's trial."""
    number = running_trial(ledger)
    ledger.record([ended(number, Cause.WORKER_LOST)], {number: (TrialState.PENDING, None)})
    ledger.begin_attempt(number)
    ledger.record([reported(number, 9.0), ended(number)], {number: (TrialState.FINISHED, None)})
    assert ledger.trial(number).state is TrialState.RUNNING
    assert ledger.trial(number).n_reports == 0


def test_a_finished_trial_stays_finished(ledger):
    """A transition the table does not have is refused."""
    number = running_trial(ledger)
    ledger.record([ended(number)], {number: (TrialState.FINISHED, None)})
    with pytest.raises(LedgerError, match="trial 0 cannot go from finished to running"):
        ledger.begin_attempt(number)


def test_a_refused_write_leaves_the_file_as_it_was(ledger, path):
    """A transaction that fails half way is not half written."""
    number = running_trial(ledger)
    ledger.record([ended(number)], {number: (TrialState.FINISHED, None)})

    def half_way():
        with ledger.transaction("both"):
            ledger.add_trial({"lr": 1.0})
            ledger.begin_attempt(number)

    with pytest.raises(LedgerError):
        half_way()
    again = reopened(ledger, path)
    assert len(again.trials()) == 1
    again.close()


def test_requests_of_other_processes_are_taken_once(ledger, path):
    """In the order they were made."""
    assert ledger.requests.take() == []
    ask(path, Instruction(action=Action.PAUSE))
    ask(path, Instruction(action=Action.UNPAUSE))
    ask(path, Instruction(action=Action.STOP, trial=3), Instruction(action=Action.SET, changes={"run_cap": "9"}))
    ledger.execute("INSERT INTO requests (time, action, changes) VALUES (1, 'set', 'no JSON')")
    asked = ledger.requests.take()
    assert [str(each) for each in asked] == ["pause", "unpause", "stop trial 3", "set run_cap=9"]
    assert ledger.requests.take() == []


def test_a_full_disk_is_reported_with_a_remedy_and_loses_nothing(ledger, path):
    """What was committed before stays readable, and the message says what to do."""
    number = running_trial(ledger)
    (pages,) = ledger.connection.execute("PRAGMA page_count").fetchone()
    ledger.connection.execute(f"PRAGMA max_page_count = {pages}")

    def fill_up():
        for _ in range(2000):
            ledger.add_trial({"text": "x" * 500})

    with pytest.raises(LedgerError, match="full") as caught:
        fill_up()
    assert "sweep resume" in str(caught.value)
    again = reopened(ledger, path)
    assert again.trial(number).state is TrialState.RUNNING
    again.close()


def test_a_file_that_is_no_ledger_is_an_error_for_people(path):
    """No traceback of SQLite's."""
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(LedgerError, match="not a database"):
        Ledger(path)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(count=st.integers(1, 5 * DENSE_ROWS), batch=st.integers(1, 700))
def test_dense_metrics_are_bounded_and_spread(tmp_path, count, batch):
    """However many values a metric has, a bounded, even selection from the first on is kept, whatever the batches."""
    path = tmp_path / "ledger.sqlite"
    path.unlink(missing_ok=True)
    ledger = open_ledger(path)
    number = running_trial(ledger)
    values = [float(i) for i in range(count)]
    for start in range(0, count, batch):
        ledger.record([reported(number, *values[start : start + batch], first=start)], {})
    query = "SELECT report, value FROM metrics ORDER BY report"
    rows = [(r["report"], r["value"]) for r in ledger.connection.execute(query)]
    ledger.close()
    assert len(rows) <= 2 * DENSE_ROWS
    assert rows[0] == (0, 0.0)
    gaps = {b - a for (a, _), (b, _) in itertools.pairwise(rows)}
    assert len(gaps) <= 1


WRITER = """
    import os, sys
    parent = os.getppid()
    from orchestrator.ledger.curves import Objective
    from orchestrator.ledger.records import TrialState
    from orchestrator.ledger.store import Ledger
    from orchestrator.trial.contract.events import Cause, Ended, Report, Reported
    ledger = Ledger(sys.argv[1])
    ledger.load((Objective(name="loss", sign=1.0, last=False),))
    while os.getppid() == parent:  # a test that is killed leaves no writer behind
        number = ledger.add_trial({"n": len(ledger.trials())}).number
        ledger.begin_attempt(number)
        print(number, flush=True)
        report = Report(index=0, time=0.0, step=None, metrics={"loss": 1.0})
        end = Ended(trial=number, attempt=0, time=0.0, cause=Cause.FINISHED)
        reported = Reported(trial=number, attempt=0, reports=(report,))
        ledger.record([reported, end], {number: (TrialState.FINISHED, None)})
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_ledger(path):
    """Ten kills: every trial that was announced is there, and every finished one has its report."""
    from pathlib import Path

    seen = -1
    for kill in range(10):
        code = textwrap.dedent(WRITER).replace("Ledger(sys.argv[1])", "Ledger(__import__('pathlib').Path(sys.argv[1]))")
        with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as writer:
            for _ in range(3 + 2 * kill):
                seen = max(seen, int(writer.stdout.readline()))
            os.kill(writer.pid, signal.SIGKILL)
        ledger = open_ledger(Path(path))
        assert [t.number for t in ledger.trials()] == list(range(len(ledger.trials())))
        assert len(ledger.trials()) > seen
        assert all(t.n_reports == 1 for t in ledger.trials() if t.state is TrialState.FINISHED)
        ledger.close()


def test_what_comes_before_the_objective_does_not_decide_what_is_repeated(ledger):
    """A new attempt's first value of the objective says where its curve begins, not a report of something else before it."""
    number = running_trial(ledger)
    ledger.record([reported(number, 3.0, 2.0, 1.0, steps=(1, 2, 3))], {})
    ledger.record([ended(number, Cause.NODE_LOST)], {number: (TrialState.PENDING, None)})
    attempt = ledger.begin_attempt(number)
    ledger.record([reported(number, 0.5, attempt=attempt, steps=(900,), name="gradient")], {})
    ledger.record([reported(number, 2.5, attempt=attempt, first=1, steps=(2,))], {})
    assert ledger.scores.curves()[number].scores == [3.0, 2.5]


def test_what_a_program_takes_back_is_forgotten(ledger, path):
    """Its values from a step on, of the curve and of what is kept of each metric; the best is found anew."""
    trial = running_trial(ledger)
    ledger.record([reported(trial, 1.0, 2.0, -100.0, steps=[1, 2, 3])], {})
    void = Report(index=3, time=3.0, step=2, metrics={}, part=True, purged=("loss", "other"))
    ledger.record([Reported(trial=trial, attempt=0, reports=(void,))], {})
    assert (ledger.trial(trial).value, ledger.trial(trial).metrics) == (1.0, {"loss": 1.0})
    assert [row.value for row in ledger.metrics.of(trial)] == [1.0]
    ledger.record([reported(trial, 0.5, first=4, steps=[2])], {})
    assert list(ledger.scores.curves()[trial].scores) == [1.0, 0.5]
    assert list(reopened(ledger, path).scores.curves()[trial].scores) == [1.0, 0.5]


def test_what_a_further_attempt_takes_back_is_forgotten_of_earlier_ones(ledger):
    """A step says from where on; without one, a series of this attempt has another name, and earlier attempts keep theirs."""
    trial = running_trial(ledger)
    ledger.record([reported(trial, 1.0, 2.0, 3.0, steps=[1, 2, 3], name="acc")], {})
    ledger.record([ended(trial, Cause.WORKER_LOST)], {trial: (TrialState.PENDING, None)})
    ledger.begin_attempt(trial)
    for index, step, left in ((0, None, [1.0, 2.0, 3.0]), (1, 2, [1.0])):
        void = Report(index=index, time=3.0, step=step, metrics={}, part=True, purged=("acc",))
        ledger.record([Reported(trial=trial, attempt=1, reports=(void,))], {})
        assert [row.value for row in ledger.metrics.of(trial)] == left


def test_every_metric_of_a_resumed_trial_is_rewound(ledger):
    """Not the objective alone: what a further attempt repeats replaces what is kept of each metric."""
    trial = running_trial(ledger)
    for name in ("loss", "acc"):
        ledger.record([reported(trial, 1.0, 2.0, 3.0, steps=[1, 2, 3], name=name)], {})
    ledger.record([ended(trial, Cause.WORKER_LOST)], {trial: (TrialState.PENDING, None)})
    ledger.begin_attempt(trial)
    ledger.record([reported(trial, 7.0, 8.0, attempt=1, steps=[3, 4], name="acc")], {})
    kept = {name: [r.value for r in ledger.metrics.of(trial) if r.name == name] for name in ("loss", "acc")}
    assert kept == {"loss": [1.0, 2.0, 3.0], "acc": [1.0, 2.0, 7.0, 8.0]}


def summarized(trial, attempt=0, **summary):
    return Reported(trial=trial, attempt=attempt, summary=summary)


def test_a_summary_counts_beside_the_reports_and_is_no_report(ledger, path):
    """Where it is better or alone it is the trial's value; the curve, the count and what is told do not know it."""
    better, worse, alone = (running_trial(ledger) for _ in range(3))
    ledger.record([reported(better, 3.0, 2.0), summarized(better, loss=0.5, other=7.0)], {})
    ledger.record([reported(worse, 3.0, 2.0), summarized(worse, loss=9.0)], {})
    ledger.record([summarized(alone, loss=4.0)], {})
    for again in (ledger, reopened(ledger, path, LOSS)):
        trials = [again.trial(number) for number in (better, worse, alone)]
        assert [(trial.value, trial.step) for trial in trials] == [(0.5, None), (2.0, 2), (4.0, None)]
        assert [list(again.scores.curves()[n].scores) for n in (better, worse, alone)] == [[3.0, 2.0], [3.0, 2.0], []]
        assert [(trial.n_reports, again.metrics.n_told(trial.number)) for trial in trials] == [(2, 2), (2, 2), (0, 0)]
        assert dict(trials[0].metrics) == {"loss": 0.5, "other": 7.0}
        assert trials[0].reached_at() == "its summary"


def test_a_summary_is_the_last_value_where_that_counts(path):
    """`objective: last`: what the program put into its summary in the end is what it calls its result."""
    ledger = open_ledger(path, Objective(name="loss", sign=1.0, last=True))
    number = running_trial(ledger)
    ledger.record([reported(number, 3.0, 1.0), summarized(number, loss=2.0)], {})
    assert ledger.trial(number).value == 2.0


def test_a_new_attempt_has_a_summary_of_its_own(ledger):
    """What an earlier one put there is gone when the new one reports."""
    number = running_trial(ledger)
    ledger.record([reported(number, 3.0), summarized(number, loss=0.5)], {})
    ledger.requeue(number, "its controller died")
    ledger.begin_attempt(number)
    ledger.record([reported(number, 2.0, attempt=1)], {})
    assert (ledger.trial(number).value, ledger.metrics.n_told(number)) == (2.0, 1)


def test_what_an_attempt_put_into_its_summary_stays_until_a_further_one_says_it_anew(ledger, path):
    """As W&B's run keeps it after `resume`; a summary alone takes the place of no row."""
    number = running_trial(ledger)
    ledger.record([reported(number, 3.0, 2.0, steps=[0, 1]), summarized(number, loss=0.5, other=7.0)], {})
    ledger.requeue(number, "its controller died")
    ledger.begin_attempt(number)
    for again in (ledger, reopened(ledger, path, LOSS)):
        assert again.trial(number).value == 0.5
    again.record([summarized(number, attempt=1, loss=1.0)], {})
    assert (again.trial(number).value, again.scores.rows(number)) == (1.0, [(0, 3.0), (1, 2.0)])


def test_parts_of_a_row_are_told_and_not_counted(ledger):
    """A second tag of a step is a report, but no further row."""
    number = running_trial(ledger)
    parts = [Report(index=i, time=1.0, step=0, metrics={name: 1.0}, part=i > 0) for i, name in enumerate("ab")]
    ledger.record([Reported(trial=number, attempt=0, reports=tuple(parts))], {})
    assert (ledger.trial(number).n_reports, ledger.metrics.n_told(number)) == (1, 2)
