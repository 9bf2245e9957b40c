"""The trials of an Optuna study, each of which bears the mark of the sweep's trial that it was made for.

What is done here has no public way in Optuna, or would not be written together with the mark.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.search.protocol import Row
from orchestrator.search.records import fill

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial, TrialState

MARK = "sweep_orchestrator:trial"
"""The attribute that says which trial of which sweep a study's trial is: written together with it, so that a trial which was
asked for just before its controller died is found again."""


class MarkedTrials:
    """Trials by the ids that the study's storage gives them.

    Args:
        study: Whose trials they are.
        sweep_id: The sweep's; empty where nobody looks for trials that were asked for before.
    """

    def __init__(self, study: "optuna.Study", sweep_id: str) -> None:
        self._study = study
        self._storage = study._storage  # noqa: SLF001 - what Optuna's samplers use too
        self._sweep_id = sweep_id

    def mark(self, number: int) -> str:
        """Return what a trial of this sweep bears."""
        return f"{self._sweep_id}/{number}"

    def of(self, *states: "TrialState") -> "list[FrozenTrial]":
        """Return the study's trials in some states, or in any."""
        found: list[FrozenTrial] = self._storage.get_all_trials(
            self._study._study_id,  # noqa: SLF001
            deepcopy=False,
            states=states or None,
        )
        return found

    def get(self, trial_id: int) -> "FrozenTrial":
        """Return one trial as it stands."""
        return self._storage.get_trial(trial_id)

    def live(self, trial_id: int) -> "optuna.Trial":
        """Return a trial that can be asked for values."""
        from optuna import Trial

        return Trial(self._study, trial_id)

    def forget_cached(self) -> None:
        """Let the study look at its storage anew, as `Study.ask` begins."""
        self._study._thread_local.cached_all_trials = None  # noqa: SLF001

    def marked(self, number: int, *states: "TrialState") -> "FrozenTrial | None":
        """Return the trial in some states, or in any, that was made for a number of this sweep."""
        if not self._sweep_id:
            return None
        found = (trial for trial in self.of(*states) if trial.system_attrs.get(MARK) == self.mark(number))
        return next(found, None)

    def create(self, number: int, fixed: Mapping[str, Any] | None) -> int:
        """Add a running trial; params that are fixed are not the sampler's."""
        from optuna.trial import TrialState, create_trial

        notes: dict[str, Any] = {MARK: self.mark(number)} | ({"fixed_params": dict(fixed)} if fixed else {})
        template = create_trial(state=TrialState.RUNNING, system_attrs=notes)
        return int(self._storage.create_new_trial(self._study._study_id, template_trial=template))  # noqa: SLF001

    def take_enqueued(self, number: int) -> int | None:
        """Take the next trial that the user has enqueued, if there is one."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        for waiting in self.of(TrialState.WAITING):
            try:
                self._storage.set_trial_system_attr(waiting._trial_id, MARK, self.mark(number))  # noqa: SLF001
                if self._storage.set_trial_state_values(waiting._trial_id, state=TrialState.RUNNING):  # noqa: SLF001
                    return int(waiting._trial_id)  # noqa: SLF001
            except UpdateFinishedTrialError:
                continue  # another process has taken it
        return None

    def report(self, trial_id: int, rows: Sequence[Row]) -> None:
        """Write rows of a trial, as the pruner of a study with one objective sees them."""
        if len(self._study.directions) == 1:
            for step, value in rows:
                if step >= 0:
                    self._storage.set_trial_intermediate_value(trial_id, step, float(value))

    def fail(self, trial_id: int) -> None:
        """Let a trial end without values."""
        from optuna.trial import TrialState

        self._storage.set_trial_state_values(trial_id, state=TrialState.FAIL)

    def refill(self, number: int, data: Mapping[str, Any], rows: Sequence[Row]) -> int:
        """Write what a ledger has of a trial into the study: where it had been enqueued, or behind the others."""
        from optuna.trial import TrialState

        state = TrialState[data["state"]]
        fixed = data["system_attrs"].get("fixed_params")
        trial_id = self._take_waiting_for(fixed) if fixed is not None else None
        if trial_id is None:
            trial_id = self.create(number, None)
        fill(self._storage, trial_id, data)
        self.report(trial_id, rows)
        if state.is_finished():
            self._storage.set_trial_state_values(trial_id, state=state, values=data["values"])
        return trial_id

    def begin_again(self, number: int, data: Mapping[str, Any]) -> int:
        """Add a trial with the params of one that the study has as ended: it runs once more."""
        again = {**data, "system_attrs": {k: v for k, v in data["system_attrs"].items() if k != MARK}}
        fixed = {name: d.to_external_repr(data["params"][name]) for name, d in data["distributions"].items()}
        trial_id = self.create(number, fixed)
        fill(self._storage, trial_id, again)
        return trial_id

    def _take_waiting_for(self, fixed: Mapping[str, Any]) -> int | None:
        from optuna.trial import TrialState

        for waiting in self.of(TrialState.WAITING):
            if waiting.system_attrs.get("fixed_params") == fixed:
                self._storage.set_trial_state_values(waiting._trial_id, state=TrialState.RUNNING)  # noqa: SLF001
                return int(waiting._trial_id)  # noqa: SLF001
        return None
