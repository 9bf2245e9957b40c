"""Pareto fronts."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.search.pareto import front_of


@given(
    scores=st.integers(1, 3).flatmap(lambda k: st.lists(st.tuples(*[st.integers(0, 4).map(float)] * k), max_size=15))
)
def test_the_front_is_what_nothing_beats(scores):
    """Compared with the definition, trial by trial."""

    def beats(one, other):
        return all(a <= b for a, b in zip(one, other, strict=True)) and one != other

    assert front_of(scores) == [i for i, s in enumerate(scores) if not any(beats(o, s) for o in scores)]
