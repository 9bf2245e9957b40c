"""The pool on Ray: workers on every node with room, launches to free slots, events back, losses noticed.

One background thread (`_pump`) waits on one long poll per worker and once a second compares the cluster with what is
wanted. The controller's calls only take the lock for a moment.
"""

import contextlib
import math
import pickle
import queue
import shutil
import socket
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from orchestrator.errors import ClusterError
from orchestrator.execution.cluster_turns import ClusterTurns
from orchestrator.execution.node_faults import NodeFaults
from orchestrator.execution.placement import Bundle, Node, bundle_of
from orchestrator.execution.protocol import Capacity, CapacityChanged, Placed, PoolEvent
from orchestrator.execution.ray import workers
from orchestrator.execution.ray.claims import Claims
from orchestrator.execution.ray.cluster import Cluster
from orchestrator.execution.ray.comparing import CodeComparison
from orchestrator.execution.ray.shipping import Shipping
from orchestrator.execution.ray.starting import Starter, forget_proofs
from orchestrator.execution.ray.telling import Telling
from orchestrator.execution.ray.worker import Batch, WorkerInfo
from orchestrator.execution.reconciler import (
    Action,
    Discard,
    Drain,
    MarkLost,
    Start,
    View,
    never_ready,
    problem,
    reconcile,
)
from orchestrator.execution.registry import Growth, LateEnds, WorkerHandle, WorkerRegistry, WorkerState, lost
from orchestrator.execution.shares import Claim
from orchestrator.execution.shipping.baggage import Baggage
from orchestrator.interpreters.probe import Interpreter
from orchestrator.layout import ARRIVING
from orchestrator.project.same import Expected
from orchestrator.spec.model import Resources
from orchestrator.trial.contract.events import Cause, Ended
from orchestrator.trial.contract.launch import Launch

REFRESH_S = 1.0
"""How often the cluster is looked at."""

EAGER_REFRESH_S = 0.2
"""The same while no trial can run at all."""

POLL_S = 5.0
"""How long a worker may hold a poll without news; a quarter of its lease if that is less."""

BEHIND = 2000
"""Events in the queue from which on workers hold theirs back: the controller is busy, the trials' files keep them."""

PLACED_S = 5.0
"""How often Ray is asked where it has found room for the workers that were requested: a millisecond for each."""

AVOID_S = 30.0
"""How long a node on which workers do not work is left alone."""

FOLLOWS_S = 3.0
"""How long after its raylet a worker and its trials may live: they end with it, measured within a second."""

PARTS = 4
"""Workers per node of a cluster for trials without a GPU: what other sweeps get of it, they get by the worker."""

RUNNER = "orchestrator.trial.runner.runner:Runner"
"""What runs the attempts on a node; imported there."""


def forget_dead_pools(runs_dir: Path) -> None:
    """Remove what killed pools left; called with the sweep's lock held, when no pool of it can live."""
    forget_proofs(runs_dir)
    shutil.rmtree(runs_dir / ARRIVING, ignore_errors=True)


