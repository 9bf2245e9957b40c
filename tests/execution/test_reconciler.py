import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.execution.placement import Bundle, Node
from orchestrator.execution.reconciler import (
    GIVEN_S,
    MAX_REQUESTS,
    START_S,
    UNFIT,
    Discard,
    Drain,
    MarkLost,
    Start,
    View,
    problem,
    reconcile,
)
from orchestrator.execution.registry import WorkerHandle, WorkerRegistry

CPU = Bundle(needs={"CPU": 1.0})


def a_node(name, *, free=2.0, draining=False, left_s=None):
    total, now = {"CPU": 2.0}, {"CPU": free}
    return Node(node_id=name, host=f"host-{name}", total=total, free=now, draining=draining, left_s=left_s)


def a_view(*nodes, now_s=1000.0, avoided=None, can_grow=False):
    return View(nodes=nodes, bundle=CPU, avoided=avoided or set(), silence_s=10.0, can_grow=can_grow, now_s=now_s)


def a_worker(node, *, since_s=990.0, ready_s=None, heard_s=None, slots=2):
    worker = WorkerHandle(actor=None, slots=slots, node=node, since_s=since_s)
    if ready_s is not None:
        worker.answered(ready_s)
        worker.heard_s = ready_s if heard_s is None else heard_s
    return worker


def registry_of(*workers, limit=8):
    registry = WorkerRegistry(limit)
    registry.workers += workers
    return registry


def test_workers_start_where_there_is_room_up_to_the_limit():
    """Free resources become workers; a node that is avoided gets none."""
    starts = reconcile(registry_of(limit=3), a_view(a_node("a"), a_node("b"), avoided={"b"}))
    assert starts == [Start(node=a_node("a"), slots=2)]
    assert sum(s.slots for s in reconcile(registry_of(limit=3), a_view(a_node("a"), a_node("b")))) == 3


def test_a_node_with_other_code_ends_what_it_runs_and_is_left_alone():
    """Its worker takes nothing new while it runs something, then goes, and says why."""
    worker = a_worker(a_node("a", free=0.0), ready_s=900.0, heard_s=999.0)
    worker.other_code = "node host-a has other code"
    worker.running[0, 0] = None
    assert reconcile(registry_of(worker), a_view(a_node("a", free=0.0))) == [Drain(worker=worker, draining=True)]
    worker.running.clear()
    (action,) = reconcile(registry_of(worker), a_view(a_node("a", free=0.0)))
    assert action == Discard(worker=worker, reason="node host-a has other code")


def test_trials_are_asked_to_end_when_their_node_leaves_soon():
    """Not hours before, nor where no time is known; a worker whose trials have ended goes, as Ray there waits for that."""
    worker = a_worker(a_node("a"), ready_s=900.0, heard_s=999.0)
    worker.running[0, 0] = None
    for left_s, asked_s in ((None, None), (3600.0, None), (90.0, 90.0)):
        (action,) = reconcile(registry_of(worker, limit=2), a_view(a_node("a", draining=True, left_s=left_s)))
        assert action == Drain(worker=worker, draining=True, left_s=asked_s)
    worker.running.clear()
    view = a_view(a_node("a", draining=True, left_s=90.0))
    assert reconcile(registry_of(worker, limit=2), view) == [Discard(worker=worker)]


def test_a_worker_whose_node_is_gone_goes_first():
    """A worker that worked is lost, one that never answered is discarded with its node's name."""
    ready, starting = a_worker(a_node("x"), ready_s=995.0), a_worker(a_node("y"))
    actions = reconcile(registry_of(ready, starting), a_view(a_node("a", free=0.0)))
    assert actions == [
        MarkLost(worker=ready, reason="node host-x is gone"),
        Discard(worker=starting, reason="node host-y: a worker does not start: node host-y is gone"),
    ]


def test_a_node_whose_raylet_is_dead_gets_nothing_and_loses_its_workers_at_once():
    """Ray still counts it among the living; its worker is lost as surely as if it did not."""
    dead = replace(a_node("a"), dead=True)
    worker = a_worker(a_node("a"), ready_s=900.0, heard_s=999.9)
    assert reconcile(registry_of(worker), a_view(dead)) == [
        MarkLost(worker=worker, reason="Ray on node host-a died", dead=True)
    ]
    assert reconcile(registry_of(worker), a_view(dead, a_node("b"))) == [
        MarkLost(worker=worker, reason="Ray on node host-a died", dead=True),
        Start(node=a_node("b"), slots=2),
    ]


