"""Numbers in reasons."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.spec.model import Goal
from orchestrator.stopping.wording import share, show_as, tell_apart


@given(one=st.floats(allow_nan=False), other=st.floats(allow_nan=False))
def test_different_numbers_look_different(one, other):
    """A reason never says that 0.61 is worse than 0.61."""
    left, right = tell_apart(one, other)
    assert (left != right) or (one == other)


def test_few_digits_where_they_suffice():
    """Three digits are enough for numbers that differ in two."""
    assert tell_apart(0.61234, 0.72345) == ("0.612", "0.723")


def test_maximised_scores_are_turned_back():
    """The user sees the metric, and never a minus zero."""
    assert show_as(Goal.MAXIMIZE)(-0.9, 0.0) == ("0.9", "0")
    assert show_as(Goal.MINIMIZE)(0.9, 0.0) == ("0.9", "0")


def test_shares_have_names():
    """The surviving share is a word where English has one."""
    assert [share(eta) for eta in (2, 3.0, 4, 1.5, 2.5, 7)] == [
        "top half",
        "top third",
        "top quarter",
        "top 2/3",
        "top 2/5",
        "top 1/7",
    ]
