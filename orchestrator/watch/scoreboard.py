"""The numbers of a sweep that are shown while it runs: counts, the best so far, what is left."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from orchestrator.ledger.ranking import ENDED, WORTH_NOTHING, rank
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.watch.expectation import Expectation
from orchestrator.watch.forecast import TimeLeft, time_left
from orchestrator.watch.progress import NewBest, Progress, RunningTrial

FRESH_S = 5.0
"""How old what is said of the end may be, where no trial has ended since."""

CALM_S = 2.0
"""The same where some have: trials may end many times a second."""

MOST_FORECAST = 0.01
"""Share of the time that may go into what is said of the end: with a thousand running trials it takes a third of a second."""


@dataclass(slots=True)
class Scoreboard:
    """Counts of trials by state, their typical duration, and the best trial with the history of its value."""

    counts: dict[TrialState, int] = field(default_factory=lambda: dict.fromkeys(TrialState, 0))
    best: TrialRecord | None = None
    best_history: list[float] = field(default_factory=list)
    _durations_s: deque[float] = field(default_factory=lambda: deque(maxlen=64))
    _all_s: deque[float] = field(default_factory=lambda: deque(maxlen=256))
    _said: tuple[float, tuple[int, ...], TimeLeft | None] = (-math.inf, (), None)
    _forecast_s: float = 0.0

    def add(self, trial: TrialRecord) -> None:
        """Count a trial that was not there before."""
        self.counts[trial.state] += 1

    def move(self, before: TrialRecord, after: TrialRecord) -> None:
        """Count a trial's change of state."""
        self.counts[before.state] -= 1
        self.counts[after.state] += 1

    def took(self, trial: TrialRecord) -> None:
        """Remember how long a trial ran; one that failed says little about the others, but took its time as well."""
        if trial.took_s is not None:
            self._all_s.append(trial.took_s)
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

    def new_best(self, trial: TrialRecord, everybody: Callable[[], Iterable[TrialRecord]]) -> NewBest | None:
        """Consider a trial that has changed; return the news if it is the best.

        Args:
            trial: As it is now.
            everybody: Returns all trials: the best is sought anew where the one so far has fallen.
        """
        if self._has_fallen(trial):
            self._reconsider(everybody())
        elif self.consider(trial) and trial.value is not None:
            return NewBest(number=trial.number, value=trial.value, step=trial.step)
        return None

    def _has_fallen(self, trial: TrialRecord) -> bool:
        """Return whether the trial is the best so far, and worse now: it failed, or started over."""
        if self.best is None or trial.number != self.best.number:
            return False
        place, best = rank(trial), rank(self.best)
        return place is None or (best is not None and place > best)

    def _reconsider(self, trials: Iterable[TrialRecord]) -> None:
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

    def time_left(
        self,
        total: int | None,
        at_once: int,
        running: Sequence[tuple[float, int]],
        now_s: float,
        expected: Expectation,
    ) -> TimeLeft | None:
        """Return when `total` trials will have ended; None while it cannot be known.

        Args:
            total: Trials that there will be; None for no end.
            at_once: Trials that run at the same time.
            running: For how many seconds each running trial has run, and how many rows it has made.
            now_s: Seconds on any clock that goes on: what was found a moment ago is not sought again.
            expected: What is known before one has worked.
        """
        if total is None or at_once == 0:
            return None
        left = max(0, total - self.n_ended)
        known = (self.n_ended, total, at_once)
        said_s, about, said = self._said
        if said is None or now_s - said_s > max(
            FRESH_S if about == known else CALM_S, self._forecast_s / MOST_FORECAST
        ):
            begun_s = time.monotonic()
            took_s, n_seen = (list(self._all_s), None) if self.typical_s is not None else expected.seconds(running)
            ran_s = [seconds for seconds, _ in running][:left]
            said = time_left(took_s, ran_s, max(0, left - len(running)), at_once, n_seen=n_seen)
            self._forecast_s = time.monotonic() - begun_s
            said_s, self._said = now_s, (now_s, known, said)
        passed_s = now_s - said_s if left else math.inf
        return None if said is None else said.after(passed_s)

    def progress(
        self,
        *,
        name: str,
        sweep_id: str,
        metric: str | None,
        total: int | None,
        elapsed_s: float,
        left: TimeLeft | None,
        slots: int,
        running: Sequence[RunningTrial],
        problem: str | None,
        paused: bool,
        varying: frozenset[str],
    ) -> Progress:
        """Return the snapshot of a sweep with these numbers; the arguments are what only its controller or ledger knows."""
        return Progress(
            name=name,
            sweep_id=sweep_id,
            metric=metric,
            total=total,
            finished=self.counts[TrialState.FINISHED],
            stopped=self.counts[TrialState.STOPPED],
            failed=self.counts[TrialState.FAILED],
            pending=self.counts[TrialState.PENDING],
            elapsed_s=elapsed_s,
            eta_s=None if left is None else left.typical_s,
            eta_range_s=None if left is None else (left.low_s, left.high_s),
            slots=slots,
            best=self.best,
            best_history=self.best_history,
            running=running,
            problem=problem,
            paused=paused,
            varying=varying,
        )
