import itertools
import math

import pytest

from orchestrator.execution.placement import Node
from orchestrator.execution.registry import TRANSITIONS, Growth, WorkerHandle, WorkerRegistry, WorkerState
from orchestrator.trial.contract.events import Cause, Ended, Started
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind

NODE = Node(node_id="a", host="box", total={"CPU": 4}, free={"CPU": 4})

OTHER = Node(node_id="b", host="other", total={"CPU": 4}, free={"CPU": 4})


def a_worker(*, slots=2, node=NODE, ready_s=math.inf):
    worker = WorkerHandle(actor=None, slots=slots, node=node, since_s=0.0)
    if ready_s < math.inf:
        worker.answered(ready_s)
    return worker


def a_launch(trial):
    return Launch(
        sweep_id="s",
        sweep_name="s",
        trial=trial,
        attempt=0,
        trial_dir="/nowhere",
        cwd="/",
        program=Program(kind=ProgramKind.COMMAND, target="true"),
        argv=("true",),
        config={},
    )


def test_every_state_can_be_lost_and_a_lost_worker_stays_lost():
    """A worker may die in any state, and nothing brings it back."""
    assert all(WorkerState.LOST in ways for state, ways in TRANSITIONS.items() if state is not WorkerState.LOST)
    assert not TRANSITIONS[WorkerState.LOST]


@pytest.mark.parametrize(("before", "after"), list(itertools.product(WorkerState, WorkerState)))
def test_only_the_table_s_moves_are_made(before, after):
    """A move that the table does not name is a mistake of ours, and stays none."""
    worker = a_worker()
    worker.state = before
    if after is before or after in TRANSITIONS[before]:
        worker.move(after)
        assert worker.state is after
        return
    with pytest.raises(AssertionError, match="->"):
        worker.move(after)


def test_an_end_that_a_leaving_node_asked_for_is_its_own_kind():
    """Only where the attempt was stopped by that: one that finished meanwhile has finished."""
    registry = WorkerRegistry()
    registry.workers.append(worker := a_worker(slots=3, ready_s=0.0))
    for trial in range(3):
        registry.add(a_launch(trial))
    for _, attempt in registry.assign(0.0):
        attempt.grace_s = None if attempt.key == (2, 0) else 20.0
    causes = [Cause.STOPPED, Cause.FINISHED, Cause.STOPPED]
    ends = [Ended(trial=trial, attempt=0, time=1.0, cause=cause) for trial, cause in enumerate(causes)]
    taken = registry.take(worker, 1, ends)
    assert [each.cause for each in taken] == [Cause.PREEMPTED, Cause.FINISHED, Cause.STOPPED]
    assert (taken[0].error, worker.running) == ("node box is being taken away", {})


def test_a_worker_takes_attempts_from_its_first_answer_until_its_node_drains():
    """Requested, starting and draining workers take nothing; a ready one and one whose call got lost do."""
    worker = a_worker()
    assert (worker.state, worker.free) == (WorkerState.STARTING, 0)
    worker.answered(1.0)
    assert (worker.state, worker.free) == (WorkerState.READY, 2)
    worker.missed()
    assert (worker.state, worker.free) == (WorkerState.SILENT, 2)
    worker.answered(2.0)
    worker.drain(draining=True)
    assert (worker.state, worker.free) == (WorkerState.DRAINING, 0)
    worker.drain(draining=False)
    assert (worker.state, worker.free, worker.ready_s) == (WorkerState.READY, 2, 1.0)


def test_a_worker_that_drains_before_it_answered_starts_on_when_the_node_stays():
    """A drain that is taken back leaves a worker where it was."""
    worker = a_worker()
    worker.drain(draining=True)
    worker.drain(draining=False)
    assert worker.state is WorkerState.STARTING
    assert a_worker(node=None).state is WorkerState.REQUESTED


def test_attempts_go_to_the_emptiest_worker_and_the_rest_waits():
    """Slots and free slots follow from the workers, within the limit; an attempt can be taken back once."""
    registry = WorkerRegistry(limit=3)
    registry.workers += [a_worker(slots=2, ready_s=1.0), a_worker(slots=2, ready_s=1.0)]
    assert (registry.slots, registry.free) == (3, 3)
    for trial in range(5):
        registry.add(a_launch(trial))
    given = registry.assign(2.0)
    assert sorted(len(worker.running) for worker in registry.workers) == [2, 2]
    assert [attempt.key for _, attempt in given] == [(0, 0), (1, 0), (2, 0), (3, 0)]
    assert registry.withdraw((4, 0)).key == (4, 0)
    assert registry.withdraw((4, 0)) is None


def test_an_attempt_keeps_away_from_a_node_while_there_is_another():
    """It waits for a slot elsewhere, holds up nobody behind it, and takes what there is when nothing else is left."""
    registry = WorkerRegistry()
    bad, good = a_worker(slots=1, ready_s=1.0), a_worker(slots=1, node=OTHER, ready_s=1.0)
    registry.workers += [bad, good]
    for trial in range(2):
        registry.add(a_launch(trial), avoid={"a"})
    registry.add(a_launch(2))
    assert [(worker, attempt.key) for worker, attempt in registry.assign(2.0)] == [(good, (0, 0)), (bad, (2, 0))]
    registry.remove(good)
    bad.running.clear()
    assert [attempt.key for _, attempt in registry.assign(3.0)] == [(1, 0)]


def test_events_of_other_workers_attempts_are_no_news():
    """An event counts once, of an attempt that its worker has."""
    registry = WorkerRegistry()
    worker, other = a_worker(ready_s=1.0), a_worker(ready_s=1.0)
    registry.workers.append(worker)
    registry.add(a_launch(0))
    registry.assign(2.0)
    started = Started(trial=0, attempt=0, time=1.0, pid=1, host="box")
    ended = Ended(trial=0, attempt=0, time=2.0, cause=Cause.FINISHED)
    assert registry.take(other, 1, [started]) == []
    assert registry.take(worker, 1, [started]) == [started]
    assert registry.take(worker, 1, [started]) == []
    assert registry.take(worker, 2, [ended, ended]) == [ended]


def test_a_removed_worker_is_lost_and_its_attempts_are_returned():
    """Whoever removes a worker learns what it had."""
    registry = WorkerRegistry()
    worker = a_worker(ready_s=1.0)
    registry.workers.append(worker)
    registry.add(a_launch(7))
    registry.assign(2.0)
    assert [attempt.key for attempt in registry.remove(worker)] == [(7, 0)]
    assert worker.state is WorkerState.LOST
    assert registry.workers == []


def test_room_is_asked_for_ever_less_often_until_something_changes():
    """Each request that fails doubles the pause; a node that joins ends it."""
    growth = Growth()
    assert growth.may_ask(0.0)
    assert not growth.may_ask(0.1)
    assert growth.may_ask(0.2)
    assert not growth.may_ask(0.5)
    growth.see(["a"])
    assert growth.may_ask(0.5)
