import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.watch.text import brief, clean, duration, number, sparkline


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
