from hypothesis import given
from hypothesis import strategies as st

from orchestrator.execution.shares import Claim, divide, total_of

GPU, CPU = {"GPU": 1.0}, {"CPU": 1.0}
BOX = {"GPU": 8.0, "CPU": 16.0}


def a_claim(needs=GPU, held=0, wanted=100, **more):
    return Claim(needs=needs, held=held, wanted=wanted, **more)


def test_free_room_goes_to_whoever_has_the_least():
    """Two sweeps that want all have half; one that wants little has that, and the others the rest."""
    assert divide([BOX], {"a": a_claim(), "b": a_claim()}, BOX) == {"a": 4, "b": 4}
    assert divide([BOX], {"a": a_claim(wanted=1), "b": a_claim(), "c": a_claim()}, BOX) == {"a": 1, "b": 4, "c": 3}
    assert divide([{"GPU": 1.0}], {"a": a_claim(held=6), "b": a_claim(held=1)}, BOX) == {"a": 0, "b": 1}


def test_of_equal_shares_the_turn_is_whose_time_was_the_shortest():
    """Where there are fewer slots than sweeps that is who waited."""
    claims = {name: a_claim(had_s=had_s) for name, had_s in {"a": 3.0, "b": 1.0, "c": 2.0}.items()}
    assert divide([{"GPU": 2.0}], claims, BOX) == {"a": 0, "b": 1, "c": 1}


def test_what_a_sweep_takes_counts_by_the_resource_that_it_takes_most_of():
    """Of 8 GPUs and 16 CPUs, 2 CPUs are as much as a GPU."""
    assert divide([BOX], {"g": a_claim(), "c": a_claim({"CPU": 2.0})}, BOX) == {"g": 8, "c": 8}
    both = {"g": a_claim({"GPU": 1.0, "CPU": 2.0}), "c": a_claim({"CPU": 2.0})}
    assert divide([BOX], both, BOX) == {"g": 4, "c": 4}


def test_for_a_slot_that_does_not_fit_yet_its_room_is_kept():
    """One free GPU is not given to who has more, but CPUs are; where the node has no GPU free, nothing is kept there."""
    rooms = [{"GPU": 1.0, "CPU": 1.0}, {"CPU": 1.0}]
    claims = {"two": a_claim({"GPU": 2.0}), "one": a_claim(held=3), "cpu": a_claim(CPU, held=3)}
    assert divide(rooms, claims, BOX) == {"two": 0, "one": 0, "cpu": 2}


def test_words_say_who_has_what_and_who_waits():
    """For `sweep nodes`."""
    assert str(a_claim(held=1, wanted=1)) == "1 slot with 1 GPU each"
    assert str(a_claim(held=2, leaving=1, wanted=5)) == "3 slots with 1 GPU each; waits for 3 more"


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=5),
    st.lists(
        st.tuples(st.sampled_from([{"GPU": 1.0}, {"GPU": 2.0}, {"GPU": 0.5}, {"CPU": 1.0}]), st.integers(0, 20)),
        min_size=1,
        max_size=6,
    ),
)
def test_no_more_is_given_than_there_is_nor_than_is_wanted(free, wants):
    """Whatever the nodes and the sweeps."""
    rooms = [{"GPU": float(n), "CPU": float(n)} for n in free]
    claims = {str(i): a_claim(needs, wanted=wanted) for i, (needs, wanted) in enumerate(wants)}
    given_ = divide(rooms, claims, total_of(rooms))
    for name in ("GPU", "CPU"):
        assert sum(given_[who] * claim.needs.get(name, 0) for who, claim in claims.items()) <= sum(free)
    assert all(0 <= given_[who] <= claim.wanted for who, claim in claims.items())
