"""How sweeps divide a cluster that they share: slots change hands as trials end, none is taken from a trial. Pure.

Dominant resource fairness (Ghodsi et al., NSDI 2011): free room goes, a slot at a time, to the sweep with the smallest
share among those that want more. Of equal shares the one goes first that has had less of the cluster so far, so that
sweeps take turns where there are fewer slots than sweeps.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.execution.placement import Bundle, describe


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a sweep has of a cluster, and what it wants.

    Attributes:
        needs: What one of its slots holds, as Ray's resources by name.
        held: Slots that it has and keeps.
        leaving: Further slots that it gives back once their trials have ended.
        wanted: Slots that it could use in all.
        had_s: How much it has had so far: its shares of the cluster times the seconds that it had them.
        host: Where its controller runs.
        working: Slots, by the node's id, of its workers that have answered: what those hold nobody else can have.
    """

    needs: Mapping[str, float]
    held: int
    wanted: int
    leaving: int = 0
    had_s: float = 0.0
    host: str = ""
    working: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_short(self) -> bool:
        """Whether it waits for slots."""
        return self.held < self.wanted

    def share(self, total: Mapping[str, float], *, more: int = 0) -> float:
        """Return the largest of its parts of the cluster's resources, with so many more slots."""
        return (self.held + more) * self._part(self.dominant(total), total)

    def dominant(self, total: Mapping[str, float]) -> str:
        """Return the resource of which a slot takes the largest part."""
        return max(self.needs, key=lambda name: self._part(name, total), default="")

    def _part(self, name: str, total: Mapping[str, float]) -> float:
        return self.needs[name] / total[name] if total.get(name) else 0.0

    def __str__(self) -> str:
        each = f" with {describe(self.needs)} each" if self.needs else ""
        waits = f"; waits for {self.wanted - self.held} more" if self.is_short else ""
        return f"{self.held + self.leaving} {'slot' if self.held + self.leaving == 1 else 'slots'}{each}{waits}"


def total_of(rooms: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return resources by name, added up."""
    return {name: sum(room.get(name, 0.0) for room in rooms) for name in {name for room in rooms for name in room}}


def divide(
    rooms: Sequence[Mapping[str, float]], claims: Mapping[str, Claim], total: Mapping[str, float]
) -> dict[str, int]:
    """Return how many slots each sweep may have besides those that it holds.

    Where a slot does not fit yet (it takes two GPUs, and one is free), what it waits for most is kept for it.

    Args:
        rooms: What is free, node by node: a slot lies on one of them.
        claims: Of all sweeps, by name.
        total: What the cluster has in all.
    """
    left = [dict(room) for room in rooms]
    looked = dict.fromkeys(claims, 0)  # the rooms before that one have no place for a slot of the sweep
    given = dict.fromkeys(claims, 0)
    queue = [(claim.share(total), claim.had_s, name) for name, claim in claims.items() if claim.is_short]
    heapq.heapify(queue)
    while queue:
        _, had_s, name = heapq.heappop(queue)
        claim = claims[name]
        bundle = Bundle(needs=claim.needs)
        while looked[name] < len(left) and bundle.fits(left[looked[name]]) <= 0:
            looked[name] += 1
        if looked[name] == len(left):
            _reserve(left, claim.dominant(total))
            continue
        room = left[looked[name]]
        for resource, need in claim.needs.items():
            room[resource] = room.get(resource, 0.0) - need
        given[name] += 1
        if claim.held + given[name] < claim.wanted:
            heapq.heappush(queue, (claim.share(total, more=given[name]), had_s, name))
    return given


def _reserve(rooms: Sequence[dict[str, float]], resource: str) -> None:
    for room in rooms:
        room.pop(resource, None)
