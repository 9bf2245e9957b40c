import os
import threading
import time

import pytest

from orchestrator.errors import ClusterError, ExitCode
from orchestrator.spec.model import Recipient
from orchestrator.watch import messengers, notifier
from orchestrator.watch.notifier import Notifier
from orchestrator.watch.progress import NewBest, Note, SweepEnded

END = SweepEnded(exit_code=ExitCode.DONE, reason="all 3 trials are done")


@pytest.fixture
def told(tmp_path):
    """Return `told()`: what a command was told so far."""
    place = tmp_path / "told"
    place.touch()
    return place


def writing(place):
    return Recipient(command=("sh", "-c", 'echo "$SWEEP_NOTIFY_TOPIC"; cat'.join(("(", f") >> {place}"))))


def made(*recipients, clock=time.monotonic):
    said = []
    return Notifier(recipients, name="digits", say=said.append, environ={"PATH": "/usr/bin:/bin"}, clock=clock), said


def test_the_end_the_budget_nodes_and_alerts_are_told(told):
    """And remarks that are about none of these are not."""
    found, said = made(writing(told))
    found.event(Note(text="asked to pause"))
    found.event(Note(text="node a is gone", topic="node"))
    found.event(Note(text="the budget is used", topic="budget"))
    found.event(END)
    found.close()
    assert said == []
    assert told.read_text() == (
        "node\ndigits: node\nnode a is gone\nbudget\ndigits: budget\nthe budget is used\n"
        "end\ndigits: done\nall 3 trials are done\n"
    )


@pytest.mark.parametrize(("code", "word"), [(ExitCode.NO_TRIAL_SUCCEEDED, "failed"), (ExitCode.INTERRUPTED, "stopped")])
def test_a_sweep_in_which_everything_failed_says_so(told, code, word):
    """One that was interrupted is another matter."""
    found, _ = made(writing(told))
    found.event(SweepEnded(exit_code=code, reason="why"))
    found.close()
    assert f"digits: {word}\nwhy" in told.read_text()


def test_an_error_that_ends_a_sweep_is_told(told):
    """Its first line: what to do about it is for the terminal."""
    found, _ = made(writing(told))
    found.failed(ClusterError("the local Ray died\n  Go on with: sweep resume"))
    found.close()
    assert told.read_text() == "end\ndigits: failed\nthe local Ray died\n"


def test_new_bests_are_told_every_ten_minutes_at_most(told):
    """The last of them, and how many there were."""
    now = [0.0]
    found, _ = made(writing(told), clock=lambda: now[0])
    for moment in (0.0, 1.0, 2.0, notifier.BEST_EVERY_S + 1):
        now[0] = moment
        found.event(NewBest(number=int(moment), value=1.0, step=None))
        found.refresh(None)
    found.close()
    assert told.read_text().count("new best") == 2
    assert "trial 601: 1 (and 2 more since the last message)" in told.read_text()


def test_one_that_hangs_or_fails_keeps_nobody_waiting(told, monkeypatch):
    """Events take no time, the others are told, the end waits a little; what was wrong is said once."""
    monkeypatch.setattr(notifier, "END_WAITS_S", 1.0)
    found, said = made(Recipient(command=("sleep", "60")), Recipient(command=("false",)), writing(told))
    began = time.monotonic()
    for _ in range(3):
        found.event(Note(text="hot", topic="node"))
    assert time.monotonic() - began < 1.0
    found.event(END)
    found.close()
    assert "digits: done" in told.read_text()
    assert time.monotonic() - began < 20.0
    assert sorted(said) == [
        "could not tell false: it exited with 1",
        "could not tell sleep of the end: it took too long",
    ]


def test_what_nobody_foresaw_is_said_and_the_next_message_is_told(told, monkeypatch):
    """By its type alone: its text may hold a secret."""
    deliver, messages = notifier.deliver, []

    def fails_at_first(recipient, message, *args, **more):
        messages.append(message)
        if len(messages) == 1:
            raise KeyError("s3cr3t")
        deliver(recipient, message, *args, **more)

    monkeypatch.setattr(notifier, "deliver", fails_at_first)
    found, said = made(writing(told))
    found.event(Note(text="hot", topic="node"))
    found.event(END)
    found.close()
    assert said == ["could not tell sh: KeyError"]
    assert "digits: done" in told.read_text()


def test_who_cannot_be_told_is_said_at_the_start(monkeypatch):
    """Once, and not when it is too late to mend it."""
    monkeypatch.setattr(messengers.extras, "lacking", lambda library: f"needs {library}")
    found, said = made(Recipient(command=("no-such-program",)))
    with pytest.raises(messengers.NotToldError, match="needs apprise"):
        messengers.check(Recipient(url="${SET}"), {"SET": "json://x"})
    until = time.monotonic() + 20
    while not said and time.monotonic() < until:
        time.sleep(0.01)
    assert said == ["could not tell no-such-program: there is no such program here"]
    found.event(END)
    found.close()
    assert len(said) == 1


def test_nobody_is_told_without_recipients():
    """There is no thread either."""
    before = threading.active_count()
    found, said = made()
    found.event(END)
    found.close()
    assert (said, threading.active_count()) == ([], before)


def test_a_secret_stays_where_it_is(tmp_path, monkeypatch):
    """A URL that nobody knows or nobody answers is named by its reference alone; what is not there is said."""
    secret = "json://user:s3cr3t@127.0.0.1:9/s3cr3t"
    (tmp_path / "urls").write_text(f"# mine\n\n{secret}\n")
    message = messengers.Message(topic="test", title="t", text="x")
    cases = {
        f"@{tmp_path / 'urls'}": ({}, "the service did not take it"),
        "${ODD}": ({"ODD": "nobody://s3cr3t"}, "URL 1 of it is none that apprise knows"),
        "${GONE}": ({}, "this variable is not set here"),
        "@/nowhere": ({}, "No such file or directory"),
        "@~nosuchuser/x": ({}, "Could not determine home directory."),
        "@/a\0b": ({}, "embedded null byte"),
    }
    for reference, (more, words) in cases.items():
        with pytest.raises(messengers.NotToldError) as raised:
            messengers.deliver(Recipient(url=reference), message, {**os.environ, **more})
        assert str(raised.value) == words
