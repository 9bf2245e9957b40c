"""Holds the project on each node against the one that the sweep was started from, also when that changes."""

from collections.abc import Callable, Sequence
from typing import Any

from orchestrator.execution.placement import Node
from orchestrator.execution.ray import workers
from orchestrator.execution.registry import WorkerHandle
from orchestrator.project.same import Expected


class CodeComparison:
    """Compares in the workers, which read the files; the node that the sweep was started on needs none.

    Args:
        expected: Returns what every node must have at this moment; None where trials do not run from the project.
        own_node: Id of the node that the sweep was started on.

    Attributes:
        number: Counts the states of the project, from 1.
    """

    def __init__(self, expected: Callable[[], Expected | None], own_node: str) -> None:
        self._expected = expected
        self._own_node = own_node
        self._latest: Expected | None = None
        self._shared: Sequence[Any] = ()
        self._asked: dict[Any, tuple[WorkerHandle, int]] = {}
        self.number = 0

    def asked_of(self, node: Node | None) -> Sequence[Any]:
        """Return what a new worker is given to compare with: Ray's reference, or nothing."""
        return () if node is not None and node.node_id == self._own_node else self._shared

    def look(self, ready: Sequence[WorkerHandle]) -> None:
        """Ask workers anew where the project has changed, and take in what they answered; never waits."""
        expected = self._expected()
        if expected is not self._latest:
            self._latest = expected
            self._shared = () if expected is None else (workers.shared(expected),)
            self.number += 1
        pending = {worker for worker, _ in self._asked.values()}
        for worker in ready:
            if worker.code < self.number and worker not in pending and self.asked_of(worker.node):
                self._asked[worker.actor.compare.remote(self._shared)] = worker, self.number
        for call in workers.answered(list(self._asked), timeout_s=0):
            worker, number = self._asked.pop(call)
            differs = workers.answer(call)
            if isinstance(differs, str | None):
                worker.code = number
                worker.other_code = differs and f"node {worker.host} {differs}"
