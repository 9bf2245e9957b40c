"""Trials are scored anew by what they reported when the metric is mended; nothing runs again."""

import json

import pytest

from orchestrator.control.rescoring import rescore
from orchestrator.ledger.curves import Objective
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import TrialState
from orchestrator.trial.contract.events import Cause, Ended, Report, Reported
from tests.sweeps import RANDOM, Sweep

LOSS = Objective(name="loss", sign=1.0, last=False)
ACC = Objective(name="acc", sign=-1.0, last=False)
LAST_ACC = Objective(name="acc", sign=-1.0, last=True)


class Past:
    """A sweep whose trials have reported acc and loss."""

    def __init__(self, path):
        self.sweep = Sweep(path, RANDOM.format(run_cap=4))
        self.ledger = self.sweep.ledger()

    def trial(self, *attempts, cause=Cause.FINISHED, file=True, summary=None):
        """A trial whose attempts reported lists of rows."""
        number = self.ledger.add_trial({"lr": 0.5}).number
        lines = []
        for attempt, rows in enumerate(attempts):
            self.ledger.begin_attempt(number)
            reports = tuple(Report(index=i, time=1.0, step=step, metrics=row) for i, (step, row) in enumerate(rows))
            lines += [{"attempt": attempt, "i": r.index, "t": 1.0, "step": r.step, "m": r.metrics} for r in reports]
            self.ledger.record([Reported(trial=number, attempt=attempt, reports=reports, summary=summary or {})], {})
            last = attempt == len(attempts) - 1
            self._end(number, attempt, cause if last else Cause.WORKER_LOST)
        if file:
            folder = self.sweep.dir.trial(number)
            folder.path.mkdir(parents=True)
            folder.reports_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return number

    def _end(self, number, attempt, cause):
        states = {Cause.FINISHED: TrialState.FINISHED, Cause.WORKER_LOST: TrialState.PENDING}
        error = None if cause is Cause.FINISHED else "never reported 'loss', but 'acc'"
        ended = Ended(trial=number, attempt=attempt, time=2.0, cause=cause, error=error)
        self.ledger.record([ended], {number: (states.get(cause, TrialState.FAILED), None)})

    def by(self, *objectives):
        """Score by other objectives; the ledger is read anew afterwards, as the next command does."""
        came = rescore(self.ledger, self.sweep.dir, objectives)
        before = self.ledger.trials()
        with LedgerReader(self.sweep.dir.ledger_path) as reader:
            assert reader.trials() == before
        return came

    def shown(self, number):
        trial = self.ledger.trial(number)
        return str(trial.state), trial.value, trial.score, trial.step, trial.error


@pytest.fixture
def past(tmp_path):
    made = Past(tmp_path)
    yield made
    made.ledger.close()


def rows(*accs, start=0):
    return [(start + i, {"acc": acc}) for i, acc in enumerate(accs)]


def test_a_trial_that_failed_for_want_of_the_metric_has_finished(past):
    """Its cause and error go; its best value and where it was are known."""
    number = past.trial(rows(0.1, 0.7, 0.3), cause=Cause.NO_METRIC)
    came = past.by(ACC)
    assert (came.scored, came.mended, came.without, came.thinned) == ([number], [number], [], [])
    assert past.shown(number) == ("finished", 0.7, -0.7, 2, None)
    with LedgerReader(past.sweep.dir.ledger_path) as reader:
        assert reader.values(number) == [0.1, 0.7, 0.3]
        assert [a.cause for a in reader.attempts(number)] == [Cause.FINISHED]
        last = reader.decisions(number)[-1]
        assert (last.what, last.reason) == ("amended", "finished, as the spec is now")


def test_another_goal_and_another_objective_are_taken_too(past):
    """Lower, higher, best or last: of the same values."""
    number = past.trial([(0, {"loss": 3.0}), (1, {"loss": 1.0}), (2, {"loss": 2.0})])
    past.by(Objective(name="loss", sign=-1.0, last=False))
    assert past.shown(number)[1:4] == (3.0, -3.0, 1)
    past.by(Objective(name="loss", sign=1.0, last=True))
    assert past.shown(number)[1:4] == (2.0, 2.0, 3)


def test_a_trial_that_finished_without_the_new_metric_has_failed(past):
    """And says what it had reported instead, as if the metric had been this one from the beginning."""
    number = past.trial([(0, {"loss": 3.0})])
    assert past.by(ACC).without == [number]
    assert past.shown(number) == ("failed", None, None, None, "never reported 'acc', but 'loss'")
    assert past.by(LOSS).mended == [number]
    assert past.shown(number) == ("finished", 3.0, 3.0, 1, None)


def test_a_failure_of_its_own_stays_one(past):
    """Only what the metric decided is decided anew."""
    number = past.trial(rows(0.9), cause=Cause.FAILED)
    assert past.by(ACC).mended == []
    assert past.shown(number)[0] == "failed"


def test_attempts_are_one_curve(past):
    """What a later attempt repeats replaces what it repeats, as it did when it ran."""
    number = past.trial(rows(0.1, 0.9, 0.2), rows(0.3, 0.4, start=1), cause=Cause.NO_METRIC)
    past.by(ACC)
    with LedgerReader(past.sweep.dir.ledger_path) as reader:
        assert reader.values(number) == [0.1, 0.3, 0.4]
    assert past.shown(number)[1:4] == (0.4, -0.4, 3)


def test_a_value_of_the_summary_counts(past):
    """It is no point of the curve, but may be the best."""
    number = past.trial(rows(0.1), cause=Cause.NO_METRIC, summary={"acc": 0.8})
    past.by(LAST_ACC)
    assert past.shown(number)[1:4] == (0.8, -0.8, None)


def test_what_the_ledger_kept_counts_where_the_reports_lie_on_another_machine(past):
    """All of short trials; of long ones every second row or fewer, which is said."""
    short = past.trial(rows(0.1, 0.7, 0.3), cause=Cause.NO_METRIC, file=False)
    long = past.trial(rows(*[i / 1000 for i in range(600)]), cause=Cause.NO_METRIC, file=False)
    assert past.by(ACC).thinned == [long]
    assert past.shown(short)[:4] == ("finished", 0.7, -0.7, 2)
    assert past.shown(long)[1] == pytest.approx(0.599, abs=0.004)


def test_a_metric_where_there_was_none_and_several_where_there_was_one(past):
    """The number of objectives may change; a trial that lacks one of several has no scores to compare."""
    both = past.trial([(0, {"loss": 3.0, "acc": 0.5})])
    one = past.trial([(0, {"loss": 2.0})])
    past.by(LOSS, ACC)
    assert past.ledger.trial(both).scores == (3.0, -0.5)
    assert past.ledger.trial(one).scores == ()
    past.by()
    assert past.shown(one)[:3] == ("finished", None, None)


def test_a_sweep_that_was_killed_on_the_way_is_as_it_was(past):
    """One transaction: the old scores, or the new ones."""
    number = past.trial([(0, {"loss": 3.0, "acc": 0.5})])
    past.ledger.close()

    def die(name):
        if name == "before:rescore":
            raise KeyboardInterrupt

    past.ledger = past.sweep.ledger(on_commit=die)
    with pytest.raises(KeyboardInterrupt):
        rescore(past.ledger, past.sweep.dir, [ACC])
    past.ledger.close()
    past.ledger = past.sweep.ledger()
    assert past.shown(number)[:3] == ("finished", 3.0, 3.0)
