"""What is said of a cluster while a sweep runs on it, each thing once, and when it is no use to wait any longer."""

import math
from collections.abc import Mapping, Sequence

from orchestrator.errors import ClusterError
from orchestrator.execution.protocol import Capacity
from orchestrator.reporting.wording import duration


class CapacityWatch:
    """Compares what a pool says now with what it said before.

    Args:
        wait_s: Seconds without a node that could ever run a trial after which the sweep ends.
    """

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._hopeless_since_s = math.inf
        self._said: set[str] = set()
        self._problem: str | None = None
        self._nodes: Mapping[str, str] | None = None

    def see(self, capacity: Capacity, now_s: float, *, busy: bool) -> list[str]:
        """Return what is new, one sentence each.

        Args:
            capacity: As the pool has it.
            now_s: Monotonic seconds.
            busy: Whether trials run.

        Raises:
            ClusterError: Nothing can run, and nothing has changed about that for too long.
        """
        if not capacity.hopeless or busy:
            self._hopeless_since_s = math.inf
        elif capacity.final or now_s - self._hopeless_since_s >= self._wait_s:
            raise ClusterError(self._hopeless(capacity))
        self._hopeless_since_s = min(self._hopeless_since_s, now_s) if capacity.hopeless and not busy else math.inf
        return [*self._said_once(capacity), *self._problems(capacity), *self._comings_and_goings(capacity)]

    def _said_once(self, capacity: Capacity) -> Sequence[str]:
        new = [text for text in (*capacity.warnings, *capacity.remarks) if text not in self._said]
        self._said.update(new)
        return new

    def _problems(self, capacity: Capacity) -> Sequence[str]:
        """A problem is over when a trial can run; while nodes are tried in turn, it is still the same."""
        if capacity.slots:
            self._problem = None
        if capacity.problem is None or capacity.problem == self._problem or capacity.problem in self._said:
            return ()
        self._problem = capacity.problem
        if not capacity.hopeless:
            return (capacity.problem,)
        return (f"{capacity.problem}; waiting up to {duration(self._wait_s)} for one that can (--wait)",)

    def _comings_and_goings(self, capacity: Capacity) -> Sequence[str]:
        before, now = self._nodes, capacity.nodes
        if before is None and not now:
            return ()
        self._nodes = dict(now)
        if before is None:
            return ()
        at_once = f"{capacity.slots} {'trial' if capacity.slots == 1 else 'trials'} at once now"
        joined = _named([now[node] for node in now.keys() - before.keys()])
        named = " ".join(capacity.warnings)  # a node that was left out is named there, with the reason
        left = _named([before[node] for node in before.keys() - now.keys() if f"node {before[node]} " not in named])
        said = ((joined, "joined"), (left, "takes no more trials" if " and " not in left else "take no more trials"))
        return [f"{hosts} {what}: {at_once}" for hosts, what in said if hosts]

    def _hopeless(self, capacity: Capacity) -> str:
        waited = "" if capacity.final else f"; no other node came within {duration(self._wait_s)} (--wait)"
        reasons = "".join(f"\n  {text}." for text in capacity.warnings)
        return (
            f"{capacity.problem or 'no trial can run'}{waited}.{reasons}\n"
            "  Ask for less with --gpus-per-trial or --cpus-per-trial, or run on a cluster with --address."
        )


def _named(hosts: Sequence[str]) -> str:
    """Return hosts in words: ``nodes a, b and c``; empty for none."""
    *others, last = sorted(hosts) or [""]
    if not others:
        return f"node {last}" if last else ""
    return f"nodes {', '.join(others)} and {last}"
