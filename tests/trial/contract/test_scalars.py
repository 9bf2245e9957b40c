import math
from decimal import Decimal

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.trial.contract.scalars import as_float32, flat_row, flat_scalars, scalar, shortest


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        (True, 1.0),
        (2**2000, math.inf),
        (-(2**2000), -math.inf),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3.0),
        (np.bool_(True), 1.0),
        (np.zeros(()), 0.0),
        (np.ones((1, 1)), 1.0),
        (torch.tensor(2), 2.0),
        (torch.ones(1, requires_grad=True), 1.0),
        (torch.tensor(0.5, dtype=torch.bfloat16), 0.5),
        (np.zeros(2), None),
        ("1", None),
        (None, None),
        ([1], None),
        (1j, None),
        (np.longdouble(0.5), 0.5),
        (np.complex64(1), None),
        (Decimal(1), None),
        (np.str_("1"), None),
    ],
)
def test_what_is_a_number(value, number):
    """Python's, numpy's and torch's numbers, arrays of one element included; nothing else."""
    assert scalar(value) == number


def test_nested_names_are_joined():
    """With '.', keys of any type by their text, what is no number left out."""
    assert flat_scalars({"a": {"b": {"c": 1}, "d": "x"}, 3: 2, "e": [1]}) == {"a.b.c": 1.0, "3": 2.0}


@given(st.floats(width=32))
@example(999999986991104.0)
def test_the_shortest_decimal_is_the_same_single(value):
    """What an event file has is found again, and in as many digits as a person would write."""
    found = shortest(value)
    assert as_float32(found) == value or math.isnan(value)
    assert math.isnan(value) or n_digits(found) <= n_digits(value)


def n_digits(value):
    """How many digits say a number: none for infinity."""
    return len(Decimal(repr(value)).normalize().as_tuple().digits)


def test_what_was_meant_is_found():
    """0.1 in single precision is 0.1."""
    assert shortest(as_float32(0.1)) == 0.1
    assert shortest(as_float32(1e-7)) == 1e-7


@pytest.mark.parametrize("beside", [1.0, 1, "text"])
def test_a_nested_number_has_its_dotted_name_before_one_that_is_spelt_so(beside):
    """Whichever comes first: W&B records both, and its dotted names are those of mappings."""
    nested = {"a": {"b": 2.0}}
    assert flat_row({**nested, "a.b": beside})[0] == flat_row({"a.b": beside, **nested})[0] == {"a.b": 2.0}
