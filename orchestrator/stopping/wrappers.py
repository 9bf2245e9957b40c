"""Rules about a trial by itself, and rules made of rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.spec.model import Patience
from orchestrator.stopping.divergence import diverged_since
from orchestrator.stopping.protocol import Curve, Stop, StoppingRule
from orchestrator.stopping.wording import Show


@dataclass(frozen=True, slots=True, kw_only=True)
class NotFinite:
    """Ends a trial whose metric turned NaN or infinite: it cannot win any more."""

    metric: str

    def decide(self, curves: Mapping[int, Curve], changed: Sequence[int]) -> list[Stop]:
        """Look at the trials that reported something new."""
        return [
            Stop(trial=trial, reason=self._reason(curve.diverged_at))
            for trial, curve in ((trial, curves[trial]) for trial in changed)
            if curve.running and curve.diverged_at is not None
        ]

    def _reason(self, position: int) -> str:
        return f"row {position + 1}: {self.metric} is NaN or infinite, so this trial cannot win"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diverging:
    """Ends a trial whose metric went up far beyond where it began and stays there (`diverged_since`)."""

    metric: str
    show: Show

    def decide(self, curves: Mapping[int, Curve], changed: Sequence[int]) -> list[Stop]:
        """Look at the trials that reported something new."""
        running = ((trial, curves[trial].scores) for trial in changed if curves[trial].running)
        found = ((trial, scores, diverged_since(scores)) for trial, scores in running)
        return [
            Stop(trial=trial, reason=self._reason(scores, since)) for trial, scores, since in found if since is not None
        ]

    def _reason(self, scores: Sequence[float], since: int) -> str:
        began, now = self.show(scores[0], scores[-1])
        best, _ = self.show(min(scores), scores[-1])
        return f"row {since + 1}: {self.metric} has diverged, from {began} (best {best}) to {now}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Lets `rule` end a trial only once that has stalled: no gain above `min_delta` in its last `after` reports."""

    rule: StoppingRule
    patience: Patience

    def decide(self, curves: Mapping[int, Curve], changed: Sequence[int]) -> list[Stop]:
        """Ask the rule, and keep what concerns stalled trials."""
        n_reports = self.patience.after
        return [
            Stop(trial=stop.trial, reason=f"{stop.reason}; no improvement in its last {n_reports} rows")
            for stop in self.rule.decide(curves, changed)
            if self._stalled(curves[stop.trial].scores)
        ]

    def _stalled(self, scores: Sequence[float]) -> bool:
        before, recent = scores[: -self.patience.after], scores[-self.patience.after :]
        return bool(before) and min(recent) >= min(before) - self.patience.min_delta


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """Ends a trial when one of several rules says so, for the reason of the first that does."""

    rules: tuple[StoppingRule, ...]

    def decide(self, curves: Mapping[int, Curve], changed: Sequence[int]) -> list[Stop]:
        """Ask every rule."""
        stops: dict[int, Stop] = {}
        for rule in self.rules:
            for stop in rule.decide(curves, changed):
                stops.setdefault(stop.trial, stop)
        return list(stops.values())
