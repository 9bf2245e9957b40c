"""The pool on Ray: workers on every node with room, launches to free slots, events back, losses noticed.

One background thread (`_pump`) waits on one long poll per worker and once a second compares the cluster with what is
wanted. The controller's calls only take the lock for a moment.
"""

import contextlib
import math
import pickle
import queue
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from orchestrator.errors import ClusterError
from orchestrator.execution.placement import Bundle, Node, bundle_of, explain, plan
from orchestrator.execution.protocol import Capacity, CapacityChanged, PoolEvent
from orchestrator.execution.ray import workers as actors
from orchestrator.execution.ray.cluster import Cluster
from orchestrator.execution.ray.worker import Batch, Greeting, Orders, exported
from orchestrator.execution.registry import Attempt, Fleet, Growth, Member, lost
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

LINGER_S = 0.001
"""How long each worker collects reports before it answers, per worker in the pool: at most 1000 answers per second."""

MAX_LINGER_S = 0.05
"""The most of that: a report is here within a tenth of a second."""

START_S = 120.0
"""How long a worker may take to greet: a slow shared disk, or resources that somebody else was given first."""

SLOW_START_S = 15.0
"""After how long without any worker the user is told what is waited for."""

SHUN_S = 30.0
"""How long a node on which workers do not work is left alone."""

REPEAT_S = 5.0
"""After how long a launch or a stop that shows no effect is sent again."""


PROOF = ".pool-"
"""How the files begin by which workers show that they see the runs directory."""

RUNNER = "orchestrator.trial.runner.runner:Runner"
"""What runs the attempts on a node; imported there."""


def forget_dead_pools(runs_dir: Path) -> None:
    """Remove what pools left that were killed; called by whoever holds the sweep, when no pool of it can live."""
    for proof in runs_dir.glob(f"{PROOF}*"):
        with contextlib.suppress(OSError):
            proof.unlink()


