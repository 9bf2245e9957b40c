import json
import math
import sqlite3
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.trial.contract import bounds
from orchestrator.trial.contract.bounds import (
    LARGEST_STEP,
    LONGEST_NAME,
    MOST_NAMES,
    Names,
    as_index,
    as_metrics,
    as_moment,
    as_object,
    numbers,
    scalars,
    shown,
    step_after,
    valid_name,
    valid_step,
    valid_text,
)
from tests.json_values import JSON, Spiteful, anything


class Unnamed:
    """A program's own class that cannot even be printed."""

    def __repr__(self):
        raise ZeroDivisionError


def in_sqlite(value):
    """What a strict table makes of a value."""
    connection = sqlite3.connect(":memory:")
    try:
        return connection.execute("SELECT ?", (value,)).fetchone()[0]
    finally:
        connection.close()


@given(anything())
@example({"acc/caf\udce9.png": 0.5, "n" * 1_000_000: 1})
@example({"a": {Spiteful(): 1}, "b": Spiteful(), "": 2**2000})
def test_whatever_a_program_logs_becomes_names_and_numbers(row):
    """Every name is text that UTF-8 and SQLite keep, every value a float; nothing is raised."""
    problems = []
    for found in (scalars(row, problems), numbers(row, problems)):
        for name, value in Names().admit(found, problems).items():
            assert type(value) is float
            assert name.encode().decode() == name == in_sqlite(name)
            assert len(name) <= LONGEST_NAME
    assert all(type(problem) is str and problem.encode() and "\n" not in problem for problem in problems)


@given(anything())
@example(2**63)
@example(LARGEST_STEP)
@example(math.nan)
def test_a_step_is_whole_and_fits(step):
    """Into 64 bits, or it is none; what was given and is none is said once."""
    problems = []
    found = valid_step(step, problems)
    assert found is None or (
        type(found) is int and in_sqlite(found) == found and in_sqlite(step_after(found)) > -(2**63)
    )
    assert len(problems) == (found is None and step is not None)


@pytest.mark.parametrize(
    ("step", "whole"),
    [
        *[
            (3, 3),
            (-3, -3),
            (True, 1),
            (np.int64(2**60 + 1), 2**60 + 1),
            (np.array(4), 4),
            (3.0, 3),
            (np.float32(2), 2),
        ],
        *[(3.7, None), ("5", None), (math.inf, None), (2**63, None), (-(2**64), None), (Decimal(3), None), ([1], None)],
    ],
)
def test_which_steps_are_steps(step, whole):
    """Whole numbers of any type, exactly; nothing is rounded, and no text is read."""
    assert valid_step(step, []) == whole


def test_a_row_that_holds_itself_ends():
    """Cycles, also those that double at each level, and nesting beyond any recursion: what is in reach is found."""
    cycle = {"loss": 1.0}
    cycle["again"] = cycle
    doubling = {}
    doubling["x"], doubling["y"] = doubling, doubling
    deep = {"leaf": 1}
    for _ in range(10_000):
        deep = {"d": deep}
    for row, problem in [(cycle, "nested more than"), (doubling, "more than 100000 items"), (deep, "nested more than")]:
        problems = []
        found = scalars(row, problems)
        assert found.get("loss") == row.get("loss")
        assert problem in problems[0]


class Changing(dict):
    """A dict that another thread changes while it is read, the first two times."""

    n = 0

    def items(self):
        Changing.n += 1
        for pair in super().items():
            yield pair
            if Changing.n < 3:
                raise RuntimeError("dictionary changed size during iteration")


def test_a_row_that_changes_while_it_is_read_is_read_again():
    """As when a thread of the program adds to it."""
    assert scalars(Changing(a=1, b=2), []) == {"a": 1.0, "b": 2.0}


def test_exact_numbers_are_numbers_where_nothing_else_is_allowed():
    """W&B writes them as text, so in its rows they are no metric."""
    row = {"d": Decimal("0.25"), "f": Fraction(1, 4), "n": Decimal("sNaN")}
    problems = []
    assert numbers(row, problems) == {"d": 0.25, "f": 0.25}
    assert problems == ["metric 'n' is Decimal('sNaN'), not a number"]
    assert scalars(row, []) == {}


def test_names_stay_apart():
    """Long ones that begin alike, and those that differ in what cannot be kept."""
    long = ["n" * 2000 + "a", "n" * 2000 + "b"]
    assert len({valid_name(name) for name in long}) == 2
    assert valid_name("caf\udce9.png") == "caf\\udce9.png"
    assert valid_name("caf\udce8.png") != valid_name("caf\udce9.png")
    assert valid_name("loss/träin\t😀") == "loss/träin\t😀"
    assert valid_name("a\0b") == "a\\x00b"


def test_a_trial_has_only_so_many_metrics():
    """The first ones stay, the sweep's own is never one too many, and one sentence says it."""
    names, problems = Names(always=("loss",)), []
    for i in range(0, MOST_NAMES + 100, 100):
        names.admit({f"m{i + j}": 1.0 for j in range(100)}, problems)
    assert problems[0] == f"it has more than {MOST_NAMES} metrics; 'm{MOST_NAMES}' and others are left out"
    assert names.admit({"loss": 1.0, "m5": 2.0, "new": 3.0}, []) == {"loss": 1.0, "m5": 2.0}


@given(JSON)
def test_whatever_json_says_is_read_or_refused(value):
    """Numbers by name stay; a moment and a count are what they are to be, or none."""
    problems = []
    found = as_metrics(value, problems)
    assert (found is not None) == isinstance(value, dict)
    assert all(type(n) is float for n in (found or {}).values())
    assert as_moment(value) is None or 0 <= as_moment(value) < 1e12
    assert as_index(value) is None or (type(value) is int and value >= 0)


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 200_000)
@example(b'{"a":' * 200_000)
@example(b'{"n": ' + b"9" * 10_000 + b"}")
@example(b'{"a": 1, "a": 2}')
@example(b"\0" * 100)
def test_a_line_is_an_object_or_nothing(line):
    """Whatever bytes a disk gives back."""
    found = as_object(line)
    assert found is None or isinstance(found, dict)


@given(anything())
def test_any_value_can_be_named_in_a_sentence(value):
    """One line, short, of what a terminal shows."""
    text = shown(value)
    assert len(text) <= 60
    assert text.isprintable()


def test_what_cannot_be_printed_is_named_by_its_type():
    """Nor is a number of ten thousand digits printed."""
    assert shown(Unnamed()).startswith("<Unnamed instance")
    assert shown(10**10_000) == "a number of 33220 bits"


def test_text_is_cut():
    """What is too long to be read is not kept."""
    assert valid_text("x" * 100, 10) == "xxxxxxx..."
    assert valid_text("x" * 10, 10) == "x" * 10
    assert valid_text(chr(0xDC80) + "ä") == "\\udc80ä"


def test_nothing_of_a_sweep_is_known_here():
    """It is imported into every trial, so it starts fast."""
    assert {"sqlite3", "numpy"}.isdisjoint(vars(bounds))
