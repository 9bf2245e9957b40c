"""What the trials of a sweep have used so far, under every controller that it had."""

from collections.abc import Iterable

from orchestrator.control.closing import Closing, out_of_budget
from orchestrator.control.running import Running
from orchestrator.ledger.store import Ledger
from orchestrator.spec.model import Resources


class Spending:
    """GPU time: of attempts that are over as the ledger has them, and of those that run.

    Args:
        ledger: Loaded, and its dead attempts settled.
        resources: What one trial takes: of a shared GPU its share counts.
    """

    def __init__(self, ledger: Ledger, resources: Resources) -> None:
        self._share = min(1.0, resources.gpu or 1.0)
        self._spent_s = sum(seconds * n_gpus * self._share for seconds, n_gpus in ledger.attempts.spans())

    def ended(self, running: Running, now_s: float) -> None:
        """Count an attempt that is over."""
        self._spent_s += self._of(running, now_s)

    def gpu_hours(self, running: Iterable[Running], now_s: float) -> float:
        """Return what was used until now."""
        return (self._spent_s + sum(self._of(each, now_s) for each in running)) / 3600

    def over(self, limit_h: float | None, running: Iterable[Running], now_s: float) -> Closing | None:
        """Return the end of a sweep that has used its GPU hours, if it has."""
        if limit_h is None or (used_h := self.gpu_hours(running, now_s)) < limit_h:
            return None
        return out_of_budget(limit_h, used_h)

    def _of(self, running: Running, now_s: float) -> float:
        return 0.0 if running.since_s is None else (now_s - running.since_s) * len(running.gpu_ids) * self._share
