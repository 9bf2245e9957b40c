"""A sweep read again and again, while it is written."""

import pytest

from orchestrator.cli.watching.followed import Followed
from orchestrator.errors import LedgerError
from orchestrator.ledger.curves import Objective
from orchestrator.ledger.records import SweepState, TrialState
from orchestrator.reporting import labels
from orchestrator.reporting.filter import show
from tests.cli.watching.live import SPEC, Live


@pytest.fixture
def live(tmp_path):
    found = Live(tmp_path)
    yield found
    found.close()


@pytest.fixture
def followed(live):
    found = Followed(live.dir, clock=live.clock)
    yield found
    found.close()


def note_of(picture, number):
    return picture.table.columns[-1].texts[picture.table.place_of(number)]


def test_only_what_moved_is_put_anew(live, followed):
    """A still sweep gives pictures in which nothing has moved; a report, an end and a tag each move their trial."""
    first, second = live.begin(), live.begin()
    assert followed.look().has_moved
    assert not followed.look().has_moved
    live.report(second, 0.25)
    picture = followed.look()
    assert (picture.has_moved, picture.table.columns[2].texts) == (True, [show(None), "0.25"])
    labels.tag(live.dir, [first], ["good"])
    picture = followed.look()
    assert (picture.has_moved, note_of(picture, first)) == (True, "#good")
    live.end(second, TrialState.STOPPED, "enough")
    picture = followed.look()
    assert note_of(picture, second) == "enough"
    live.now += 5.0
    assert followed.look().has_moved  # the first one has run for longer
    assert not followed.look().has_moved


def test_what_trials_use_is_read_again_while_they_run(live, followed, monkeypatch):
    """Not at every look; once more when they have ended; a look that takes long goes on at the next one."""
    busy, idle = live.begin(), live.begin()
    live.use(busy, busy=0.9, cpus=2.0)

    def shown(where=""):
        table = followed.look().table
        return [table.records[place].number for place in table.arranged(where, 0, downwards=False)]

    assert shown("gpu>50") == [busy]
    live.use(busy, busy=0.4, cpus=2.0), live.use(idle, busy=0.1, cpus=2.0)
    assert shown("gpu>50") == [busy]
    live.end(idle)
    assert shown("gpu=10") == [idle]
    monkeypatch.setattr("orchestrator.cli.watching.followed.USE_EVERY_S", 0.0)
    assert shown("gpu=40") == [busy]
    monkeypatch.setattr("orchestrator.cli.watching.followed.USES_S", 0.0)
    other = Followed(live.dir, clock=live.clock)
    tables = [other.look().table for _ in range(2)]
    assert tables[0].is_known(next(i for i, column in enumerate(tables[1].columns) if column.name == "gpu"))
    assert [column.texts for column in tables[1].columns if column.name == "gpu"] == [["40", "10"]]
    other.close()


def test_a_trial_that_runs_again(live, followed):
    """One that was over is pending, and then runs; its row stays the same."""
    number = live.begin()
    live.end(number)
    followed.look()
    live.ledger.retry(number, "its user wants it again")
    assert followed.look().table.columns[1].texts == ["pending"]
    live.ledger.begin_attempt(number)
    assert followed.look().table.columns[1].texts == ["running"]


def test_who_controls_it(live, followed):
    """Nobody's sweep has no running time, and stands where its ledger says unless that says it runs."""
    live.begin()
    picture = followed.look()
    assert (picture.state, picture.progress.elapsed_s, len(picture.running)) == (SweepState.RUNNING, 60.0, 1)
    live.close(None)
    picture = followed.look()
    assert (picture.who, picture.state, picture.progress.elapsed_s) == (None, SweepState.INTERRUPTED, 0.0)


def test_a_sweep_that_is_scored_anew(live, followed):
    """An edited objective scores trials that had ended, too: every row is the new one."""
    for value in (3.0, 1.0, 2.0):
        number = live.begin()
        live.report(number, value, value - 0.5)
        live.end(number)
    assert followed.look().table.columns[2].texts == ["2.5", "0.5", "1.5"]
    text = SPEC + "orchestrator: {objective: last}\n"
    live.ledger.sweep.set_spec(text.replace("goal: minimize", "goal: maximize"), None)
    live.ledger.aim([Objective(name="loss", sign=-1.0, last=False)])
    for trial in list(live.ledger.trials()):
        live.ledger.rescore(trial.number, ())
    picture = followed.look()
    assert picture.table.best_is_high(picture.table.first_sorted)
    assert picture.table.columns[2].texts == [show(None)] * 3


def test_another_ledger_in_its_place_is_read_anew(live, followed, tmp_path):
    """`sweep repair` puts a file in the other's place: its trials are shown, and no other ones."""
    live.begin(), live.begin()
    before = followed.look().table
    other = Live(tmp_path / "other")
    other.report(other.begin(), 0.125)
    other.close()
    for path in live.dir.path.glob("ledger.sqlite*"):
        path.unlink()
    other.dir.ledger_path.rename(live.dir.ledger_path)
    picture = followed.look()
    assert picture.table is not before
    assert picture.table.columns[2].texts == ["0.125"]


def test_a_directory_that_is_gone(live, followed):
    """The error says where it was."""
    followed.look()
    live.dir.ledger_path.rename(live.dir.path / "other.sqlite")
    with pytest.raises(LedgerError, match="is gone"):
        followed.look()
