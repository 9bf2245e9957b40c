"""What the search may know of a sweep's trials."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import overload

from orchestrator.control.proposals import Known
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.ledger.store import Ledger
from orchestrator.search.protocol import Observation, Outcome, Pending, Remembered
from orchestrator.spec.model import SweepSpec

OUTCOMES = {
    TrialState.FINISHED: Outcome.FINISHED,
    TrialState.STOPPED: Outcome.STOPPED,
    TrialState.FAILED: Outcome.FAILED,
    TrialState.CANCELED: Outcome.FAILED,
}


class SoFar(Sequence[Observation]):
    """The observations of a moment: the first of a list that only grows, without a copy of it."""

    def __init__(self, growing: list[Observation]) -> None:
        self._growing = growing
        self._n = len(growing)

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[Observation]:
        return itertools.islice(self._growing, self._n)

    @overload
    def __getitem__(self, index: int) -> Observation: ...
    @overload
    def __getitem__(self, index: slice) -> list[Observation]: ...
    def __getitem__(self, index: int | slice) -> Observation | list[Observation]:
        if isinstance(index, slice):
            return [self._growing[i] for i in range(*index.indices(self._n))]
        return self._growing[range(self._n)[index]]


class Knowledge:
    """The trials as the search sees them: those that are over in the order in which they ended.

    What it costs to ask depends on the trials that are not over, not on how many there have been.

    Args:
        spec: What the sweep runs.
        ledger: What is recorded.
        prior: Trials of earlier sweeps.
    """

    def __init__(self, spec: SweepSpec, ledger: Ledger, prior: Sequence[Observation]) -> None:
        self._spec = spec
        self._ledger = ledger
        self._observations = list(prior)
        self._pending: dict[int, Pending] = {}
        self._n_trials = 0
        self._imputes = any(metric.impute_while_running != "false" for metric in spec.objectives)

    def known(self) -> Known:
        """Return what the search may know now."""
        pending = list(self._pending.values())
        if self._imputes:
            pending = [replace(trial, shown=self._ledger.scores.shown(trial.number)) for trial in pending]
        left = None if self._spec.run_cap is None else self._spec.run_cap - self._n_trials
        return Known(number=self._n_trials, observations=SoFar(self._observations), pending=pending, left=left)

    def see(self, trial: TrialRecord) -> None:
        """Take in a trial that is new, or has another state."""
        self._n_trials = max(self._n_trials, trial.number + 1)
        if trial.state in OUTCOMES:
            self._pending.pop(trial.number, None)
            return
        running = trial.state is TrialState.RUNNING
        self._pending[trial.number] = Pending(number=trial.number, config=trial.config, running=running)

    def observe(self, trial: TrialRecord) -> Observation:
        """Take in a trial that is over."""
        usable = OUTCOMES[trial.state] is not Outcome.FAILED and len(trial.scores) == len(self._spec.objectives) > 0
        observation = Observation(
            number=trial.number,
            config=trial.config,
            outcome=OUTCOMES[trial.state] if usable or not self._spec.objectives else Outcome.FAILED,
            scores=trial.scores if usable else (),
            order=self._observations[-1].order + 1 if self._observations else 0,
            shown=self._ledger.scores.shown(trial.number),
        )
        self._observations.append(observation)
        return observation

    def forget(self, number: int) -> None:
        """Leave a trial out until it is over again: its user wants it to run anew."""
        self._observations = [known for known in self._observations if known.number != number]

    def aim(self, spec: SweepSpec) -> None:
        """Go by another spec from now on: its limits have changed."""
        self._spec = spec

    def remembered(self) -> list[Remembered]:
        """Return every trial as the ledger has it, for a search that keeps a study."""
        records = self._ledger.memory.of_trials()
        return [
            Remembered(
                number=trial.number,
                config=trial.config,
                record=records.get(trial.number),
                rows=self._ledger.scores.rows(trial.number),
                over=trial.state in OUTCOMES,
            )
            for trial in self._ledger.trials()
        ]