class RayPool:
    """`Pool` on a Ray cluster.

    Args:
        cluster: Where to run; closed by the caller, after the pool.
        resources: What one trial takes.
        limit: The most trials at once; None for as many as fit.
        runs_dir: Directory that every node must share.
        cwd: Directory that trials are launched from; None for the current one.
        lease_s: Seconds a worker goes on without hearing from here; a node's attempts count as lost only after that.
        runner: ``module:class`` of what runs attempts on a node.
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
    ) -> None:
        self._cluster = cluster
        self._resources = resources
        self._bundle = Bundle()
        self._lease_s = lease_s
        self._poll_s = min(POLL_S, lease_s / 4)
        self._runner = runner
        self._cwd = cwd or str(Path.cwd())
        self._proof = secrets.token_hex(16)
        self._proof_path = Path(runs_dir).resolve() / f"{PROOF}{self._proof[:8]}"
        self._proof_path.write_text(self._proof, encoding="utf-8")
        self._lock = threading.Lock()
        self._fleet = Fleet(limit or math.inf)
        self._growth = Growth()
        self._events: queue.SimpleQueue[PoolEvent | ClusterError] = queue.SimpleQueue()
        self._doomed: list[tuple[float, Ended]] = []
        self._shunned: dict[str, tuple[float, str]] = {}
        self._nodes: Sequence[Node] = ()
        self._announced = Capacity(slots=0, free=0)
        self._refreshed_s = -math.inf
        self._closing = threading.Event()
        self._failed: ClusterError | None = None
        self._thread = threading.Thread(target=self._pump, name="pool", daemon=True)
        self._thread.start()

    # ---- the protocol ------------------------------------------------------------------------------------------------

    def capacity(self) -> Capacity:
        """What can run now. Never blocks."""
        with self._lock:
            return self._capacity()

    def launch(self, launch: Launch) -> None:
        """Hand an attempt to a free slot; without one it waits for the next."""
        with self._lock:
            self._fleet.add(launch)
            self._assign()

    def stop(self, trial: int, attempt: int, *, kill: bool = False) -> None:
        """Ask an attempt to end, or kill it now."""
        with self._lock:
            waiting = self._fleet.withdraw((trial, attempt))
            if waiting is not None:
                self._events.put(lost(waiting, Cause.STOPPED, time.time(), "stopped before it started"))
            found = self._fleet.find((trial, attempt))
            if found is not None:
                member, running = found
                running.kill = kill or bool(running.kill)
                running.given_s = time.monotonic()
                member.actor.stop.remote(trial, attempt, kill)

    def poll(self, timeout_s: float) -> list[PoolEvent]:
        """Return events in order, as soon as there is one.

        Raises:
            ClusterError: The cluster is gone; raised once every event from before has been returned.
        """
        events: list[PoolEvent] = []
        with contextlib.suppress(queue.Empty):
            self._put_into(events, self._events.get(timeout=0 if self._failed else timeout_s))
            while True:
                self._put_into(events, self._events.get_nowait())
        if self._failed and not events:
            raise self._failed
        return events

    def close(self) -> None:
        """Kill what still runs and give every resource back. Idempotent."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._thread.join(timeout=REFRESH_S + POLL_S)
        with self._lock:
            actors.end([member.actor for member in self._fleet.members if member.ready])
            actors.end([member.actor for member in self._fleet.members if not member.ready], wait_s=0)
            self._fleet.members.clear()
        self._proof_path.unlink(missing_ok=True)

    def _put_into(self, events: list[PoolEvent], event: PoolEvent | ClusterError) -> None:
        if isinstance(event, ClusterError):
            self._failed = event
        else:
            events.append(event)

    # ---- the thread --------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        try:
            while not self._closing.is_set():
                if time.monotonic() - self._refreshed_s > (REFRESH_S if self._announced.slots else EAGER_REFRESH_S):
                    self._refresh()
                self._collect()
                self._bury()
        except ClusterError as error:
            self._events.put(error)
        except Exception as error:  # noqa: BLE001  whatever Ray raises, the controller must hear of it
            if not self._closing.is_set():
                self._events.put(ClusterError(f"Ray failed: {type(error).__name__}: {error}"))

    def _refresh(self) -> None:
        """Compare what is there with what is wanted, and act on the difference."""
        self._refreshed_s = now_s = time.monotonic()
        nodes = self._cluster.nodes()
        with self._lock:
            self._nodes = nodes
            self._bundle = self._bundle if self._bundle.needs else bundle_of(self._resources, nodes)
            self._growth.see(node.node_id for node in nodes)
            self._part(nodes, now_s)
            self._remind(now_s)
            self._hire(nodes, now_s)
            self._announce()

    def _collect(self) -> None:
        """Wait for answers, at most a moment, and take them in."""
        with self._lock:
            calls = {member.call: member for member in self._fleet.members if member.call is not None}
        for call in actors.answered(list(calls), timeout_s=0.1):
            answer = actors.answer(call)
            with self._lock:
                self._heard(calls[call], answer)
                self._assign()
                self._announce()

    def _heard(self, member: Member, answer: actors.Answer) -> None:
        if member not in self._fleet.members:
            return
        if isinstance(answer, actors.Silence):
            member.call = None
            if not member.ready:
                self._dismiss(member, answer.reason)
        elif isinstance(answer, actors.Death):
            self._lose(member, answer)
        elif isinstance(answer, dict):
            self._welcome(member, Greeting(**answer))
        else:
            member.heard_s = time.monotonic()
            self._take(member, pickle.loads(answer))  # noqa: S301  from our own worker
            self._listen(member)

    def _take(self, member: Member, batch: Batch) -> None:
        if batch.number > member.acknowledged:
            member.acknowledged = batch.number
            for event in self._fleet.take(member, batch.events):
                self._events.put(event)

    def _listen(self, member: Member) -> None:
        """Ask a worker for what comes next; the call is also what keeps its lease."""
        behind = self._events.qsize() > BEHIND
        member.called_s = time.monotonic()
        timeout_s = min(0.2, self._poll_s) if behind else self._poll_s
        linger_s = min(MAX_LINGER_S, LINGER_S * len(self._fleet.members))
        member.call = member.actor.poll.remote(member.acknowledged, timeout_s, linger_s, behind)

    # ---- members come ------------------------------------------------------------------------------------------------

    def _hire(self, nodes: Sequence[Node], now_s: float) -> None:
        """Start workers where there is room; leave one request open where a cluster might grow."""
        self._shunned = {node: (until, why) for node, (until, why) in self._shunned.items() if until > now_s}
        usable = [n for n in nodes if n.node_id not in self._shunned]
        unsettled = {m.node.node_id for m in self._fleet.members if m.node and now_s - m.ready_s < REFRESH_S}
        candidates = [n for n in usable if n.node_id not in unsettled]
        placements = plan(self._bundle, candidates, want=self._fleet.missing)
        for placement in placements:
            self._start(placement.node, placement.slots, now_s)
        if not self._cluster.is_local and not placements and self._wants_growth() and self._growth.may_ask(now_s):
            self._start(None, 1, now_s)

    def _wants_growth(self) -> bool:
        """Whether a request that cannot be met now should wait in Ray's queue, where its autoscaler sees it."""
        if any(member.node is None for member in self._fleet.members):
            return False
        return self._fleet.missing > 0 and (self._fleet.limit < math.inf or not self._fleet.members)

    def _start(self, node: Node | None, slots: int, now_s: float) -> None:
        actor = actors.start(self._bundle.times(slots), node_id=node.node_id if node else None)
        orders = Orders(
            cwd=self._cwd,
            environ=exported(self._cluster.environ),
            proof_path=str(self._proof_path),
            proof=self._proof,
            lease_s=self._lease_s,
            cpus=self._bundle.cpu_share(node) if node else self._bundle.needs.get("CPU"),
            uses_gpus=self._bundle.gpu > 0,
            runner=self._runner,
        )
        call = actor.hello.remote(asdict(orders))
        self._fleet.members.append(
            Member(actor=actor, slots=slots, node=node, since_s=now_s, call=call, called_s=now_s)
        )

    def _welcome(self, member: Member, greeting: Greeting) -> None:
        member.node = member.node or next((n for n in self._nodes if n.node_id == greeting.node_id), None)
        mismatch = greeting.mismatch(str(self._proof_path.parent))
        if mismatch is not None or member.node is None:
            self._dismiss(member, f"node {greeting.host} {mismatch or 'left'}")
            return
        member.ready_s = time.monotonic()
        self._growth.begin_anew()
        self._listen(member)

    def _assign(self) -> None:
        for member, attempt in self._fleet.assign(time.monotonic()):
            self._tell(member, attempt)

    def _tell(self, member: Member, attempt: Attempt) -> None:
        launch = replace(attempt.launch, config=dict(attempt.launch.config), env=dict(attempt.launch.env))
        member.actor.launch.remote(pickle.dumps(launch))

    def _remind(self, now_s: float) -> None:
        """Repeat what may have got lost on its way to a worker: a call fails with its connection, unheard."""
        for member, attempt in self._fleet.unheeded(now_s, REPEAT_S):
            attempt.given_s = now_s
            if not attempt.started:
                self._tell(member, attempt)
            if attempt.kill is not None:
                member.actor.stop.remote(*attempt.key, attempt.kill)
        for member in self._fleet.members:
            if member.ready and member.call is None:
                self._listen(member)

    # ---- members go --------------------------------------------------------------------------------------------------

    def _part(self, nodes: Sequence[Node], now_s: float) -> None:
        """Strike off members whose node is gone, that are silent, or that do not get going."""
        alive = {node.node_id: node for node in nodes}
        for member in list(self._fleet.members):
            node = member.node
            if node is not None and node.node_id not in alive:
                self._lose(member, actors.Death(reason=f"node {node.host} is gone"))
            elif node is not None and not member.ready and now_s - member.since_s > START_S:
                self._dismiss(member)
            elif member.ready and now_s - member.heard_s > self._lease_s + self._poll_s:
                self._lose(member, actors.Death(reason=f"node {member.host} does not answer", unreachable=True))
            elif node is not None:
                member.closed = alive[node.node_id].draining

    def _dismiss(self, member: Member, reason: str | None = None) -> None:
        """Give up a worker that never worked, and for a while its node if there is a reason to."""
        self._fleet.lose(member)
        actors.end([member.actor], wait_s=0)
        if member.node is not None and reason is not None:
            self._shunned[member.node.node_id] = (time.monotonic() + SHUN_S, reason)

    def _lose(self, member: Member, death: actors.Death) -> None:
        """End what a dead worker ran: now if it is known to be dead, else when its lease has ended it."""
        if not member.ready:
            self._dismiss(member, f"node {member.host or 'unknown'}: a worker does not start: {death.reason}")
            return
        self._growth.begin_anew()
        cause = self._cause(member, death)
        known_dead = cause is Cause.WORKER_LOST
        due_s = 0.0 if known_dead else member.called_s + self._lease_s * 1.1
        for attempt in self._fleet.lose(member):
            self._doomed.append((due_s, lost(attempt, cause, time.time(), death.reason)))
        actors.end([member.actor], wait_s=0)
        self._refreshed_s = min(self._refreshed_s, time.monotonic() - REFRESH_S / 2)

    def _cause(self, member: Member, death: actors.Death) -> Cause:
        if death.preempted or member.closed:
            return Cause.PREEMPTED
        node_id = member.node.node_id if member.node else ""
        return Cause.NODE_LOST if death.unreachable or not actors.is_alive(node_id) else Cause.WORKER_LOST

    def _bury(self) -> None:
        """Announce the ends whose time has come."""
        now_s = time.monotonic()
        with self._lock:
            for _, ended in [doomed for doomed in self._doomed if doomed[0] <= now_s]:
                self._events.put(replace(ended, time=time.time()))
            self._doomed = [doomed for doomed in self._doomed if doomed[0] > now_s]

    # ---- what is said about it ---------------------------------------------------------------------------------------

    def _capacity(self) -> Capacity:
        warnings = tuple(sorted({why for _, why in self._shunned.values()}))
        problem = self._problem()
        hopeless = problem is not None and self._cluster.is_local and not any(map(self._can_ever_run, self._nodes))
        return Capacity(
            slots=self._fleet.slots, free=self._fleet.free, problem=problem, hopeless=hopeless, warnings=warnings
        )

    def _can_ever_run(self, node: Node) -> bool:
        return self._bundle.fits(node.total) > 0

    def _announce(self) -> None:
        """Tell the controller when slots were gained or lost, or when there is something to say."""
        now = self._capacity()
        before, self._announced = self._announced, now
        if (now.slots, now.problem, now.warnings) != (before.slots, before.problem, before.warnings):
            self._events.put(CapacityChanged(capacity=now))

    def _problem(self) -> str | None:
        """Why no trial can run, once the cluster has been seen; None when one can, or a worker for it is starting."""
        placed = [member for member in self._fleet.members if member.node is not None and not member.closed]
        if not self._nodes or any(member.ready for member in placed):
            return None
        if placed:
            first = min(placed, key=lambda member: member.since_s)
            is_slow = time.monotonic() - first.since_s > SLOW_START_S
            return f"waiting for a worker to start on node {first.host}" if is_slow else None
        usable = [node for node in self._nodes if node.node_id not in self._shunned]
        if self._shunned and not any(self._bundle.fits(node.total) for node in usable):
            return "; ".join(sorted({why for _, why in self._shunned.values()}))
        return explain(self._bundle, usable)
