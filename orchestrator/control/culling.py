"""Which running trials are ended early: those that have reached a limit of the spec's, and those that a rule gives up."""

from collections.abc import Mapping, Sequence

from orchestrator.control.consequences import Request
from orchestrator.control.running import RunningTrials
from orchestrator.execution.protocol import PoolEvent
from orchestrator.ledger.records import Asker
from orchestrator.ledger.scores import Scores
from orchestrator.stopping.limits import reached
from orchestrator.stopping.protocol import StoppingRule
from orchestrator.trial.contract.events import Reported


class Culling:
    """Looks at what running trials report, and asks some of them to end.

    Args:
        limits: By metric, the value from which on a trial has finished.
        rule: The spec's stopping rule, if it has one.
        scores: How the trials stand so far.
        running: The trials that workers have.
    """

    def __init__(
        self, *, limits: Mapping[str, float], rule: StoppingRule | None, scores: Scores, running: RunningTrials
    ) -> None:
        self._limits = limits
        self._rule = rule
        self._scores = scores
        self._running = running

    def look(self, events: Sequence[PoolEvent]) -> None:
        """Ask the trials to end that should, by a batch of events that is recorded: winners first, then losers."""
        reported = [event for event in events if isinstance(event, Reported) and self._running.has(event)]
        self._stop_winners(reported)
        self._stop_losers([event.trial for event in reported])

    def _stop_winners(self, reported: Sequence[Reported]) -> None:
        for event in reported if self._limits else ():
            running = self._running[event.trial]
            curve = self._scores.curves().get(event.trial)
            iteration = running.n_reports if curve is None else len(curve.scores)
            reason = reached(self._limits, event.reports, iteration=iteration, since=running.first_report)
            running.first_report = running.first_report or event.reports[0].time
            if reason is not None:
                self._running.stop(event.trial, Request(asker=Asker.LIMIT, reason=reason))

    def _stop_losers(self, changed: Sequence[int]) -> None:
        if self._rule is None or not changed:
            return
        for stop in self._rule.decide(self._scores.curves(), changed):
            if stop.trial in self._running:
                self._running.stop(stop.trial, Request(asker=Asker.RULE, reason=stop.reason))