def test_a_worker_that_does_not_start_is_discarded_without_blame():
    """Resources that somebody else was given first are no fault of the node."""
    slow = a_worker(a_node("a"), since_s=1000.0 - START_S - 1)
    assert reconcile(registry_of(slow), a_view(a_node("a", free=0.0)))[0] == Discard(worker=slow)


def test_a_request_waits_for_room_without_end_and_answers_in_time_once_it_has_some():
    """An autoscaler may take hours; a worker that Ray has placed takes as long as any, and then another is asked for."""
    worker = a_worker(None, since_s=0.0)
    node, now_s = a_node("a", free=0.0), 50 * START_S
    assert reconcile(registry_of(worker, limit=1), a_view(node, now_s=now_s, can_grow=True)) == []
    worker.place(node, now_s)
    for late_s, expected in ((START_S, []), (START_S + 1, [Discard(worker=worker)])):
        view = a_view(node, now_s=now_s + late_s, can_grow=True)
        going = [action for action in reconcile(registry_of(worker, limit=1), view) if isinstance(action, Discard)]
        assert going == expected


def test_a_worker_that_takes_long_to_start_keeps_no_other_from_its_node():
    """Whether or not Ray has given it its slot, the other one of the node is used; not while Ray may still be about to."""
    slow = a_worker(a_node("a"), since_s=1000.0 - GIVEN_S - 1, slots=1)
    for free, n in ((2.0, 1), (1.0, 1), (0.0, 0)):
        starts = reconcile(registry_of(slow), a_view(a_node("a", free=free)))
        assert [(start.node.node_id, start.slots) for start in starts if isinstance(start, Start)] == [("a", 1)] * n
    slow.since_s = 1000.0 - GIVEN_S + 1
    assert not [a for a in reconcile(registry_of(slow), a_view(a_node("a"))) if isinstance(a, Start)]


def test_a_silent_worker_is_lost_when_its_lease_is_over_and_not_before():
    """Silence up to the lease costs nothing."""
    worker = a_worker(a_node("a"), ready_s=900.0, heard_s=995.0)
    assert reconcile(registry_of(worker), a_view(a_node("a", free=0.0))) == [Drain(worker=worker, draining=False)]
    worker.heard_s = 985.0
    lost = MarkLost(worker=worker, reason="node host-a does not answer", unreachable=True)
    assert reconcile(registry_of(worker), a_view(a_node("a", free=0.0))) == [lost]


def test_a_draining_node_s_slots_are_looked_for_elsewhere():
    """What is about to leave counts as missing already."""
    worker = a_worker(a_node("a"), ready_s=900.0, heard_s=999.0)
    actions = reconcile(registry_of(worker, limit=2), a_view(a_node("a", free=0.0, draining=True), a_node("b")))
    assert actions == [Drain(worker=worker, draining=True), Start(node=a_node("b"), slots=2)]


def requests(registry, view):
    return [action.slots for action in reconcile(registry, view) if isinstance(action, Start) and action.node is None]


def test_all_missing_slots_are_asked_for_at_once_where_a_cluster_may_grow():
    """As many as trials could use, no more than the limit, what is asked for already counts; none where nothing can grow."""
    full = a_view(a_node("a", free=0.0), can_grow=True)
    registry = registry_of(limit=5)
    assert requests(registry, full) == [1]  # before anybody said how many trials there are
    registry.wanted = 3
    assert requests(registry, full) == [1] * 3
    registry.wanted = 100
    assert requests(registry, full) == [1] * 5
    registry.workers += [a_worker(None, slots=1), a_worker(a_node("a"), ready_s=900.0, heard_s=999.0)]
    assert requests(registry, full) == [1] * 2
    assert requests(registry, replace(full, can_grow=False)) == []
    registry.limit, registry.wanted, registry.workers = math.inf, math.inf, []
    assert requests(registry, full) == [1] * MAX_REQUESTS
    registry.wanted = 0
    assert requests(registry, full) == []


