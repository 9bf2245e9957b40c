"""A sweep's turns on a cluster that it shares with others: which of its workers it keeps, and how many it may start. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.execution.placement import Bundle, Node
from orchestrator.execution.registry import WorkerHandle, WorkerRegistry
from orchestrator.execution.shares import Claim, divide, total_of

PASSED_S = 10.0
"""How long room is left to sweeps that do not take it: their trials may not be able to run there."""


TOLD_S = 2.0
"""How long after a sweep has started a worker the others' claims surely tell of what they had by then."""


TURN_S = 2.0
"""How much longer than another sweep one may have had a slot and keep it: a worker takes a while to start."""

TURN_STARTS = 3
"""The same in starts of a worker, where those are slow: else a busy node would start workers and do nothing else."""

LONGEST_TURN_S = 10.0
"""The most of that."""


OWED_S = 30.0
"""How much more of a slot's time than another a sweep may have had and have to wait for it: what is beyond is forgiven."""

OWED_TRIALS = 3
"""The same in trials of its own, where those are long."""


SAID_S = 5.0
"""How long a sweep waits for its turn before that is said."""


class ClusterTurns:
    """What is known of the sweeps of a cluster, and what follows for the workers of one of them.

    Args:
        name: Of that one.
        host: Where its controller runs.
    """

    def __init__(self, name: str, host: str) -> None:
        self._name = name
        self._mine = Claim(needs={}, held=0, wanted=0, host=host)
        self._others: Mapping[str, Claim] = {}
        self._heard_s: Mapping[str, float] = {}
        self._nodes: Sequence[Node] = ()
        self._bundle = Bundle()
        self._total: Mapping[str, float] = {}
        self._seen_s = math.inf
        self._longest_s = 0.0
        self._starts_s = 0.0
        self._waits_since_s = math.inf
        self._offered: tuple[tuple[int, ...], float] = ((), math.inf)

    def see(self, others: Mapping[str, Claim], heard_s: Mapping[str, float]) -> None:
        """Take in what the other sweeps have and want, and when each said so in monotonic seconds, by their names."""
        self._others, self._heard_s = others, heard_s

    def claim(self, registry: WorkerRegistry, bundle: Bundle, nodes: Sequence[Node], now_s: float) -> Claim:
        """Take in what this sweep has and wants, and return it.

        Args:
            registry: Its workers.
            bundle: What one trial takes.
            nodes: Those that could run one.
            now_s: Monotonic seconds.
        """
        self._bundle, self._nodes = bundle, [node for node in nodes if not node.dead]
        self._total = total_of([node.total for node in self._nodes])
        placed = [worker for worker in registry.workers if worker.node is not None]
        held = sum(worker.slots for worker in placed if _is_kept(worker))
        had_s = self._had_s(registry, now_s)
        self._seen_s = now_s
        fits = sum(bundle.fits(node.total) for node in self._nodes)
        self._mine = replace(
            self._mine,
            needs=bundle.needs,
            held=held,
            leaving=sum(worker.slots for worker in placed) - held,
            wanted=int(min(registry.limit, registry.wanted, fits)),
            had_s=had_s,
            working=_working(placed),
        )
        waits = held == 0 and self._mine.is_short
        self._waits_since_s = min(self._waits_since_s, now_s) if waits else math.inf
        return self._mine

    def _had_s(self, registry: WorkerRegistry, now_s: float) -> float:
        """What this sweep has had by now, of slots whose workers have answered; of what it owes the others, a part."""
        slot = self._mine.share(self._total, more=1 - self._mine.held)
        had_s = self._mine.had_s + slot * sum(self._mine.working.values()) * max(0.0, now_s - self._seen_s)
        least_s = min((claim.had_s for claim in self._others.values()), default=had_s)
        if self._seen_s == math.inf or not self._mine.is_short:  # who stays away saves nothing up
            return max(had_s, least_s)
        running = [each for worker in registry.workers for each in worker.running.values() if each.started]
        self._longest_s = max([self._longest_s, *(now_s - each.given_s for each in running)])
        return min(had_s, least_s + slot * max(OWED_S, OWED_TRIALS * self._longest_s))

    def settle(self, registry: WorkerRegistry, now_s: float, *, ended: WorkerHandle | None = None) -> None:
        """Decide which workers take no more trials, and how many slots may be started.

        Args:
            registry: Whose workers are marked.
            now_s: Monotonic seconds.
            ended: The worker on which a trial has just ended: if another sweep's turn has come, it goes.
        """
        for worker in registry.workers:
            worker.yields = worker.yields or self._is_outrun(worker, registry)
        mine = [w for w in registry.workers if w.node is not None and (w.is_open or (w.yields and w.ready))]
        if not any(claim.is_short for claim in self._others.values()):
            registry.may_start = math.inf
            for worker in mine:
                worker.yields = worker.yields and not worker.running
            return
        asked = [worker for worker in mine if worker.yields or worker is ended or not worker.running]
        n = self._allowed(registry, asked)
        for worker in sorted(asked, key=lambda each: -len(each.running)):
            worker.yields = n < worker.slots or (worker.yields and not worker.running)
            n -= 0 if worker.yields else worker.slots
        registry.may_start = max(n, self._passed_on(now_s) if n <= 0 else 0)

    def _allowed(self, registry: WorkerRegistry, asked: Sequence[WorkerHandle]) -> int:
        """How many slots this sweep may have if it gave these workers back."""
        free = {node.node_id: dict(node.free) for node in self._nodes}
        for worker in asked:
            room = free.setdefault(worker.node_id, {})
            for name, amount in self._bundle.times(worker.slots).items():
                room[name] = room.get(name, 0.0) + amount
        coming = [Bundle(needs=claim.needs).times(claim.leaving) for claim in self._others.values()]
        held = sum(
            worker.slots for worker in registry.workers if worker.node and _is_kept(worker) and worker not in asked
        )
        took_s = [worker.ready_s - worker.since_s for worker in registry.workers if worker.ready]
        self._starts_s = min(took_s, default=self._starts_s)  # the quickest: others may have waited for their room
        turn_s = min(max(TURN_S, TURN_STARTS * self._starts_s), LONGEST_TURN_S)
        kept_s = turn_s * self._mine.share(self._total, more=1 - self._mine.held)
        claims = {**self._others, self._name: replace(self._mine, held=held, had_s=self._mine.had_s - kept_s)}
        return divide([*free.values(), *coming], claims, self._total)[self._name]

    def _is_outrun(self, worker: WorkerHandle, registry: WorkerRegistry) -> bool:
        """Whether a worker that starts waits for room which another sweep was given in the same moment.

        Ray starts it as soon as that is free, whoever's turn that is; until then it would count as one that this sweep has.
        """
        if worker.ready or not self._bundle.needs:
            return False
        node = next((node for node in self._nodes if node.node_id == worker.node_id), None)
        if node is None:
            return False
        told = [claim for name, claim in self._others.items() if self._heard_s[name] >= worker.since_s + TOLD_S]
        here = _working([each for each in registry.workers if each.node_id == node.node_id])
        left = dict(node.total)
        for needs, working in [(self._bundle.needs, here), *((claim.needs, claim.working) for claim in told)]:
            for name, amount in Bundle(needs=needs).times(working.get(node.node_id, 0)).items():
                left[name] = left.get(name, 0.0) - amount
        return bool(told) and self._bundle.fits(left) < worker.slots

    def _passed_on(self, now_s: float) -> int:
        """A slot, where others have left room for too long."""
        have = tuple(claim.held for claim in self._others.values())
        before, since_s = self._offered
        is_room = any(self._bundle.fits(node.free) > 0 for node in self._nodes)
        if not is_room or have != before or now_s - since_s >= PASSED_S:
            self._offered = (have, now_s)
        return int(is_room and have == before and now_s - since_s >= PASSED_S)

    @property
    def may_queue(self) -> bool:
        """Whether this sweep may wait where Ray finds room: nobody who has less waits as well."""
        share = self._mine.share(self._total)
        return not any(claim.is_short and claim.share(self._total) < share for claim in self._others.values())

    def taken(self, nodes: Mapping[str, str], fit: Sequence[Node]) -> dict[str, str]:
        """Return those of this sweep's `nodes`, hosts by id, that still are fit and whose slots others have until its turn."""
        if not self._others:
            return {}
        there = {node.node_id for node in fit if not node.dead}
        return {node_id: host for node_id, host in nodes.items() if node_id in there}

    @property
    def are_shared(self) -> bool:
        """Whether there are other sweeps."""
        return bool(self._others)

    def waiting(self, otherwise: str, now_s: float) -> str | None:
        """Return what a sweep without a slot waits for, where that is its turn, else what is said `otherwise`."""
        if not any(claim.held + claim.leaving for claim in self._others.values()):
            return otherwise
        return self._waits_for if now_s - self._waits_since_s >= SAID_S else None

    def remarks(self, now_s: float) -> Sequence[str]:
        """Return what is said of the others, each once: so is a turn, for which sweeps may wait every few seconds."""
        shares = [
            f"sweep {name} shares this cluster: slots go from one to the other as trials end" for name in self._others
        ]
        waits = self.waiting("", now_s)
        return [*shares, waits] if waits else shares

    @property
    def _waits_for(self) -> str:
        who = f"sweep {next(iter(self._others))} has" if len(self._others) == 1 else "other sweeps have"
        return f"waiting for its turn: {who} the cluster's slots; `sweep nodes` lists who has what"


def _is_kept(worker: WorkerHandle) -> bool:
    return not worker.yields and not worker.is_draining


def _working(workers: Sequence[WorkerHandle]) -> dict[str, int]:
    """Slots of the workers that have answered, by their node's id."""
    ready = [worker for worker in workers if worker.ready and worker.node is not None]
    return {node_id: sum(w.slots for w in ready if w.node_id == node_id) for node_id in {w.node_id for w in ready}}
