"""Starts workers: what each is told, what nodes need that have nothing of ours, and the proof that a node sees the runs."""

import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from orchestrator import layout
from orchestrator.execution.placement import Bundle
from orchestrator.execution.ray import workers
from orchestrator.execution.ray.cluster import Cluster
from orchestrator.execution.ray.comparing import CodeComparison
from orchestrator.execution.ray.worker import WorkerConfig, exported
from orchestrator.execution.reconciler import Start
from orchestrator.execution.registry import WorkerHandle
from orchestrator.execution.shipping.baggage import Baggage
from orchestrator.interpreters.agreement import expected
from orchestrator.interpreters.probe import Interpreter


def forget_proofs(runs_dir: Path) -> None:
    """Remove the proofs that killed pools left."""
    for proof in runs_dir.glob(f"{layout.PROOF}*"):
        with contextlib.suppress(OSError):
            proof.unlink()


class Starter:
    """Starts the workers of one pool. Its proof lies in the runs directory until `close`.

    Args:
        cluster: Where they run.
        runs_dir: The sweep's directory, without links in its path.
        cwd: Directory that trials are launched from.
        lease_s: Seconds a worker goes on without hearing from here.
        runner: ``module:class`` of what runs attempts on a node.
        pythons: What trials run in.
        baggage: What nodes need that do not see the sweep's directory.
        comparison: What nodes must have where trials run from the project itself.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        runs_dir: Path,
        cwd: str,
        lease_s: float,
        runner: str,
        pythons: Sequence[Interpreter],
        baggage: Baggage | None,
        comparison: CodeComparison,
    ) -> None:
        self._cluster = cluster
        self._runs_dir = runs_dir
        self._cwd = cwd
        self._lease_s = lease_s
        self._runner = runner
        self._pythons = expected(pythons)
        self._package = None if cluster.is_local else workers.ship()
        self._baggage = [] if baggage is None else [workers.shared(baggage)]
        self._comparison = comparison
        self._proof = secrets.token_hex(16)
        self._proof_path = runs_dir / f"{layout.PROOF}{self._proof[:8]}"
        self._proof_path.write_text(self._proof, encoding="utf-8")

    def start(self, action: Start, bundle: Bundle, now_s: float) -> WorkerHandle:
        """Start a worker for some trials, each of which takes a bundle; its first call is on its way."""
        node, slots = action.node, action.slots
        actor = workers.start(bundle.times(slots), node_id=node.node_id if node else None, package=self._package)
        config = WorkerConfig(
            cwd=self._cwd,
            environ=exported(self._cluster.environ),
            sweep_dir=str(self._runs_dir),
            proof_path=str(self._proof_path),
            proof=self._proof,
            lease_s=self._lease_s,
            cpus=bundle.cpu_share(node) if node else bundle.needs.get("CPU"),
            gpus=bundle.gpu,
            runner=self._runner,
            turns=self._runs_dir.name if self._cluster.is_local else None,
            pythons=self._pythons,
        )
        call = actor.hello.remote(asdict(config), self._baggage, self._comparison.asked_of(node))
        code = self._comparison.number
        return WorkerHandle(actor=actor, slots=slots, node=node, since_s=now_s, call=call, called_s=now_s, code=code)

    def close(self) -> None:
        """Remove the proof."""
        self._proof_path.unlink(missing_ok=True)
