"""What to do about the difference between the workers there are and those that are wanted. Pure: no Ray, no lock, no clock."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from orchestrator.execution.placement import Bundle, Node, explain, plan
from orchestrator.execution.registry import WorkerHandle, WorkerRegistry

START_S = 120.0
"""How long a worker may take to answer first: a slow shared disk, or resources that somebody else was given first."""

SLOW_START_S = 15.0
"""After how long without any worker the user is told what is waited for."""

MAX_REQUESTS = 64
"""Workers that are asked for at once where no node has room: an autoscaler starts nodes for all of them together."""

UNFIT = "no node that is there can run a trial"
"""The problem where each node has its own, which is said beside it."""

NOTICE_S = 150.0
"""How long before their node leaves trials are asked to end: clouds say so 30 seconds to 2 minutes before."""

SETTLING_S = 1.0
"""How long after a worker's first answer the resources that Ray says are free on its node may be out of date."""

GIVEN_S = 10.0
"""How long after a worker was asked for Ray has surely given it its resources, if they were free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What is known at one moment.

    Attributes:
        nodes: The living nodes.
        bundle: What one trial takes.
        avoided: Ids of nodes that are left alone for now.
        left_out: Ids of nodes that get no more trials.
        silence_s: Seconds without an answer after which a worker is given up.
        can_grow: Whether workers may wait where Ray finds room: nodes may join when something waits for them.
        now_s: Monotonic seconds.
    """

    nodes: Sequence[Node]
    bundle: Bundle
    avoided: Collection[str]
    silence_s: float
    can_grow: bool
    now_s: float
    left_out: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Start a worker on a node; without one, where Ray finds room: such a request waits where an autoscaler sees it."""

    node: Node | None
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """Give up a worker that runs nothing, and avoid its node if there is a reason to."""

    worker: WorkerHandle
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkLost:
    """Give up a worker that worked. `unreachable`: it may still be alive where nobody hears it; `dead`: it cannot be."""

    worker: WorkerHandle
    reason: str
    unreachable: bool = False
    dead: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Note whether a worker's node is about to leave; with `left_s` its trials are asked to end within that time."""

    worker: WorkerHandle
    draining: bool
    left_s: float | None = None


Action: TypeAlias = Start | Discard | MarkLost | Drain


def reconcile(registry: WorkerRegistry, view: View) -> list[Action]:
    """Return what to do, in this order: workers that go, what is known of those that stay, workers to start."""
    alive = {node.node_id: node for node in view.nodes}
    kept = {worker: _judged(worker, alive, view) for worker in registry.workers}
    going = [action for action in kept.values() if isinstance(action, Discard | MarkLost)]
    drained = [action for action in kept.values() if isinstance(action, Drain)]
    staying = [worker for worker, action in kept.items() if not isinstance(action, Discard | MarkLost)]
    draining = {action.worker for action in drained if action.draining}
    return [*going, *drained, *_starts(registry, staying, draining, view)]


def _judged(worker: WorkerHandle, alive: Mapping[str, Node], view: View) -> Action | None:
    """What becomes of a worker, by the living nodes."""
    node = worker.node
    if node is not None and node.node_id not in alive:
        return _gone(worker, f"node {node.host} is gone")
    if node is not None and alive[node.node_id].dead:
        return _gone(worker, f"Ray on node {node.host} died", dead=True)
    if node is not None and not worker.ready and view.now_s - worker.since_s > START_S:
        return Discard(worker=worker)
    if worker.ready and view.now_s - worker.heard_s > view.silence_s:
        return MarkLost(worker=worker, reason=f"node {worker.host} does not answer", unreachable=True)
    if node is None:
        return None if view.can_grow else Discard(worker=worker)
    is_out = node.node_id in view.left_out or worker.other_code is not None or worker.yields
    if is_out and not worker.running:
        return Discard(worker=worker, reason=worker.other_code)
    now = alive[node.node_id]
    is_near = now.draining and now.left_s is not None and now.left_s <= NOTICE_S
    if is_near and not worker.running:  # Ray ends on a node that drains once nothing holds its resources
        return Discard(worker=worker)
    return Drain(worker=worker, draining=is_out or now.draining, left_s=now.left_s if is_near else None)


