"""What the ends of attempts mean for their trials: how often each ended badly counts, and whether its node may be to blame."""

from orchestrator.control.consequences import History, Verdict, verdict
from orchestrator.control.node_breaker import NodeBreaker
from orchestrator.control.running import Running
from orchestrator.execution.protocol import Capacity
from orchestrator.ledger.records import TrialState
from orchestrator.trial.contract.events import Ended


class Judge:
    """Hears of every end, in order.

    Args:
        histories: How often each trial ended badly so far, by number.
        nodes: Knows which ends may be a node's fault.
    """

    def __init__(self, histories: dict[int, History], nodes: NodeBreaker) -> None:
        self._histories = histories
        self._nodes = nodes

    def verdict(self, event: Ended, running: Running, capacity: Capacity, *, retries: int) -> Verdict:
        """Return what an end means for its trial; one that may be its node's fault does not count."""
        if running.request is None and self._nodes.is_suspect(
            event,
            running.node,
            running.host,
            [node for node in capacity.nodes if node != running.node],
            unheard=capacity.starting,
            showed=running.n_reports > 0,
        ):
            what = event.error or event.cause.words
            return Verdict(
                state=TrialState.PENDING, reason=f"on node {running.host}, where none has worked yet: {what}"
            )
        history = self._histories.setdefault(event.trial, History())
        history.count(event.cause)
        return verdict(event.cause, history, retries=retries, request=running.request)

    def forget(self, number: int) -> None:
        """Let a trial be one that never ended badly."""
        self._histories.pop(number, None)
