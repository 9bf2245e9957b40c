import copy
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.layout import SweepDir
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.requests import Action, Instruction, ask
from orchestrator.ledger.store import Ledger
from orchestrator.trial.contract.events import Cause
from orchestrator.watch.follower import KEPT_ENDED, Follower
from orchestrator.watch.progress import NewBest, Note, TrialEnded, TrialRequeued, TrialStarted
from orchestrator.watch.recorder import Recorder
from tests.execution.fake_pool import EPOCH_S, End, FakePool, Log, Wait
from tests.sweeps import RANDOM, Sweep, Watch

SAME = (
    *("name", "sweep_id", "metric", "total", "finished", "stopped", "failed", "pending"),
    *("slots", "best", "best_history", "problem", "paused", "varying"),
)
"""What a follower knows exactly as the controller does."""


def script(launch):
    """Trial 1 fails, 2 loses its node at first, the others report two values."""
    yield Wait(5 + launch.trial)
    if launch.trial == 1:
        yield End(Cause.FAILED, exit_code=1, error="ValueError: bad lr", log_tail=("bad", "lr"))
    yield Log({"loss": 10.0 - launch.trial}, step=3)
    if launch.trial == 2 and launch.attempt == 0:
        yield End(Cause.NODE_LOST, exit_code=None, error="node 10.0.0.7 (box7) is gone")
    yield Wait(5)
    yield Log({"loss": 5.0 + launch.trial}, step=7)
    yield Wait(1)


class Compared(Watch):
    """A controller's view that looks, whenever it is shown something, with the eyes of another terminal."""

    def __init__(self, made):
        super().__init__()
        self._made = made
        self.follower = None
        self.recorder = None
        self.heard = []
        self.compared = []

    def event(self, event):
        super().event(event)
        self.recorder = self.recorder or Recorder(self._made.open.bulletin)
        self.recorder.event(event)

    def refresh(self, progress):
        super().refresh(progress)
        self.recorder = self.recorder or Recorder(self._made.open.bulletin)
        self.recorder.refresh(progress)
        if self.follower is None:
            self._reader = LedgerReader(self._made.dir.ledger_path, whole=False)
            self.follower = Follower(self._made.dir, self._reader, clock=lambda: EPOCH_S)
        self.heard += self.follower.look()
        now = replace(progress, running=list(progress.running))  # which are made when they are looked at
        self.compared.append(copy.deepcopy((now, self.follower.progress())))

    def of_heard(self, kind):
        return [event for event in self.heard if isinstance(event, kind)]

    def close(self):
        self._reader.close()


@pytest.fixture
def both(tmp_path, monkeypatch):
    """A sweep of 12 trials in three slots, as its controller's view has it and as a follower of its ledger has."""
    made, pool = Sweep(tmp_path, RANDOM.format(run_cap=12)), FakePool(3, script)
    compared = Compared(made)
    pool.at(25, lambda: ask(made.dir.ledger_path, Instruction(action=Action.PAUSE)))
    pool.at(30, lambda: ask(made.dir.ledger_path, Instruction(action=Action.RETRY, trial=1)))
    pool.at(60, lambda: ask(made.dir.ledger_path, Instruction(action=Action.UNPAUSE)))
    monkeypatch.setattr("tests.sweeps.Watch", lambda: compared)
    end = made.run(pool)
    yield made, compared, end
    compared.close()


def test_a_follower_sees_what_the_controller_shows(both):
    """Counts, the best and its history, what runs with its values, at every moment; every event once, in order."""
    _, compared, _ = both
    assert len(compared.compared) > 20
    for theirs, ours in compared.compared:
        assert {name: getattr(ours, name) for name in SAME} == {name: getattr(theirs, name) for name in SAME}
        rows = [(r.number, r.config, r.n_reports, list(r.values), r.host, r.gpu_ids, r.ending) for r in ours.running]
        assert rows == [
            (r.number, r.config, r.n_reports, list(r.values), r.host, r.gpu_ids, r.ending) for r in theirs.running
        ]
    assert any(ours.paused for _, ours in compared.compared)
    assert {row.step for _, ours in compared.compared for row in ours.running} == {None, 3, 7}

    for kind, told in (
        (TrialStarted, lambda e: (e.number, e.attempt, e.host)),
        (TrialRequeued, lambda e: (e.number, e.reason, e.on_resume)),
        (TrialEnded, lambda e: (e.trial, e.done, e.total, e.log_path, e.log_tail, e.took_s, e.flags)),
        (NewBest, lambda e: (e.number, e.value)),
    ):
        assert sorted(map(told, compared.of_heard(kind)), key=str) == sorted(map(told, compared.of(kind)), key=str)
    assert ["box7" in event.reason for event in compared.of_heard(TrialRequeued)] == [True, False]
    assert [event.text for event in compared.of_heard(Note)] == [
        "asked to pause from another terminal",
        "asked to retry trial 1 from another terminal",
        "asked to unpause from another terminal",
    ]


def test_the_ledger_keeps_the_exit_code(both):
    """Whoever attaches ends as the controller did; one that takes the sweep up again takes it back."""
    made, _, end = both
    record = made.record()
    assert (record.is_over, record.exit_code, record.reason) == (True, end.exit_code, end.reason)
    ledger = Ledger(made.dir.ledger_path)
    ledger.sweep.set_state(record.state)
    assert ledger.sweep.record.exit_code is None
    ledger.close()


def test_a_late_follower_is_told_of_the_latest(both):
    """Some trials that had ended, the best and the last remarks: enough to see where the sweep stands."""
    made, compared, _ = both
    with LedgerReader(made.dir.ledger_path, whole=False) as reader:
        follower = Follower(made.dir, reader)
        events = follower.look()
        assert follower.look() == []
    ended = [event for event in events if isinstance(event, TrialEnded)]
    assert [event.done for event in ended] == list(range(13 - KEPT_ENDED, 13))
    assert [event.number for event in events if isinstance(event, NewBest)] == [compared.shown[-1].best.number]
    assert [event for event in events if isinstance(event, TrialStarted)] == []
    assert follower.progress().best_history[-1] == compared.shown[-1].best_history[-1]


def test_a_ledger_of_an_earlier_release_is_followed_too(tmp_path):
    """Its controller says nothing of slots and totals: what the ledger has is shown."""
    text = (Path(__file__).parents[1] / "ledger" / "old" / "ledger-5.sql").read_text(encoding="utf-8")
    database = sqlite3.connect(tmp_path / "ledger.sqlite")
    database.executescript(text)
    database.execute("UPDATE sweep SET spec_text = ?", [RANDOM.format(run_cap=3)])
    database.commit()
    database.close()
    with LedgerReader(tmp_path / "ledger.sqlite", whole=False) as reader:
        follower = Follower(SweepDir(tmp_path), reader)
        assert [type(event) for event in follower.look()].count(TrialEnded) == 2
        progress = follower.progress()
        assert (progress.total, progress.slots, [row.number for row in progress.running]) == (3, 1, [2])
        assert reader.sweep().exit_code is None
        assert not reader.damage