def _gone(worker: WorkerHandle, reason: str, *, dead: bool = False) -> Action:
    return (
        MarkLost(worker=worker, reason=reason, dead=dead)
        if worker.ready
        else Discard(worker=worker, reason=never_ready(worker, reason))
    )


def never_ready(worker: WorkerHandle, reason: str) -> str:
    """Return why a node is avoided on which a worker died before it answered."""
    return f"node {worker.host}: a worker does not start: {reason}"


def _starts(
    registry: WorkerRegistry, staying: Sequence[WorkerHandle], draining: set[WorkerHandle], view: View
) -> list[Start]:
    """Workers where there is room; where a cluster might grow, a request for each slot that is missing still."""
    there = sum(worker.slots for worker in staying if worker not in draining)
    unsettled = {worker.node_id for worker in staying if _is_unsettled(worker, view.now_s)}
    left_alone = {*view.avoided, *view.left_out, *unsettled}
    usable = [node for node in view.nodes if not node.dead and node.node_id not in left_alone]
    candidates = [_beside(node, staying, view.bundle) for node in usable]
    want = max(0.0, min(registry.limit - there, registry.may_start))
    placed = [Start(node=p.node, slots=p.slots) for p in plan(view.bundle, candidates, want=want)]
    if not view.can_grow:
        return placed
    n_asked = sum(worker.node is None for worker in staying)
    wanted = min(registry.limit, registry.wanted) - there - sum(start.slots for start in placed)
    return [*placed, *_requests(view.bundle, wanted, MAX_REQUESTS - n_asked)]


def _is_unsettled(worker: WorkerHandle, now_s: float) -> bool:
    """Whether what Ray says is free on a worker's node may count what that worker holds, or is about to."""
    return now_s - worker.ready_s < SETTLING_S if worker.ready else now_s - worker.since_s < GIVEN_S


def _beside(node: Node, staying: Sequence[WorkerHandle], bundle: Bundle) -> Node:
    """A node as it is free beside a worker that takes long to start: Ray may or may not have given it resources."""
    here = [worker for worker in staying if worker.node_id == node.node_id]
    if all(worker.ready for worker in here):
        return node
    ours = bundle.times(sum(worker.slots for worker in here))
    left = {name: min(free, node.total.get(name, 0.0) - ours.get(name, 0.0)) for name, free in node.free.items()}
    return replace(node, free=left)


def _requests(bundle: Bundle, wanted: float, n_at_most: int) -> list[Start]:
    """Workers of the smallest size, which fit wherever a trial does: as many as are wanted."""
    each = 1 if bundle.gpu == 0 else int(bundle.slots_per_worker)
    n = min(n_at_most, math.ceil(max(0.0, min(wanted, each * MAX_REQUESTS)) / each))
    return [Start(node=None, slots=int(min(each, wanted - i * each))) for i in range(n)]


def problem(registry: WorkerRegistry, view: View) -> str | None:
    """Return why no trial can run, once nodes are known; None when one can, or a worker for it is starting."""
    placed = [worker for worker in registry.workers if worker.node is not None and not worker.is_draining]
    if not view.nodes or any(worker.ready for worker in placed):
        return None
    if placed:
        first = min(placed, key=lambda worker: worker.since_s)
        is_slow = view.now_s - first.since_s > SLOW_START_S
        return f"waiting for a worker to start on node {first.host}" if is_slow else None
    usable = [node for node in view.nodes if node.node_id not in {*view.avoided, *view.left_out}]
    if len(usable) < len(view.nodes) and not any(view.bundle.fits(node.total) for node in usable):
        return UNFIT
    return explain(view.bundle, usable)
