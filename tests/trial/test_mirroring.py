import math

import hypothesis.strategies as st
from hypothesis import given

from orchestrator.trial.mirroring import OWN, TENSORBOARD, WANDB, Mirroring

NAN = float("nan")


def sent(rows):
    return [(row.target, dict(row.metrics), row.shown) for row in rows]


def test_a_program_with_one_api_is_mirrored_at_once():
    """W&B to TensorBoard, TensorBoard to W&B, our own to both, row by row."""
    for source, targets in ((WANDB, [TENSORBOARD]), (TENSORBOARD, [WANDB]), (OWN, [WANDB, TENSORBOARD])):
        mirroring = Mirroring()
        mirroring.use(source)
        for step in range(3):
            fresh, rows = mirroring.take({"a": step}, step, source, step)
            assert fresh == {"a": step}
            assert sent(rows) == [(target, {"a": step}, step) for target in targets]


def test_a_name_that_comes_by_both_is_reported_once_and_mirrored_nowhere():
    """In either order, with and without steps, NaN included; event files keep single precision."""
    for first, second in ((WANDB, TENSORBOARD), (TENSORBOARD, WANDB)):
        mirroring = Mirroring()
        mirroring.use(WANDB)
        mirroring.use(TENSORBOARD)
        for step, value in enumerate((0.1, NAN, math.inf, 0.3)):
            single = 0.10000000149011612 if value == 0.1 else value
            assert mirroring.take({"a": value}, None, first, step) == ({"a": value}, [])
            assert mirroring.take({"a": single if value == 0.1 else value}, step, second, step) == ({}, [])
        assert mirroring.rest() == []


def test_the_others_wait_until_they_come_again():
    """A name the program sends to one place only is mirrored as soon as that is known, in order, none lost."""
    mirroring = Mirroring()
    mirroring.use(WANDB)
    mirroring.use(TENSORBOARD)
    assert mirroring.take({"both": 1, "w": 10}, 0, WANDB, 0)[1] == []
    assert mirroring.take({"both": 1}, 0, TENSORBOARD, 0) == ({}, [])
    assert sent(mirroring.take({"both": 2, "w": 20}, 1, WANDB, 1)[1]) == [
        (TENSORBOARD, {"w": 10}, 0),
        (TENSORBOARD, {"w": 20}, 1),
    ]
    assert mirroring.take({"late": 1}, 2, WANDB, 2)[1] == []
    assert sent(mirroring.rest()) == [(TENSORBOARD, {"late": 1}, 2)]


def test_different_values_under_one_name_are_different_reports():
    """A smoothed value under the same name is news."""
    mirroring = Mirroring()
    mirroring.take({"a": 1.0}, 0, WANDB, 0)
    assert mirroring.take({"a": 1.5}, 0, TENSORBOARD, 0)[0] == {"a": 1.5}
    assert mirroring.take({"a": 1.5}, 3, TENSORBOARD, 3)[0] == {"a": 1.5}


names = st.sampled_from("abc")
calls = st.lists(st.tuples(st.sampled_from([WANDB, TENSORBOARD, OWN]), names, st.integers(0, 3)), max_size=30)


@given(calls, st.sets(st.sampled_from([WANDB, TENSORBOARD])))
def test_nothing_is_lost_and_nothing_goes_back(made, used):
    """Whatever the calls: a value reaches every place at least once, and is never sent to where its program sent it."""
    mirroring = Mirroring()
    for each in used:
        mirroring.use(each)
    own, there = {WANDB: set(), TENSORBOARD: set()}, {WANDB: set(), TENSORBOARD: set()}
    wanted = set()
    for position, (source, name, value) in enumerate(made):
        fresh, rows = mirroring.take({name: value}, position, source, position)
        if source in own:
            own[source].add(name)
        wanted |= set(fresh)
        for row in rows:
            assert own[row.target].isdisjoint(row.metrics)
            there[row.target] |= set(row.metrics)
    for row in mirroring.rest():
        there[row.target] |= set(row.metrics)
    assert all(wanted <= own[target] | there[target] for target in there)
