"""Where workers go: what a trial takes, how many fit where, and why none does. Pure: no Ray, no clock.

A worker holds the resources of its slots for as long as it lives. Trials without a GPU share one worker per node, or a
few where other sweeps may want some of it; trials that take part of a GPU share one worker per GPU, all others have
their own.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.spec.model import Resources

EPSILON = 1e-6
"""Ray counts in units of 1e-4; this is noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of the cluster. `total` and `free` are Ray's resources by name: CPU, GPU, memory (bytes), custom ones.

    Attributes:
        draining: Whether it is about to leave.
        left_s: Seconds until it does, where that is known.
        dead: Whether its raylet is surely gone: Ray itself waits for most of a minute before it says so.
    """

    node_id: str
    host: str
    total: Mapping[str, float]
    free: Mapping[str, float]
    draining: bool = False
    left_s: float | None = None
    dead: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What one trial takes, as Ray's resources by name; only amounts above 0.

    Attributes:
        parts: The workers that a node is divided among where trials need no GPU.
    """

    needs: Mapping[str, float] = field(default_factory=dict)
    parts: int = 1

    @property
    def gpu(self) -> float:
        """GPUs per trial."""
        return self.needs.get("GPU", 0.0)

    @property
    def slots_per_worker(self) -> float:
        """The most trials that share a worker."""
        if self.gpu == 0:
            return math.inf
        return max(1, math.floor(1 / self.gpu + EPSILON))

    def times(self, slots: int) -> dict[str, float]:
        """Return what a worker with this many slots holds."""
        return {name: round(amount * slots, 4) for name, amount in self.needs.items()}

    def fits(self, available: Mapping[str, float]) -> int:
        """Return how many trials fit into what is available."""
        if not self.needs:
            return max(1, math.floor(available.get("CPU", 1)))
        return min(self._fits_in(name, available.get(name, 0.0)) for name in self.needs)

    def _fits_in(self, name: str, amount: float) -> int:
        need = self.needs[name]
        if name != "GPU" or need >= 1:
            return math.floor(amount / need + EPSILON)
        whole, part = divmod(amount + EPSILON, 1)  # a trial never takes parts of two GPUs
        return int(whole) * int(self.slots_per_worker) + math.floor(part / need + EPSILON)

    def fits_any(self, nodes: Iterable[Node]) -> bool:
        """Return whether a node could run a trial if nothing else ran there."""
        return any(self.fits(node.total) > 0 for node in nodes)

    def cpu_share(self, node: Node) -> float | None:
        """Return the CPUs a trial may use on a node: those it asked for, else its GPUs' share of the node's."""
        if "CPU" in self.needs:
            return self.needs["CPU"]
        gpus = node.total.get("GPU", 0.0)
        return max(1.0, math.floor(node.total.get("CPU", 1.0) * self.gpu / gpus)) if self.gpu and gpus else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A worker to start."""

    node: Node
    slots: int


def bundle_of(resources: Resources, nodes: Iterable[Node], *, parts: int = 1) -> Bundle:
    """Return what one trial takes: by default 1 GPU where the cluster has GPUs, else 1 CPU."""
    has_gpus = any(node.total.get("GPU", 0) >= 1 for node in nodes)
    gpu = resources.gpu if resources.gpu is not None else float(has_gpus)
    cpu = resources.cpu if resources.cpu is not None else float(gpu == 0)
    wanted = {"CPU": cpu, "GPU": gpu, "memory": float(resources.memory_bytes or 0), **resources.custom}
    return Bundle(needs={name: float(amount) for name, amount in wanted.items() if amount > 0}, parts=parts)


def plan(bundle: Bundle, nodes: Sequence[Node], *, want: float) -> list[Placement]:
    """Return the workers to start now, spread over the nodes with room.

    Args:
        bundle: What one trial takes.
        nodes: Candidates; draining ones are skipped.
        want: Slots that are still missing; ``math.inf`` for as many as fit.
    """
    room = {n.node_id: bundle.fits(n.free) for n in nodes if not n.draining}
    usable = sorted((n for n in nodes if room.get(n.node_id, 0) > 0), key=lambda n: room[n.node_id])
    placements: list[Placement] = []
    for left, node in zip(range(len(usable), 0, -1), usable, strict=True):
        share = min(room[node.node_id], math.ceil(want / left) if want < math.inf else math.inf)
        want -= share
        placements += [Placement(node=node, slots=slots) for slots in _workers(bundle, node, int(share))]
    return placements


def _workers(bundle: Bundle, node: Node, slots: int) -> list[int]:
    """Split slots on one node into workers."""
    each = bundle.slots_per_worker
    if each == math.inf and bundle.parts > 1:
        each = math.ceil(bundle.fits(node.total) / bundle.parts)
    if each > 1 and bundle.gpu and not _whole(node.free.get("GPU", 0.0)):
        each = 1  # others have parts of these GPUs: whole ones may not be left
    full, rest = (0, slots) if each == math.inf else divmod(slots, int(each))
    return [int(each)] * full + ([rest] if rest else []) if each < math.inf else [slots] * bool(slots)


def _whole(amount: float) -> bool:
    return abs(amount - round(amount)) < EPSILON


def explain(bundle: Bundle, nodes: Sequence[Node]) -> str:
    """Return one sentence for the user: why no trial can be placed on these nodes now."""
    wants = f"a trial wants {describe(bundle.needs)}"
    staying = [node for node in nodes if not node.draining]
    if not staying:
        return f"{wants}, but the cluster has no node" + (" that stays" if nodes else "")
    if bundle.fits_any(staying):
        return f"{wants}: waiting for resources that others hold now"
    largest = {name: max(node.total.get(name, 0.0) for node in staying) for name in bundle.needs}
    scarce = {name: amount for name, amount in largest.items() if amount < bundle.needs[name] - EPSILON}
    if not scarce:
        return f"{wants}, but no node has all of that"
    has = "; ".join(f"the largest node has {describe({name: amount})}" for name, amount in scarce.items())
    return f"{wants}, but {has}"


def describe(needs: Mapping[str, float]) -> str:
    """Return resources in words, e.g. ``2 GPUs and 4 CPUs``."""
    order = sorted(needs, key=lambda name: (name != "GPU", name != "CPU", name))
    return " and ".join(_amount(name, needs[name]) for name in order) or "nothing"


def _amount(name: str, amount: float) -> str:
    if name == "memory":
        return f"{amount / 2**30:.3g} GiB of memory"
    plural = "s" if name in {"CPU", "GPU"} and amount != 1 else ""
    return f"{amount:g} {name}{plural}"
