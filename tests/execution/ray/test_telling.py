import math
import time
from types import SimpleNamespace

from orchestrator.execution.placement import Node
from orchestrator.execution.ray.telling import Telling
from orchestrator.execution.registry import WorkerHandle, WorkerRegistry


def test_a_lease_counts_from_the_call_however_long_the_look_at_the_cluster_took():
    """From an earlier moment an attempt would be lost, and begun elsewhere, while its worker may still run it."""
    registry = WorkerRegistry(math.inf)
    node = Node(node_id="a", host="a", total={}, free={})
    actor = SimpleNamespace(poll=SimpleNamespace(remote=lambda *_: "call"))
    worker = WorkerHandle(actor=actor, slots=1, node=node, since_s=0.0)
    registry.workers.append(worker)
    worker.answered(0.0)
    began_s = time.monotonic()
    Telling(registry, None, poll_s=5.0, is_behind=lambda: False).repeat(began_s - 6.0)
    assert (worker.call, worker.called_s >= began_s) == ("call", True)
