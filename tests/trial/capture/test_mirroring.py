import math

import hypothesis.strategies as st
from hypothesis import given

from orchestrator.trial.capture.mirroring import OWN, TENSORBOARD, WANDB, Mirroring

NAN = float("nan")


def sent(rows):
    return [(row.target, dict(row.metrics), row.shown) for row in rows]


def take(mirroring, metrics, step, source, shown):
    """(What is new, rows to mirror) of a call that is a row."""
    fresh = mirroring.fresh(metrics, step, source)
    return fresh, mirroring.take(fresh, step, source, shown)


def test_a_program_with_one_api_is_mirrored_at_once():
    """W&B to TensorBoard, TensorBoard to W&B, our own to both, row by row."""
    for source, targets in ((WANDB, [TENSORBOARD]), (TENSORBOARD, [WANDB]), (OWN, [WANDB, TENSORBOARD])):
        mirroring = Mirroring()
        mirroring.use(source)
        for step in range(3):
            fresh, rows = take(mirroring, {"a": step}, step, source, step)
            assert fresh == {"a": step}
            assert sent(rows) == [(target, {"a": step}, step) for target in targets]


def test_a_name_that_comes_by_our_own_api_as_well_is_reported_once():
    """In either order, with and without steps, NaN included; event files keep single precision."""
    for first, second in ((OWN, TENSORBOARD), (TENSORBOARD, OWN), (OWN, WANDB), (WANDB, OWN)):
        mirroring = Mirroring()
        mirroring.use(first)
        mirroring.use(second)
        for step, value in enumerate((0.1, NAN, math.inf, 0.3)):
            assert take(mirroring, {"a": value}, None, first, step)[0] == {"a": value}
            single = 0.10000000149011612 if value == 0.1 else value
            assert take(mirroring, {"a": single}, step, second, step)[0] == {}


def test_what_goes_to_wandb_is_reported_from_there_and_mirrored_nowhere():
    """A name that a program gives to W&B and to a writer is W&B's, whichever comes first and whatever the writer has."""
    for first, second in ((WANDB, TENSORBOARD), (TENSORBOARD, WANDB)):
        mirroring = Mirroring()
        mirroring.use(WANDB)
        mirroring.use(TENSORBOARD)
        for step, value in enumerate((0.1, NAN, math.inf, 0.3)):
            for source in (first, second):
                fresh, rows = take(mirroring, {"a": value}, step, source, step)
                is_first = source == TENSORBOARD == first and step == 0
                assert fresh == ({"a": value} if source == WANDB or is_first else {})
                assert rows == []
        assert mirroring.fresh({"a": 7.0}, 9, TENSORBOARD) == {}
        assert mirroring.rest() == []


def test_the_others_wait_until_they_come_again():
    """A name the program sends to one place only is mirrored as soon as that is known, in order, none lost."""
    mirroring = Mirroring()
    mirroring.use(WANDB)
    mirroring.use(TENSORBOARD)
    assert take(mirroring, {"both": 1, "w": 10}, 0, WANDB, 0)[1] == []
    assert take(mirroring, {"both": 1}, 0, TENSORBOARD, 0) == ({}, [])
    assert sent(take(mirroring, {"both": 2, "w": 20}, 1, WANDB, 1)[1]) == [
        (TENSORBOARD, {"w": 10}, 0),
        (TENSORBOARD, {"w": 20}, 1),
    ]
    assert take(mirroring, {"late": 1}, 2, WANDB, 2)[1] == []
    assert sent(mirroring.rest()) == [(TENSORBOARD, {"late": 1}, 2)]


def test_a_forked_process_sends_only_what_it_logs_itself():
    """Rows that wait belong to the process that logged them; what is known of the program's habits is known on."""
    mirroring = Mirroring()
    mirroring.use(WANDB)
    mirroring.use(TENSORBOARD)
    take(mirroring, {"w": 10}, 0, WANDB, 0)
    alone = mirroring.alone()
    assert alone.rest() == []
    assert alone.fresh({"w": 10}, 0, TENSORBOARD) == {}
    assert sent(mirroring.rest()) == [(TENSORBOARD, {"w": 10}, 0)]


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
        fresh, rows = take(mirroring, {name: value}, position, source, position)
        if source in own:
            own[source].add(name)
        wanted |= set(fresh)
        for row in rows:
            assert own[row.target].isdisjoint(row.metrics)
            there[row.target] |= set(row.metrics)
    for row in mirroring.rest():
        there[row.target] |= set(row.metrics)
    assert all(wanted <= own[target] | there[target] for target in there)
