import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.commands.show import config_and_reason
from orchestrator.printable import clean
from orchestrator.reporting.wording import duration, number
from orchestrator.watch.text import brief, briefs, cut, sparkline, sparklines


@given(st.text())
def test_cleaned_text_cannot_drive_a_terminal(text):
    """No escape sequence, line break or direction override survives; the length stays."""
    cleaned = clean(text)
    assert len(cleaned) == len(text)
    assert not set(cleaned) & {"\x1b", "\n", "\r", "\x07", "\u202e", "\u2028", "\x9b"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.04, "0.0s"), (9.96, "10s"), (59.6, "1m00s"), (252, "4m12s"), (11100, "3h05m"), (187200, "2d04h")],
)
def test_durations_read_like_a_clock(seconds, text):
    """Two units at most, and no 60s."""
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0.98211234, "0.98211"), (1e-7, "1e-07"), (math.nan, "nan")])
def test_numbers_have_five_digits(value, text):
    """Enough to compare, short enough to read."""
    assert number(value) == text


def test_a_brief_config_joins_nested_names_and_fits():
    """The line never exceeds its width."""
    config = {"lr": 0.1, "model": {"width": 64, "act": "re\x1b[31mlu"}, "long": "x" * 100}
    assert brief(config, width=40) == "lr=0.1 model.width=64 model.act=re?[31m…"


@given(st.lists(st.floats(), max_size=40), st.integers(1, 20))
def test_a_sparkline_is_one_character_per_value(values, width):
    """Whatever the values are, infinities and NaN included."""
    assert len(sparkline(values, width=width)) == min(len(values), width)


def test_a_sparkline_rises_with_its_values():
    """The lowest value is the lowest bar, the highest the highest."""
    assert sparkline([1, 2, 3, 4, 5, 6, 7, 8]) == "▁▂▃▄▅▆▇█"


def test_a_flat_curve_looks_flat():
    """A curve that moves by less than its values' fiftieth, and one that hardly moves beside one that does."""
    assert sparkline([0.9801, 0.9805, 0.9803, 0.9806]) == "▅▅▅▅"
    assert sparklines([[2.3, 2.29, 2.28, 2.28], [2.3, 1.5, 0.8, 0.1]]) == ["████", "█▆▃▁"]


def test_one_wild_value_does_not_flatten_a_curve():
    """What is far off is the highest bar, and the others still differ."""
    assert sparkline([1e9, 4, 3, 2, 1, 2, 3, 4]) == "█▃▂▁▁▁▂▃"


def test_a_long_curve_is_shown_whole():
    """From its beginning to its last value, in as many bars as there is room for."""
    assert sparkline(list(range(1000)), width=8) == "▁▂▃▄▅▆▇█"


def test_configs_that_differ_look_different():
    """Five digits, more where two would look the same; no digits that rounding left behind."""
    assert briefs([{"lr": 0.1234567}, {"lr": 0.2}]) == ["lr=0.12346", "lr=0.2"]
    assert briefs([{"lr": 0.1234567}, {"lr": 0.1234568}]) == ["lr=0.1234567", "lr=0.1234568"]
    assert brief({"dropout": 0.49999999999999994}) == "dropout=0.5"


@given(st.text(max_size=30), st.text(max_size=30) | st.none(), st.integers(24, 60))
def test_a_config_and_a_reason_share_a_line(config, reason, width):
    """Both are there, and the line never exceeds its width."""
    line = config_and_reason(config, reason, width)
    assert len(line) <= width
    assert not reason or not config or " · " in line


def test_each_half_of_a_line_is_used():
    """A short reason leaves its room to the config, and the other way round."""
    assert config_and_reason("a" * 50, "rung 3", 30) == f"{'a' * 20}… · rung 3"
    assert config_and_reason("lr=0.1", "b" * 50, 30) == f"lr=0.1 · {'b' * 20}…"
    assert cut("abc", 2) == "a…"
