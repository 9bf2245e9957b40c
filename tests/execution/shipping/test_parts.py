"""What is told of a change."""

import pytest

from orchestrator.execution.shipping.parts import LARGE, SETTLED_NS, Changes, Found, Known, changes

NOW = 100 * SETTLED_NS


def file(identity, size=1, mtime_ns=0):
    return Found(kind="file", identity=(0, identity), size=size, mtime_ns=mtime_ns)


def known(found, sent=None):
    return Known(found=found, sent=found.size if sent is None else sent)


FOLDER = Found(kind="folder")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"a": known(file(1))}, {"a": file(1)}, {}),
        ({}, {"a": file(1)}, {"whole": ["a"]}),
        ({"a.log": known(file(1))}, {"a.log": file(1, size=2, mtime_ns=1)}, {"grown": ["a.log"]}),
        ({"a": known(file(1))}, {"a": file(1, size=2, mtime_ns=1)}, {"whole": ["a"]}),
        ({"a": known(file(1))}, {"a": file(2), "b": file(1, mtime_ns=1)}, {"whole": ["a", "b"]}),
        (
            {"a.log": known(file(1, size=5), sent=3)},
            {"b.log": file(1, size=5)},
            {"gone": ["a.log"], "whole": ["b.log"]},
        ),
        ({"a": known(file(1))}, {"a": file(1, mtime_ns=1)}, {"whole": ["a"]}),
        ({"a": known(file(1, size=3))}, {"a": file(1, size=2)}, {"whole": ["a"]}),
        ({"a": known(file(1))}, {"a": file(2)}, {"whole": ["a"]}),
        ({"a": known(file(1))}, {}, {"gone": ["a"]}),
        ({"a": known(file(1))}, {"b": file(1)}, {"moved": [("a", "b")]}),
        ({"tmp": known(file(1)), "a": known(file(2))}, {"a": file(1)}, {"moved": [("tmp", "a")]}),
        ({"log": known(file(1))}, {"log.1": file(1), "log": file(3)}, {"moved": [("log", "log.1")], "whole": ["log"]}),
        ({"a": known(file(1))}, {"b": file(1, size=2, mtime_ns=1)}, {"gone": ["a"], "whole": ["b"]}),
        ({"a": known(file(1))}, {"a": file(1), "b": file(1)}, {"whole": ["b"]}),
        ({}, {"d/e": FOLDER, "d": FOLDER}, {"folders": ["d", "d/e"]}),
        ({"d": known(FOLDER), "d/e": known(FOLDER)}, {}, {"gone": ["d/e", "d"]}),
        ({"d": known(FOLDER)}, {"d": file(1)}, {"gone": ["d"], "whole": ["d"]}),
        ({"d": known(file(1))}, {"d": FOLDER}, {"gone": ["d"], "folders": ["d"]}),
        ({}, {"l": Found(kind="link", target="a")}, {"links": ["l"]}),
        ({}, {".end-0.json": file(1), "a": file(2)}, {"last": [".end-0.json"], "whole": ["a"]}),
        ({}, {"m.pt": file(1, size=LARGE, mtime_ns=NOW)}, {"waiting": ["m.pt"]}),
        ({}, {"m.log": file(1, size=LARGE, mtime_ns=NOW)}, {"whole": ["m.log"]}),
        ({}, {"big": file(1, size=2 * LARGE), "small": file(2)}, {"whole": ["small", "big"]}),
    ],
)
def test_each_change_is_told_as_what_it_is(before, after, told):
    """Growth, rewriting, renaming, replacing, removing, and what waits; in the order in which it is told."""
    found = changes(before, after, now_ns=NOW)
    assert {name: value for name in Changes.__slots__ if (value := getattr(found, name))} == told


def test_what_is_overdue_does_not_wait():
    """A large file that is always being written."""
    found = {"m.pt": file(1, size=LARGE, mtime_ns=NOW)}
    assert changes({}, found, now_ns=NOW, overdue={"m.pt"}).whole == ["m.pt"]
