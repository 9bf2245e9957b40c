"""``scheduler: {engine: optuna, source, optimizer, search_space}``: the study and the space of the user's own file.

`optimizer` names a function that takes a `SweepInfo` and returns an Optuna study, or a study and a terminator: a
function of the study that returns True when the search is over. `search_space` names a define-by-run function that
takes an Optuna trial and returns the config. Both mean what they mean to wandb 0.31: there is one study, it is asked
for each trial once and told what became of it, under the trial's number and in values as the user knows them.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from orchestrator.errors import SearchSpaceError
from orchestrator.search.definition import Definition
from orchestrator.search.exhausted import is_stop, why_exhausted
from orchestrator.search.marked_trials import MARK, MarkedTrials
from orchestrator.search.protocol import Config, Memory, Observation, Outcome, Pending, Remembered, Row, Sweep
from orchestrator.search.quiet import quiet
from orchestrator.search.records import (
    as_data,
    as_text,
    set_state,
    set_study_state,
    state_of,
    study_state,
    unbound_copy,
)
from orchestrator.search.study_making import StudyMaker, copied
from orchestrator.search.user_file import FAILURES, UserFile, refused
from orchestrator.space import SearchSpace
from orchestrator.spec.model import SweepSpec

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, TrialState


class SourceSearch:
    """The user's study, asked and told.

    A random state that the user gave no seed gets the sweep's. The study's trials, where they were asked for and how they
    ended, are kept in the ledger as they change; a study in memory is filled from there on `restore`, one in a storage is
    found as it is and only told what it missed.
    """

    def __init__(self, spec: SweepSpec, space: SearchSpace, seed: int, sweep: Sweep) -> None:
        self._spec = spec
        self._signs = [metric.goal.sign for metric in spec.objectives]
        self._first = [dict(config) for config in spec.options.first]
        file = UserFile.load(spec, sweep)
        self._maker = StudyMaker(spec, file, sweep, seed)
        self._definition = Definition(spec, space, file.suggest)
        self.over: str | None = None
        self._stopped: str | None = None
        self._study, self._terminator = self._maker.make()
        self._trials = MarkedTrials(self._study, sweep.id)
        self._ids: dict[int, int] = {}
        self._configs: dict[int, Config] = {}
        self._told: set[int] = set()
        self._changed: set[int] = set()
        self._kept: str | None = None
        self._remarks: list[str] = []
        self._said: set[str] = set()
        with quiet():
            self._maker.check(self._study, self._definition)

    def suggest(self, number: int, observations: Sequence[Observation], pending: Sequence[Pending]) -> Config | None:
        """Return the config of trial `number`; None when the study, its terminator or its sampler says that it is over."""
        with quiet():
            for observation in observations:
                self.tell(observation)
            for trial in pending:
                self._adopt(trial)
            if number in self._configs:
                return copy.deepcopy(self._configs[number])
            self.over = self._why_over()
            if self.over is not None:
                return None
            return self._ask(number)

    def _why_over(self) -> str | None:
        if self._stopped is not None:
            return self._stopped
        try:
            if self._terminator is not None and self._terminator(self._study):
                return "the study's terminator says that the search is over"
        except FAILURES as error:
            if is_stop(error):
                return self._stop("its terminator")
            raise refused("optimizer", f"its terminator raised {type(error).__name__}: {error}") from error
        return why_exhausted(self._study)

    def _ask(self, number: int) -> Config | None:
        """Ask the study for one trial. Its mark is written with it: it can be found though nobody gets to write it down."""
        self._trials.forget_cached()
        trial_id = self._begun(number)
        self._ids[number] = trial_id
        try:
            config = self._definition.config(self._trials.live(trial_id))
        except FAILURES as error:
            self.forget(number)
            if is_stop(error):
                self.over = self._stop("it")
                return None
            if isinstance(error, SearchSpaceError):
                raise
            key = "search_space" if self._definition.is_the_users else "optimizer"
            raise refused(key, f"{type(error).__name__}: {error}") from error
        self._configs[number] = copy.deepcopy(config)
        self._changed.add(number)
        return config

    def _begun(self, number: int) -> int:
        """The study's trial for a number: asked for and never written down, to be tried first, enqueued, or a new one."""
        from optuna.trial import TrialState

        orphan = self._trials.marked(number, TrialState.RUNNING)
        if orphan is not None:
            self._draw_again(orphan)
            return int(orphan._trial_id)  # noqa: SLF001 - there is no public way
        if number < len(self._first):
            return self._trials.create(number, self._definition.params(self._first[number]) if number >= 0 else None)
        enqueued = self._trials.take_enqueued(number)
        return self._trials.create(number, None) if enqueued is None else enqueued

    def _draw_again(self, orphan: "FrozenTrial") -> None:
        """Ask a copy of the study for what the orphan was asked for, so that the sampler's random state gets beyond it."""
        from optuna.trial import TrialState

        others = [t for t in self._trials.of() if t.number != orphan.number and t.state is not TrialState.WAITING]
        with suppress(Exception):
            sampler = unbound_copy(self._study.sampler)
            self._definition.config(copied(self._study, sampler, others).ask())
            set_state(self._study.sampler, state_of(sampler))

    def report(self, number: int, rows: Sequence[Row]) -> str | None:
        """Give rows to the study, and ask its pruner at each."""
        trial_id = self._ids.get(number)
        if trial_id is None or number in self._told or len(self._study.directions) > 1:
            return None
        with quiet():
            reasons = [reason for row in rows if (reason := self._pruned(trial_id, row))]
        return reasons[0] if reasons else None

    def _pruned(self, trial_id: int, row: Row) -> str | None:
        from optuna.pruners import NopPruner

        step, value = row
        if step < 0:
            return None
        self._trials.report(trial_id, [row])
        pruner = self._study.pruner
        if isinstance(pruner, NopPruner):
            return None
        trial = self._trials.get(trial_id)
        try:
            # A trial that began again has yet to get beyond what its earlier attempt reported.
            if trial.last_step != step or not pruner.prune(self._study, trial):
                return None
        except FAILURES as error:  # the pruner may be the user's own
            if not is_stop(error):
                self._remark(f"the study's {type(pruner).__name__} failed, no trial is ended for it: {error!r}")
                return None
            self._stop("its pruner")
        return (
            f"pruned by the study's {type(pruner).__name__} at step {step}: {self._spec.objectives[0].name} {value:g}"
        )

    def tell(self, observation: Observation) -> None:
        """Tell the study what became of a trial: its values, pruned, or failed."""
        number = observation.number
        if number in self._told:
            return
        if number not in self._ids and not self._adopt(observation):
            return
        self._told.add(number)
        trial_id = self._ids[number]
        if not self._trials.get(trial_id).state.is_finished():
            with quiet():
                self._finish(trial_id, *self._outcome(observation))
            self._changed.add(number)

    def _outcome(self, observation: Observation) -> "tuple[TrialState, list[float] | None]":
        from optuna.trial import TrialState

        if observation.outcome is Outcome.STOPPED:
            return TrialState.PRUNED, None
        values = [sign * score for sign, score in zip(self._signs, observation.scores, strict=False)]
        if observation.outcome is Outcome.FAILED or len(values) != len(self._study.directions):
            return TrialState.FAIL, None
        return TrialState.COMPLETE, values

    def _finish(self, trial_id: int, state: "TrialState", values: list[float] | None) -> None:
        """Tell. Optuna writes the end down even where the sampler has something to say against it."""
        from optuna.samplers import GridSampler

        number = self._trials.get(trial_id).number
        try:
            self._study.tell(number, values, state=state)
        except FAILURES as error:  # samplers and constraints may be the user's own
            if is_stop(error):
                self._stop("it")
                return
            if not self._trials.get(trial_id).state.is_finished():
                self._trials.fail(trial_id)
            # GridSampler looks for the grid point of every trial, also of one that was enqueued and has none.
            if not (isinstance(error, KeyError) and isinstance(self._study.sampler, GridSampler)):
                self._remark(f"the study took trial {number} of its own with an error: {error!r}")

    def again(self, number: int) -> None:
        """Add a trial with the same params, as Optuna itself retries: one that has ended in a study stays as it ended."""
        trial_id = self._ids.get(number)
        if trial_id is None or not self._trials.get(trial_id).state.is_finished():
            return
        with quiet():
            data = as_data(as_text(self._trials.get(trial_id)))
            self._ids[number] = self._trials.begin_again(number, data)
        self._told.discard(number)
        self._changed.add(number)

    def forget(self, number: int) -> None:
        """Fail the study's trial, as wandb does with one that never starts."""
        from optuna.trial import TrialState

        trial_id = self._ids.pop(number, None)
        self._configs.pop(number, None)
        self._changed.discard(number)
        if trial_id is not None and not self._trials.get(trial_id).state.is_finished():
            with quiet():
                self._finish(trial_id, TrialState.FAIL, None)

    def _adopt(self, trial: Observation | Pending) -> bool:
        """Take a trial that the study was not asked for: of an earlier sweep, or of an earlier release.

        Its config becomes the params of a trial, if these make that config again; else the study cannot learn from it.
        """
        if trial.number in self._ids or trial.number in self._told:
            return trial.number in self._ids
        from optuna.trial import FixedTrial

        orphan = self._trials.marked(trial.number)
        params = self._definition.params(trial.config)
        try:
            fits = orphan is not None or self._definition.config(FixedTrial(params)) == trial.config
        except Exception:  # noqa: BLE001 - the user's function, given what it never asked for
            fits = False
        if not fits:
            self._told.add(trial.number)
            self._remark(
                "a trial that the study did not ask for does not fit its search space: it is told nothing of it"
            )
            return False
        trial_id = self._trials.create(trial.number, params) if orphan is None else int(orphan._trial_id)  # noqa: SLF001
        self._ids[trial.number] = trial_id
        if orphan is None:
            self._definition.config(self._trials.live(trial_id))
        self._configs[trial.number] = copy.deepcopy(trial.config)
        self._changed.add(trial.number)
        return True

    def remember(self) -> Memory:
        """Return the study's trials that changed, and the study's own state."""
        trials = {n: as_text(self._trials.get(self._ids[n])) for n in sorted(self._changed) if n >= 0}
        if not trials and self._stopped is None:
            self._changed.clear()
            return Memory()
        self._changed.clear()
        state = json.dumps({"stopped": self._stopped, **study_state(self._study)}, default=str)
        changed, self._kept = state != self._kept, state
        return Memory(trials=trials, search=state if changed else None)

    def remarks(self) -> Sequence[str]:
        """Return what the user should know, once each."""
        new, self._remarks = self._remarks, []
        return new

    def restore(self, memory: str | None, trials: Sequence[Remembered]) -> None:
        """Make the study what it was: its trials by their marks, or from the ledger; then its sampler's state."""
        state = None if memory is None else json.loads(memory)
        with quiet():
            marked = {t.system_attrs[MARK]: t for t in self._trials.of() if MARK in t.system_attrs}
            datas = {t.number: as_data(t.record) for t in trials if t.record is not None}
            last = 1 + max((data["number"] for data in datas.values()), default=0)
            for trial in sorted(trials, key=lambda t: datas[t.number]["number"] if t.number in datas else last):
                if trial.number in datas:
                    self._take_up(trial, datas[trial.number], marked.get(self._trials.mark(trial.number)))
            if state is not None:
                self._stopped = state["stopped"]
                set_study_state(self._study, state)

    def _take_up(self, trial: Remembered, data: Mapping[str, Any], found: "FrozenTrial | None") -> None:
        from optuna.trial import TrialState

        self._configs[trial.number] = copy.deepcopy(trial.config)
        state = TrialState[data["state"]]
        trial_id = (
            self._trials.refill(trial.number, data, trial.rows) if found is None else int(found._trial_id)  # noqa: SLF001 - there is no public way
        )
        self._ids[trial.number] = trial_id
        if found is not None and not found.state.is_finished():
            self._trials.report(trial_id, [row for row in trial.rows if row[0] not in found.intermediate_values])
        if found is not None and found.state is not state:
            self._changed.add(trial.number)
        if not trial.over and self._trials.get(trial_id).state.is_finished():
            self._ids[trial.number] = self._trials.begin_again(trial.number, data)
            self._changed.add(trial.number)

    def _stop(self, who: str) -> str:
        sampler = type(self._study.sampler).__name__
        whose = f"its {sampler}" if who == "it" else who
        self._stopped = f"the study was stopped by {whose}"
        return self._stopped

    def _remark(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._remarks.append(text)

    def abandon(self) -> None:
        """Delete the studies that were made for this sweep: who runs the spec again makes them again."""
        self._maker.unmake()
