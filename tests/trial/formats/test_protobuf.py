import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto.summary_pb2 import Summary

from orchestrator.trial.formats import protobuf


@given(st.text(st.characters(exclude_categories=["Cs"])), st.floats(width=32), st.integers(-(2**63), 2**63 - 1))
def test_what_is_put_together_is_read_by_the_library_and_by_us(tag, value, step):
    """A summary with a value, as TensorBoard's own messages have it; whole numbers of 64 bits come back with their sign."""
    message = protobuf.nested(1, protobuf.text(1, tag), protobuf.single(2, value))
    (found,) = Summary.FromString(message).value
    assert found.tag == tag
    assert found.simple_value == value or math.isnan(value)
    assert [number for number, _, _ in protobuf.fields(protobuf.whole(2, step) + message)] == [2, 1]
    assert next(protobuf.fields(protobuf.whole(2, step)))[1] == step
    assert b"".join(raw for _, _, raw in protobuf.fields(message)) == message


def test_a_number_that_is_too_large_is_infinite():
    """Single precision ends at 3.4e38, and metrics do not."""
    assert Summary.FromString(protobuf.nested(1, protobuf.single(2, -1e300))).value[0].simple_value == -math.inf


def test_what_is_cut_off_is_no_message():
    """Every cut inside of a field is told."""
    message = protobuf.nested(5, protobuf.double(1, 0.5), protobuf.whole(2, 300))
    for end in range(1, len(message)):
        with pytest.raises(ValueError, match="cut off"):
            list(protobuf.fields(message[:end]))
