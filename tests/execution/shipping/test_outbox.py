"""What a node has to send, shipment by shipment."""

import pickle
import time

import pytest

from orchestrator.execution.shipping import sender as sending
from orchestrator.execution.shipping.outbox import Outbox, Outcome, Shipment, decoded, encoded
from orchestrator.execution.shipping.parts import Append, Arrive, Check
from orchestrator.execution.shipping.receiver import Receiver
from orchestrator.trial.contract.events import Cause, Ended


class Head:
    """What the controller does with shipments."""

    def __init__(self, outbox, base):
        self.outbox, self.base = outbox, base
        self.number, self.outcomes = 1, []
        self.shipments = []

    def pull(self):
        """Ask, and acknowledge with the next call."""
        shipment = decoded(pickle.loads(pickle.dumps(encoded(self.outbox.pull(self.number, self.outcomes, 0)))))
        wrong = {each.trial: self.receiver(each.trial).apply(shipment.number, each.parts) for each in shipment.shipped}
        if shipment.shipped:
            self.number += 1
            self.outcomes = [Outcome(number=shipment.number, wrong=wrong)]
        self.shipments.append(shipment)
        return shipment

    def receiver(self, trial):
        place = self.base / f"there/{trial}"
        place.mkdir(parents=True, exist_ok=True)
        return Receiver(place, self.base / "staging")


@pytest.fixture
def outbox(tmp_path, monkeypatch):
    """With one trial in it, and without pauses."""
    monkeypatch.setattr(sending, "SCAN_S", 0.0)
    monkeypatch.setattr(sending, "SCAN_SHARE", 1e9)
    monkeypatch.setattr(sending, "QUIET_S", 0.05)
    (tmp_path / "here/0").mkdir(parents=True)
    made = Outbox()
    made.begin(0, 0, tmp_path / "here/0")
    return made


def ended(trial=0, attempt=0):
    return Ended(trial=trial, attempt=attempt, time=0.0, cause=Cause.FINISHED, exit_code=0)


def pull_until(head, condition):
    while not condition():
        head.pull()


def test_an_end_is_released_when_everything_was_acknowledged(outbox, tmp_path):
    """Not when it was sent: the call that follows says that it is durable."""
    (tmp_path / "here/0/a").write_text("1")
    head = Head(outbox, tmp_path)
    outbox.hold(ended())
    assert outbox.holds_ends
    while not (shipment := head.pull()).shipped or not shipment.shipped[-1].settles:
        assert not outbox.released()
    assert (tmp_path / "there/0/a").read_text() == "1"
    assert not outbox.released()
    head.pull()
    assert outbox.released() == [ended()]
    assert not outbox.holds_ends


def test_a_shipment_that_got_lost_comes_again(outbox, tmp_path):
    """The same, until it is acknowledged."""
    (tmp_path / "here/0/a").write_text("1")
    first = outbox.pull(1, (), 0)
    (tmp_path / "here/0/b").write_text("1")
    second = outbox.pull(2, (), 0)
    assert "b" in [part.path for each in second.shipped for part in each.parts if isinstance(part, Arrive)]
    assert outbox.pull(1, (), 0) == first
    done = Outcome(number=1, wrong={})
    assert outbox.pull(2, [done], 0) == second
    assert outbox.pull(1, (), 0) == Shipment(number=1)


def test_a_directory_goes_when_it_is_quiet(outbox, tmp_path):
    """After its end, not before."""
    head = Head(outbox, tmp_path)
    (tmp_path / "here/0/a").write_text("1")
    outbox.hold(ended())
    pull_until(head, lambda: not (tmp_path / "here/0").exists())
    assert outbox.released() == [ended()]
    assert not outbox.has(0)


def test_what_is_wrong_there_is_sent_anew(outbox, tmp_path):
    """A file that grew, and was changed there by somebody."""
    (tmp_path / "here/0/m.log").write_text("1")
    head = Head(outbox, tmp_path)
    pull_until(head, (tmp_path / "there/0/m.log").exists)
    with (tmp_path / "here/0/m.log").open("a") as file:
        file.write("2")
    pull_until(head, lambda: any(isinstance(p, Append) for s in head.shipments for e in s.shipped for p in e.parts))
    (tmp_path / "there/0/m.log").write_text("XX")
    outbox.hold(ended())
    pull_until(head, lambda: bool(outbox.released()))
    assert (tmp_path / "there/0/m.log").read_text() == "12"
    assert any(isinstance(part, Check) for s in head.shipments for each in s.shipped for part in each.parts)


def test_what_is_refused_is_dropped_with_its_end(outbox, tmp_path):
    """The trial runs elsewhere; the pool ignores the end."""
    outbox.hold(ended())
    outbox.pull(1, (), 0)
    outbox.pull(2, [Outcome(number=1, wrong={}, refused=[(0, 0)])], 0)
    assert outbox.released() == [ended()]
    assert not (tmp_path / "here/0").exists()


def test_a_trial_that_goes_on_here_sends_only_what_is_new(outbox, tmp_path, monkeypatch):
    """Its directory is kept for a while after an end."""
    monkeypatch.setattr(sending, "QUIET_S", 600.0)
    head = Head(outbox, tmp_path)
    (tmp_path / "here/0/a").write_text("1" * 100)
    outbox.hold(ended())
    pull_until(head, lambda: bool(outbox.released()))
    assert outbox.has(0)
    outbox.begin(0, 1, tmp_path / "here/0")
    (tmp_path / "here/0/b").write_text("2")
    n = len(head.shipments)
    outbox.hold(ended(attempt=1))
    pull_until(head, lambda: bool(outbox.released()))
    sent = sum(len(getattr(p, "data", b"")) for s in head.shipments[n:] for e in s.shipped for p in e.parts)
    assert 0 < sent < 10


def test_an_end_of_a_trial_that_never_began_here_does_not_wait(outbox):
    """It could not be started."""
    outbox.hold(ended(trial=7))
    assert outbox.released() == [ended(trial=7)]


def test_it_is_drained_when_the_rest_has_been_sent(outbox, tmp_path):
    """A pull without news waits as long as it is told."""
    begun_s = time.monotonic()
    assert not outbox.pull(1, (), 0.1).shipped
    assert time.monotonic() - begun_s >= 0.1
    (tmp_path / "here/0/a").write_text("1")
    outbox.finish()
    head = Head(outbox, tmp_path)
    pull_until(head, lambda: bool(head.shipments) and head.shipments[-1].drained)
    assert (tmp_path / "there/0/a").read_text() == "1"