def test_room_that_is_there_is_not_asked_for():
    """A request is for what is missing when every node with room has its worker."""
    registry = registry_of(limit=5)
    registry.wanted = 4
    view = a_view(a_node("a"), can_grow=True)
    assert reconcile(registry, view) == [Start(node=a_node("a"), slots=2), *[Start(node=None, slots=1)] * 2]


def test_trials_that_share_a_gpu_are_asked_for_by_the_gpu():
    """A request is as large as a worker: whole GPUs, not parts."""
    registry = registry_of(limit=math.inf)
    registry.wanted = 5
    shared = Bundle(needs={"GPU": 0.5})
    assert requests(registry, replace(a_view(a_node("a"), can_grow=True), bundle=shared)) == [2, 2, 1]


def test_a_node_that_is_left_out_loses_its_workers_when_they_run_nothing():
    """What runs there may end; nothing new starts there."""
    idle, busy = (a_worker(a_node("a"), ready_s=900.0, heard_s=999.0) for _ in range(2))
    busy.running[(0, 0)] = object()
    view = replace(a_view(a_node("a")), left_out={"a"})
    assert reconcile(registry_of(idle, busy), view) == [Discard(worker=idle), Drain(worker=busy, draining=True)]
    assert problem(registry_of(), view) == UNFIT


def test_what_keeps_trials_from_running_is_named():
    """No problem while a worker starts; a slow start, avoided nodes and missing room have their words."""
    node = a_node("a")
    assert problem(registry_of(a_worker(node)), a_view(node)) is None
    assert "waiting for a worker to start on node host-a" in problem(
        registry_of(a_worker(node, since_s=0.0)), a_view(node)
    )
    assert problem(registry_of(), a_view(node, avoided={"a"})) == UNFIT
    big = replace(a_view(node), bundle=Bundle(needs={"GPU": 1.0}))
    assert "GPU" in problem(registry_of(), big)


nodes = st.lists(
    st.builds(a_node, st.sampled_from("abcd"), free=st.sampled_from([0.0, 1.0, 2.0]), draining=st.booleans()),
    unique_by=lambda node: node.node_id,
    max_size=4,
)
workers = st.lists(
    st.builds(
        a_worker,
        st.one_of(st.none(), st.builds(a_node, st.sampled_from("abcde"))),
        since_s=st.sampled_from([0.0, 990.0]),
        ready_s=st.sampled_from([None, 900.0, 999.5]),
        heard_s=st.sampled_from([900.0, 999.0]),
    ),
    max_size=5,
)


@given(nodes, workers, st.booleans(), st.integers(1, 8))
def test_no_worker_is_told_two_things_and_the_limit_holds(nodes, workers, can_grow, limit):
    """Every worker has at most one action, starts only come last, and they never exceed what is missing."""
    actions = reconcile(registry_of(*workers, limit=limit), a_view(*nodes, can_grow=can_grow))
    told = [action.worker for action in actions if not isinstance(action, Start)]
    assert len(told) == len({id(worker) for worker in told})
    kinds = [isinstance(action, Start) for action in actions]
    assert kinds == sorted(kinds)
    gone = {id(a.worker) for a in actions if isinstance(a, Discard | MarkLost)}
    gone |= {id(a.worker) for a in actions if isinstance(a, Drain) and a.draining}
    kept = sum(worker.slots for worker in workers if id(worker) not in gone)
    started = sum(action.slots for action in actions if isinstance(action, Start))
    assert started <= max(0, limit - kept)


def test_a_worker_whose_turn_is_over_goes_when_it_is_empty_and_no_more_start_than_may():
    """What waits where Ray finds room goes as well: Ray would give it what another sweep waits for."""
    worker, queued = a_worker(a_node("a"), ready_s=900.0, heard_s=999.0), a_worker(None)
    worker.yields = True
    worker.running[0, 0] = None
    registry = registry_of(worker, queued)
    registry.may_start = 1
    start = Start(node=a_node("b"), slots=1)
    view = a_view(a_node("a", free=0.0), a_node("b"))
    assert reconcile(registry, view) == [Discard(worker=queued), Drain(worker=worker, draining=True), start]
    worker.running.clear()
    assert reconcile(registry, view) == [Discard(worker=worker), Discard(worker=queued), start]
    assert queued.node is None
    assert Discard(worker=queued) not in reconcile(registry, a_view(a_node("a", free=0.0), can_grow=True))
