import json
import threading

import pytest

from orchestrator.errors import SweepError
from orchestrator.serve.topic import KEPT_EVENTS, Topic


class Counting(Topic):
    """A number that is told by its changes."""

    n, told = 0, ()

    def _load(self):
        self.n = 1

    def _look(self):
        self._due_s = 0.0
        return self.told.pop(0) if self.told else None

    def _state(self):
        return {"n": self.n}


def told(topic, *changes):
    topic.told = list(changes)
    for _ in changes:
        topic._due_s = 0.0
        topic.update()


def test_who_comes_gets_the_whole_state_and_then_what_changes():
    """First everything, then each change once and in order; who was away for some gets those, by the last id that was seen."""
    topic = Counting()
    (first,) = topic.after(None, 0)
    assert (first.name, json.loads(first.data)) == ("all", {"n": 1})
    assert topic.after(first.id, 0) == []
    told(topic, {"a": 1}, {"a": 2})
    one, two = topic.after(first.id, 0)
    assert [(e.name, json.loads(e.data)) for e in (one, two)] == [("change", {"a": 1}), ("change", {"a": 2})]
    assert topic.after(one.id, 0) == [two]
    assert topic.after(two.id, 0) == []


@pytest.mark.parametrize("last", ["", "x", "aaaa-0", "{epoch}-99", "{epoch}--1", "{epoch}-1x"])
def test_who_knows_something_else_begins_anew(last):
    """An id of another server's life, of the future, or none at all: the whole state."""
    topic = Counting()
    known = last.format(epoch=topic.after(None, 0)[0].id.split("-")[0])
    assert [event.name for event in topic.after(known, 0)] == ["all"]


def test_who_missed_too_much_begins_anew():
    """More changes than are kept, or one that replaces all: the whole state, with an id to go on from."""
    topic = Counting()
    (first,) = topic.after(None, 0)
    told(topic, *({"a": n} for n in range(KEPT_EVENTS + 1)))
    (again,) = topic.after(first.id, 0)
    assert again.name == "all"
    assert topic.after(again.id, 0) == []
    topic.n = 5
    told(topic, {})
    (anew,) = topic.after(again.id, 0)
    assert (anew.name, json.loads(anew.data)) == ("all", {"n": 5})


def test_who_waits_is_woken():
    """By a change at once, and by an error of the topic, which it then raises."""
    topic = Counting()
    (first,) = topic.after(None, 0)
    found = []
    waiting = threading.Thread(target=lambda: found.extend(topic.after(first.id, 60)))
    waiting.start()
    told(topic, {"a": 1})
    waiting.join(30)
    assert [event.name for event in found] == ["change"]
    topic.fail(SweepError("gone"))
    with pytest.raises(SweepError, match="gone"):
        topic.after(first.id, 60)
