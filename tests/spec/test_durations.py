import hypothesis.strategies as st
import pytest
from hypothesis import given

from orchestrator.spec.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("90", 90),
        (90, 90),
        (0.5, 0.5),
        ("15m", 900),
        ("15min", 900),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1H 30M", 5400),
        ("1d2h3m4.5s", 93784.5),
        ("1.5h", 5400),
    ],
)
def test_durations_as_people_write_them(text, seconds):
    """Days, hours, minutes and seconds, together or alone; a bare number is seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "2 weeks", "1m2h", "-3s", "0s", 0, -1, "1.2.3h", ".h", "inf", float("inf"), "nan"]
)
def test_what_is_no_duration(text):
    """Nothing that is not greater than 0 and finite."""
    assert parse_duration(text) is None


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_durations_come_back_exactly(seconds):
    """Whatever is written by `format_duration` is read as the same number."""
    assert parse_duration(format_duration(seconds)) == seconds


def test_durations_look_simple():
    """Whole seconds have no point."""
    assert [format_duration(s) for s in (90.0, 0.25, 3600)] == ["90s", "0.25s", "3600s"]