class RayPool:
    """`Pool` on a Ray cluster.

    Args:
        cluster: Where to run; closed by the caller, after the pool.
        resources: What one trial takes.
        limit: The most trials at once; None for as many as fit.
        runs_dir: The sweep's directory. Nodes that do not see it keep their trials themselves, and send them.
        cwd: Directory that trials are launched from; None for the current one.
        lease_s: Seconds a worker goes on without hearing from here; a node's attempts count as lost only after that.
        runner: ``module:class`` of what runs attempts on a node.
        pythons: What trials run in.
        baggage: What nodes need that do not see the sweep's directory.
        code: Returns the project as every node must have it; None where that does not matter.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        resources: Resources,
        runs_dir: str | Path,
        limit: int | None = None,
        cwd: str | None = None,
        lease_s: float = 30.0,
        runner: str = RUNNER,
        pythons: Sequence[Interpreter] = (),
        baggage: Baggage | None = None,
        code: Callable[[], Expected | None] | None = None,
    ) -> None:
        self._cluster = cluster
        self._resources = resources
        self._bundle = Bundle()
        self._lease_s = lease_s
        self._poll_s = min(POLL_S, lease_s / 4)
        self._shipping = Shipping(Path(runs_dir).resolve())
        self._comparison = CodeComparison(code or (lambda: None), cluster.node_id)
        self._starter = Starter(
            cluster,
            runs_dir=Path(runs_dir).resolve(),
            cwd=cwd or str(Path.cwd()),
            lease_s=lease_s,
            runner=runner,
            pythons=pythons,
            baggage=baggage,
            comparison=self._comparison,
        )
        self._faults = NodeFaults()
        self._claims = None if cluster.is_local else Claims(Path(runs_dir).resolve().name)
        self._turns = ClusterTurns(Path(runs_dir).resolve().name, socket.gethostname())
        self._lock = threading.Lock()
        self._registry = WorkerRegistry(limit or math.inf)
        self._telling = Telling(
            self._registry, self._shipping, poll_s=self._poll_s, is_behind=lambda: self._events.qsize() > BEHIND
        )
        self._growth = Growth()
        self._events: queue.SimpleQueue[PoolEvent | ClusterError] = queue.SimpleQueue()
        self._late = LateEnds()
        self._nodes: Sequence[Node] = ()
        self._announced = Capacity(slots=0, free=0)
        self._refreshed_s = -math.inf
        self._placed_s = -math.inf
        self._closing = threading.Event()
        self._failed: ClusterError | None = None
        self._thread = threading.Thread(target=self._pump, name="pool", daemon=True)
        self._thread.start()

    def capacity(self) -> Capacity:
        """What can run now. Never blocks."""
        with self._lock:
            return self._capacity()

    def limit(self, most: int | None) -> None:
        """Have room for `most` attempts at once from now on, None for as many as fit."""
        with self._lock:
            self._registry.limit = most or math.inf
            self._refreshed_s = -math.inf

    def launch(self, launch: Launch, *, avoid: Collection[str] = ()) -> None:
        """Hand an attempt to a free slot; without one it waits for the next."""
        with self._lock:
            self._registry.add(launch, avoid)
            self._assign()

    def want(self, n_trials: float) -> None:
        """Say how many trials could run at once if there were room."""
        self._registry.wanted = n_trials

    def leave_out(self, node: str, reason: str) -> None:
        """Give a node no more trials."""
        with self._lock:
            self._faults.leave_out(node, reason)
            self._refreshed_s = -math.inf

    def stop(self, trial: int, attempt: int, *, kill: bool = False) -> None:
        """Ask an attempt to end, or kill it now."""
        with self._lock:
            waiting = self._registry.withdraw((trial, attempt))
            if waiting is not None:
                self._events.put(lost(waiting, Cause.STOPPED, time.time(), "stopped before it started"))
            found = self._registry.find((trial, attempt))
            if found is not None:
                worker, running = found
                self._telling.stop(worker, running, time.monotonic(), kill=kill or bool(running.kill))

    def allow(self, trial: int, attempt: int, timeout_s: float | None) -> None:
        """Let an attempt take so many seconds from its beginning on."""
        with self._lock:
            worker = self._registry.allow((trial, attempt), timeout_s)
            if worker is not None:
                worker.actor.allow.remote(trial, attempt, timeout_s)

    def poll(self, timeout_s: float) -> list[PoolEvent]:
        """Return events in order, as soon as there is one.

        Raises:
            ClusterError: The cluster is gone; raised once every event from before has been returned.
        """
        events: list[PoolEvent] = []
        with contextlib.suppress(queue.Empty):
            while True:
                event = self._events.get(timeout=0 if events or self._failed else timeout_s)
                if isinstance(event, ClusterError):
                    self._failed = event
                else:
                    events.append(event)
        if self._failed and not events:
            raise self._failed
        return events

    def close(self) -> None:
        """Kill what still runs and give every resource back. Idempotent."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._thread.join(timeout=REFRESH_S + POLL_S)
        if self._claims is not None:
            self._claims.leave()
        with self._lock:
            apart = [w.actor for w in self._registry.workers if w.ready and self._shipping.ships(w)]
            workers.begin_to_end(apart)
            self._shipping.drain()
            self._shipping.close()
            workers.begin_to_end(apart, method="leave")
            workers.end([worker.actor for worker in self._registry.workers if worker.ready])
            workers.end([worker.actor for worker in self._registry.workers if not worker.ready], wait_s=0)
            self._registry.workers.clear()
        self._starter.close()

    def _pump(self) -> None:
        try:
            while not self._closing.is_set():
                is_due = time.monotonic() - self._refreshed_s > (
                    REFRESH_S if self._announced.slots else EAGER_REFRESH_S
                )
                if is_due:
                    self._refresh()
                self._collect(requests=is_due)
                self._announce_late()
        except ClusterError as error:
            self._events.put(error)
        except Exception as error:  # noqa: BLE001  whatever Ray raises, the controller must hear of it
            if not self._closing.is_set():
                self._events.put(ClusterError(f"Ray failed: {type(error).__name__}: {error}"))

    def _refresh(self) -> None:
        """Compare what is there with what is wanted, and act on the difference."""
        self._refreshed_s = now_s = time.monotonic()
        nodes = self._cluster.nodes()
        others = {} if self._claims is None else self._claims.others(now_s)
        heard_s = {} if self._claims is None else {name: self._claims.heard_s(name) for name in others}
        found = self._found(now_s)
        with self._lock:
            self._nodes = nodes
            for worker, node_id in found.items():
                self._place(worker, node_id, now_s)
            if not self._bundle.needs:
                self._bundle = bundle_of(self._resources, nodes, parts=1 if self._cluster.is_local else PARTS)
            self._growth.see(node.node_id for node in nodes)
            self._faults.see({node.node_id for node in nodes}, now_s)
            self._comparison.look([worker for worker in self._registry.workers if worker.ready])
            self._turns.see(others, heard_s)
            self._claim(now_s)
            self._turns.settle(self._registry, now_s)
            actions = reconcile(self._registry, self._view(now_s))
            if any(_is_request(action) for action in actions) and not self._growth.may_ask(now_s):
                actions = [action for action in actions if not _is_request(action)]
            for action in actions:
                self._act(action, now_s)
            for worker, reason in self._shipping.refused().items():
                self._mark_lost(worker, workers.Death(reason=reason))
            self._telling.repeat(now_s)
            self._announce()
            claim = self._claim(now_s)
        if self._claims is not None:
            self._claims.write(claim)

    def _found(self, now_s: float) -> dict[WorkerHandle, str]:
        """Where Ray has given requested workers a process since it was last asked: they have to answer from then on."""
        if now_s - self._placed_s < PLACED_S:
            return {}
        self._placed_s = now_s
        with self._lock:
            requested = [worker for worker in self._registry.workers if worker.state is WorkerState.REQUESTED]
        places = self._cluster.places([worker.actor for worker in requested])
        return {worker: place for worker, place in zip(requested, places, strict=True) if place is not None}

    def _place(self, worker: WorkerHandle, node_id: str, now_s: float) -> None:
        node = next((node for node in self._nodes if node.node_id == node_id), None)
        if node is not None and worker.state is WorkerState.REQUESTED:
            worker.place(node, now_s)

    def _claim(self, now_s: float) -> Claim:
        """Take in, for the turns, what this sweep has and wants."""
        unusable = self._faults.unfit
        usable = [node for node in self._nodes if node.node_id not in unusable and not node.draining]
        return self._turns.claim(self._registry, self._bundle, usable, now_s)

    def _view(self, now_s: float) -> View:
        return View(
            nodes=self._nodes,
            bundle=self._bundle,
            avoided=self._faults.avoided,
            left_out=self._faults.left_out,
            silence_s=self._lease_s + self._poll_s,
            can_grow=not self._cluster.is_local and self._turns.may_queue,
            now_s=now_s,
        )

    def _act(self, action: Action, now_s: float) -> None:
        match action:
            case Start():
                self._registry.workers.append(self._starter.start(action, self._bundle, now_s))
            case Discard(worker=worker) if worker.yields and not self._shipping.has_all_of(worker):
                worker.drain(True)
            case Discard():
                self._discard(action.worker, action.reason)
            case MarkLost():
                death = workers.Death(reason=action.reason, unreachable=action.unreachable, node_died=action.dead)
                self._mark_lost(action.worker, death)
            case Drain():
                action.worker.drain(action.draining)
                if action.left_s is not None:
                    for attempt in action.worker.running.values():
                        if attempt.kill is None:
                            self._telling.stop(action.worker, attempt, now_s, kill=False, left_s=action.left_s)

    def _collect(self, *, requests: bool) -> None:
        """Wait for answers, at most a moment, and take them in; with `requests` also of workers that have no room yet."""
        with self._lock:
            waited_for = [w for w in self._registry.workers if w.call is not None and (requests or w.node is not None)]
            calls = {worker.call: worker for worker in waited_for}
        for call in workers.answered(list(calls), timeout_s=0.1):
            answer = workers.answer(call)
            with self._lock:
                self._take(calls[call], answer)
                self._assign()
                self._announce()

    def _take(self, worker: WorkerHandle, answer: workers.Answer) -> None:
        """Take in what a worker answered, or that it did not."""
        if worker not in self._registry.workers:
            return
        match answer:
            case workers.Silence() if not worker.ready:
                self._discard(worker, answer.reason)
            case workers.Silence():
                worker.missed()
            case workers.Death():
                self._mark_lost(worker, answer)
            case dict():
                self._welcome(worker, WorkerInfo(**answer))
            case bytes():
                worker.heard_s = time.monotonic()
                worker.answered(worker.heard_s)
                batch: Batch = pickle.loads(answer)  # noqa: S301  from our own worker
                news = self._registry.take(worker, batch.number, batch.events)
                for event in news:
                    self._events.put(event)
                self._telling.listen(worker)
                if self._turns.are_shared and any(isinstance(event, Ended) for event in news):
                    self._yield(worker, worker.heard_s)

    def _yield(self, worker: WorkerHandle, now_s: float) -> None:
        """Give up a worker on which a trial has ended, if the turn of another sweep has come; soon, if it runs more."""
        self._turns.settle(self._registry, now_s, ended=worker)
        if worker.yields:
            worker.drain(True)
            self._refreshed_s = -math.inf

    def _welcome(self, worker: WorkerHandle, info: WorkerInfo) -> None:
        worker.node = worker.node or next((n for n in self._nodes if n.node_id == info.node_id), None)
        mismatch = info.mismatch()
        if mismatch is not None or worker.node is None or worker.node_id in self._faults.left_out:
            self._discard(worker, f"node {info.host} {mismatch or 'left'}")
            return
        self._faults.acquit(worker.node_id)
        if info.differs is not None:
            self._faults.remark(f"node {info.host} {info.differs}")
        if not info.sees_runs:
            self._shipping.join(worker)
        worker.answered(time.monotonic())
        self._growth.begin_anew()
        self._telling.listen(worker)

    def _assign(self) -> None:
        for worker, attempt in self._registry.assign(time.monotonic()):
            trial, number = attempt.key
            self._events.put(Placed(trial=trial, attempt=number, node=worker.node_id, host=worker.host))
            self._telling.launch(worker, attempt)

    def _discard(self, worker: WorkerHandle, reason: str | None = None) -> None:
        """Give up a worker that runs nothing, and for a while its node if there is a reason to."""
        self._registry.remove(worker)
        self._shipping.leave(worker)
        workers.end([worker.actor], wait_s=0)
        if worker.node is not None and reason is not None:
            self._faults.avoid(worker.node_id, reason, until_s=time.monotonic() + AVOID_S)

    def _mark_lost(self, worker: WorkerHandle, death: workers.Death) -> None:
        """End what a dead worker ran: now if it is known to be dead, else when its lease has ended it."""
        if not worker.ready:
            self._discard(worker, never_ready(worker, death.reason))
            return
        self._growth.begin_anew()
        self._shipping.leave(worker)
        cause = _cause(worker, death)
        due_s = 0.0 if cause is Cause.WORKER_LOST else worker.called_s + self._lease_s * 1.1
        if death.node_died:
            due_s = min(due_s, time.monotonic() + FOLLOWS_S)
        where = "" if self._cluster.is_local or worker.host in death.reason else f"node {worker.host}: "
        for attempt in self._registry.remove(worker):
            self._late.add(lost(attempt, cause, time.time(), where + death.reason), due_s)
        workers.end([worker.actor], wait_s=0)
        self._refreshed_s = min(self._refreshed_s, time.monotonic() - REFRESH_S / 2)

    def _announce_late(self) -> None:
        """Announce the ends of lost attempts whose time has come."""
        with self._lock:
            for ended in self._late.due(time.monotonic(), time.time()):
                self._events.put(ended)

    def _capacity(self) -> Capacity:
        unfit = self._faults.unfit
        fit = [node for node in self._nodes if node.node_id not in unfit]
        taking = {**self._turns.taken(self._announced.nodes, fit), **self._registry.nodes}
        now_s = time.monotonic()
        wrong = problem(self._registry, self._view(now_s))
        return Capacity(
            slots=self._registry.slots,
            free=self._registry.free,
            problem=None if wrong is None else self._turns.waiting(wrong, now_s),
            hopeless=bool(self._nodes) and not taking and not self._bundle.fits_any(fit),
            final=self._cluster.is_local and not self._bundle.fits_any(self._nodes),
            warnings=tuple(sorted(self._faults.warnings)),
            remarks=tuple(sorted({*self._faults.remarks, *self._shipping.problems(), *self._turns.remarks(now_s)})),
            nodes=taking,
            starting=any(w.node and not w.ready and w.node_id not in taking for w in self._registry.workers),
        )

    def _announce(self) -> None:
        """Tell the controller when slots were gained or lost, or when there is something to say."""
        now = self._capacity()
        before, self._announced = self._announced, now
        said, said_before = ((each.slots, each.problem, each.warnings, each.remarks) for each in (now, before))
        if said != said_before:
            self._events.put(CapacityChanged(capacity=now))


def _is_request(action: Action) -> bool:
    return isinstance(action, Start) and action.node is None


def _cause(worker: WorkerHandle, death: workers.Death) -> Cause:
    if death.preempted or (worker.is_draining and not worker.yields):
        return Cause.PREEMPTED
    node_id = worker.node.node_id if worker.node else ""
    if workers.was_taken_away(node_id):
        return Cause.PREEMPTED
    return (
        Cause.NODE_LOST if death.unreachable or death.node_died or not workers.is_alive(node_id) else Cause.WORKER_LOST
    )
