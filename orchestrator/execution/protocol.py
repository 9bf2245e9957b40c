"""The seam between the controller and the place where trials run; Ray below it, a fake in tests."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from orchestrator.trial.contract.events import TrialEvent
from orchestrator.trial.contract.launch import Launch


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What can run now.

    Attributes:
        slots: Trials that fit at once on what is reachable now (running ones included).
        free: Trials that could be launched now.
        problem: Why nothing can be placed, one sentence for the user; None when something can or is on its way.
        hopeless: No node that is there could ever run a trial.
        final: No other node can join.
        warnings: What keeps some nodes out, one sentence each, e.g. one that does not see the runs directory.
        remarks: What else there is to say, one sentence each: it keeps no node out.
        nodes: The hosts of the nodes that take trials, by the node's id.
        starting: Whether a further node is about to take trials.
    """

    slots: int
    free: int
    problem: str | None = None
    hopeless: bool = False
    final: bool = False
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    nodes: Mapping[str, str] = field(default_factory=dict)
    starting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityChanged:
    """Slots were gained or lost (nodes joined, left, workers came up)."""

    capacity: Capacity


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An attempt has got a slot; comes before all else of it."""

    trial: int
    attempt: int
    node: str
    host: str


PoolEvent: TypeAlias = TrialEvent | Placed | CapacityChanged


class Pool(Protocol):
    """Runs attempts somewhere. One controller thread calls it; no method blocks longer than it says.

    A worker or node that dies yields an `Ended` with cause ``worker_lost``, ``node_lost`` or ``preempted`` for each
    attempt it held, exactly once, and nothing of these attempts afterwards.
    """

    def capacity(self) -> Capacity:
        """What can run now. Never blocks."""
        ...

    def limit(self, most: int | None) -> None:
        """Have room for `most` attempts at once from now on, None for as many as fit; what runs goes on. Never blocks."""
        ...

    def launch(self, launch: Launch, *, avoid: Collection[str] = ()) -> None:
        """Hand an attempt to a free slot; one that is lost meanwhile makes it wait for the next. Never blocks.

        Args:
            launch: The attempt.
            avoid: Ids of nodes that it should not run on, as long as there are others.
        """
        ...

    def want(self, n_trials: float) -> None:
        """Say how many trials could run at once if there were room: a cluster that can grow is asked for no more."""
        ...

    def leave_out(self, node: str, reason: str) -> None:
        """Give a node no more trials; those that run there may end. `reason` is among the warnings from now on."""
        ...

    def stop(self, trial: int, attempt: int, *, kill: bool = False) -> None:
        """Ask an attempt to end (SIGTERM, after its grace period SIGKILL), or kill it now; ignore unknown attempts."""
        ...

    def allow(self, trial: int, attempt: int, timeout_s: float | None) -> None:
        """Let an attempt take so many seconds from its beginning on, None for no limit; ignore unknown attempts."""
        ...

    def poll(self, timeout_s: float) -> list[PoolEvent]:
        """Return events in order, as soon as there is one; an empty list after `timeout_s` seconds without any.

        Raises:
            ClusterError: The place where trials run is gone; raised after every event from before has been returned.
        """
        ...

    def close(self) -> None:
        """Kill what still runs and give every resource back. Idempotent."""
        ...
