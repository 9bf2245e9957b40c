"""What the search may know of a sweep's trials."""

from collections.abc import Mapping, Sequence

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


class Knowledge:
    """The trials as the search sees them: those that are over in the order in which they ended.

    Args:
        spec: What the sweep runs.
        ledger: What is recorded.
        trials: Every trial, by number; grows as the sweep goes on.
        prior: Trials of earlier sweeps.
    """

    def __init__(
        self, spec: SweepSpec, ledger: Ledger, trials: Mapping[int, TrialRecord], prior: Sequence[Observation]
    ) -> None:
        self._spec = spec
        self._ledger = ledger
        self._trials = trials
        self._observations = list(prior)

    def known(self) -> Known:
        """Return what the search may know now."""
        open_states = {TrialState.PENDING, TrialState.RUNNING}
        pending = [self._pending(trial) for trial in self._trials.values() if trial.state in open_states]
        left = None if self._spec.run_cap is None else self._spec.run_cap - len(self._trials)
        return Known(number=len(self._trials), observations=tuple(self._observations), pending=pending, left=left)

    def observe(self, trial: TrialRecord) -> Observation:
        """Take in a trial that is over."""
        usable = OUTCOMES[trial.state] is not Outcome.FAILED and len(trial.scores) == len(self._spec.objectives) > 0
        observation = Observation(
            number=trial.number,
            config=trial.config,
            outcome=OUTCOMES[trial.state] if usable or not self._spec.objectives else Outcome.FAILED,
            scores=trial.scores if usable else (),
            order=self._observations[-1].order + 1 if self._observations else 0,
            shown=self._ledger.metrics.shown(trial.number),
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
                rows=self._ledger.metrics.rows(trial.number),
                over=trial.state in OUTCOMES,
            )
            for trial in self._ledger.trials()
        ]

    def _pending(self, trial: TrialRecord) -> Pending:
        wanted = any(metric.impute_while_running != "false" for metric in self._spec.objectives)
        return Pending(
            number=trial.number,
            config=trial.config,
            running=trial.state is TrialState.RUNNING,
            shown=self._ledger.metrics.shown(trial.number) if wanted else (),
        )
