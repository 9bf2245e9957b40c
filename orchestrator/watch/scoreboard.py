"""The numbers of a sweep that are shown while it runs: counts, the best so far, what is left."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from orchestrator.ledger.ranking import ENDED, WORTH_NOTHING, rank
from orchestrator.ledger.records import TrialRecord, TrialState


@dataclass(slots=True)
class Scoreboard:
    """Counts of trials by state, their typical duration, and the best trial with the history of its value."""

    counts: dict[TrialState, int] = field(default_factory=lambda: dict.fromkeys(TrialState, 0))
    best: TrialRecord | None = None
    best_history: list[float] = field(default_factory=list)
    _durations_s: deque[float] = field(default_factory=lambda: deque(maxlen=64))

    def add(self, trial: TrialRecord) -> None:
        """Count a trial that was not there before."""
        self.counts[trial.state] += 1

    def move(self, before: TrialRecord, after: TrialRecord) -> None:
        """Count a trial's change of state."""
        self.counts[before.state] -= 1
        self.counts[after.state] += 1

    def took(self, trial: TrialRecord) -> None:
        """Remember how long a trial ran; one that failed says little about the others."""
        if trial.took_s is not None and trial.state not in WORTH_NOTHING:
            self._durations_s.append(trial.took_s)

    def consider(self, trial: TrialRecord) -> bool:
        """Return whether the trial is the best so far, and remember it if it is; of equals it is the one begun first."""
        place, best = rank(trial), None if self.best is None else rank(self.best)
        if place is None or trial.value is None or (best is not None and place >= best):
            return False
        if best is None or place[0][0] < best[0][0]:
            self.best_history.append(trial.value)
        self.best = trial
        return True

    def has_fallen(self, trial: TrialRecord) -> bool:
        """Return whether the trial is the best so far, and worse now: it failed, or started over."""
        if self.best is None or trial.number != self.best.number:
            return False
        place, best = rank(trial), rank(self.best)
        return place is None or (best is not None and place > best)

    def reconsider(self, trials: Iterable[TrialRecord]) -> None:
        """Find the best anew: the one so far has fallen."""
        self.best = None
        for trial in sorted(trials, key=lambda t: (t.ended is None, t.ended or 0.0, t.number)):
            self.consider(trial)

    @property
    def n_ended(self) -> int:
        """Trials that need no slot any more."""
        return sum(self.counts[state] for state in ENDED)

    @property
    def succeeded(self) -> int:
        """Trials that ended with something to show."""
        return self.counts[TrialState.FINISHED] + self.counts[TrialState.STOPPED]

    @property
    def typical_s(self) -> float | None:
        """Median duration of the latest trials in seconds; None while none has worked."""
        ordered = sorted(self._durations_s)
        return ordered[len(ordered) // 2] if ordered else None

    def eta_s(self, total: int | None, at_once: int) -> float | None:
        """Return the seconds until `total` trials have ended, `at_once` together; None while it cannot be known."""
        if total is None or self.typical_s is None or at_once == 0:
            return None
        left = max(0, total - self.n_ended)
        return left * self.typical_s / at_once
