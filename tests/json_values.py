"""Arbitrary JSON and arbitrary Python values: what a disk may hold, and what a program may hand to a logging API."""

import numpy as np
from hypothesis import strategies as st

ANY_TEXT = st.text(st.characters(), max_size=30)  # halves of surrogate pairs included

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
)


class Spiteful:
    """A program's own class that fails whatever it is asked."""

    def __float__(self):
        raise ZeroDivisionError

    __index__ = __str__ = __int__ = __float__
    shape = property(__float__)
    items = property(__float__)


def anything():
    """Arbitrary Python values."""
    numpy = [np.float16(1), np.longdouble(1), np.zeros(()), np.ones((1, 1)), np.zeros(3), np.datetime64("2020")]
    leaves = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.complex_numbers()
        | st.decimals()
        | st.fractions()
        | ANY_TEXT
        | st.binary(max_size=5)
        | st.builds(Spiteful)
        | st.integers(5000, 5001).map(lambda digits: 10**digits)
        | st.sampled_from([object(), 2**63, -(2**70), np.str_("x"), np.array(["x"]), float, *numpy])
    )
    keys = ANY_TEXT | st.integers() | st.none() | st.floats() | st.tuples(ANY_TEXT)
    return st.recursive(leaves, lambda inner: st.dictionaries(keys, inner, max_size=4) | st.lists(inner, max_size=3))
