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

import numpy as np

from orchestrator.errors import SearchSpaceError
from orchestrator.search.exhausted import is_stop, why_exhausted
from orchestrator.search.native import Native
from orchestrator.search.protocol import Config, Memory, Observation, Outcome, Pending, Remembered, Row, Sweep
from orchestrator.search.quiet import quiet
from orchestrator.search.records import as_data, as_text, fill, seed_unseeded, set_state, state_of, unbound_copy
from orchestrator.search.user_file import SweepInfo, Terminator, UserFile, refused, studies_made
from orchestrator.space import SearchSpace
from orchestrator.space.nesting import MISSING, value_at
from orchestrator.spec.model import Nested, Parameter, SweepSpec

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial, TrialState

_SCALARS = str | int | float | None
"""Values that a categorical parameter of Optuna may have in any storage."""

MARK = "sweep_orchestrator:trial"
"""The attribute that says which trial of which sweep a study's trial is: written together with it, so that a trial which was
asked for just before its controller died is found again."""


class SourceSearch:
    """The user's study, asked and told.

    A random state that the user gave no seed gets the sweep's. The study's trials, where they were asked for and how they
    ended, are kept in the ledger as they change; a study in memory is filled from there on `restore`, one in a storage is
    found as it is and only told what it missed.
    """

    def __init__(self, spec: SweepSpec, space: SearchSpace, seed: int, sweep: Sweep) -> None:
        self._spec = spec
        self._space = space
        self._seed = seed
        self._sweep = sweep
        self._signs = [metric.goal.sign for metric in spec.objectives]
        self._natives = _natives(spec, space)
        self._first = [dict(config) for config in spec.options.first]
        self._file = UserFile.load(spec, sweep)
        self.over: str | None = None
        self._stopped: str | None = None
        self._made: list[tuple[optuna.storages.BaseStorage, int]] = []
        self._study, self._terminator = self._make()
        self._ids: dict[int, int] = {}
        self._configs: dict[int, Config] = {}
        self._told: set[int] = set()
        self._changed: set[int] = set()
        self._kept: str | None = None
        self._remarks: list[str] = []
        self._said: set[str] = set()
        with quiet():
            self._check()

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
        except Exception as error:
            if is_stop(error):
                return self._stop("its terminator")
            raise refused("optimizer", f"its terminator raised {type(error).__name__}: {error}") from error
        return why_exhausted(self._study)

    def _ask(self, number: int) -> Config | None:
        """Ask the study for one trial. Its mark is written with it: it can be found though nobody gets to write it down."""
        self._study._thread_local.cached_all_trials = None  # noqa: SLF001 - as `Study.ask` begins
        trial_id = next(
            found for find in (self._orphan, self._enqueued, self._fresh) if (found := find(number)) is not None
        )
        self._ids[number] = trial_id
        try:
            config = self._define(self._trial(trial_id))
        except Exception as error:
            self.forget(number)
            if is_stop(error):
                self.over = self._stop("it")
                return None
            if isinstance(error, SearchSpaceError):
                raise
            key = "search_space" if self._file.suggest is not None else "optimizer"
            raise refused(key, f"{type(error).__name__}: {error}") from error
        self._configs[number] = copy.deepcopy(config)
        self._changed.add(number)
        return config

    def _define(self, trial: "optuna.Trial | optuna.trial.FixedTrial") -> Config:
        """Let the space be defined, by the user's function or by the sweep's parameters, and return the config."""
        if self._file.suggest is not None:
            config = self._file.suggest(trial)
            if not isinstance(config, Mapping):
                raise refused("search_space", f"returned {type(config).__name__}, it must return a dict", colon=False)
            return {str(name): _json(value) for name, value in config.items()}
        for name, native in self._natives.items():
            trial._suggest(name, native.distribution)  # noqa: SLF001 - as `Study.ask(fixed_distributions)` does
        params = trial.params
        return self._space.assemble(
            [self._natives[name].value(params[name]) for name in (".".join(axis.path) for axis in self._space.axes)]
        )

    def _trial(self, trial_id: int) -> "optuna.Trial":
        from optuna import Trial

        return Trial(self._study, trial_id)

    def _enqueued(self, number: int) -> int | None:
        """Take the next trial that the user has enqueued."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        if number < len(self._first):
            return None
        for waiting in self._trials(TrialState.WAITING):
            try:
                self._storage.set_trial_system_attr(waiting._trial_id, MARK, self._mark(number))  # noqa: SLF001
                if self._storage.set_trial_state_values(waiting._trial_id, state=TrialState.RUNNING):  # noqa: SLF001
                    return int(waiting._trial_id)  # noqa: SLF001 - there is no public way
            except UpdateFinishedTrialError:
                continue  # another process has taken it
        return None

    def _fresh(self, number: int) -> int:
        return self._created(number, self._fixed(number))

    def _created(self, number: int, fixed: Mapping[str, Any] | None) -> int:
        from optuna.trial import TrialState, create_trial

        notes: dict[str, Any] = {MARK: self._mark(number)} | ({"fixed_params": dict(fixed)} if fixed else {})
        template = create_trial(state=TrialState.RUNNING, system_attrs=notes)
        return int(self._storage.create_new_trial(self._study._study_id, template_trial=template))  # noqa: SLF001

    def _fixed(self, number: int) -> Mapping[str, Any] | None:
        """The params of a config that the spec wants tried first; what it leaves out is the sampler's."""
        return self._params(self._first[number]) if 0 <= number < len(self._first) else None

    def _orphan(self, number: int) -> int | None:
        """A trial that was asked for under this number and never written down."""
        from optuna.trial import TrialState

        if not self._sweep.id:
            return None
        found = (t for t in self._trials(TrialState.RUNNING) if t.system_attrs.get(MARK) == self._mark(number))
        orphan = next(found, None)
        if orphan is None:
            return None
        self._draw_again(orphan)
        return int(orphan._trial_id)  # noqa: SLF001 - there is no public way

    def _draw_again(self, orphan: "FrozenTrial") -> None:
        """Ask a copy of the study for what the orphan was asked for, so that the sampler's random state gets beyond it."""
        from optuna.trial import TrialState

        others = [t for t in self._trials() if t.number != orphan.number and t.state is not TrialState.WAITING]
        with suppress(Exception):
            sampler = unbound_copy(self._study.sampler)
            self._define(_copied(self._study, sampler, others).ask())
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
        self._storage.set_trial_intermediate_value(trial_id, step, float(value))
        pruner = self._study.pruner
        if isinstance(pruner, NopPruner):
            return None
        trial = self._storage.get_trial(trial_id)
        try:
            # A trial that began again has yet to get beyond what its earlier attempt reported.
            if trial.last_step != step or not pruner.prune(self._study, trial):
                return None
        except Exception as error:  # noqa: BLE001 - the pruner may be the user's own
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
        if not self._storage.get_trial(trial_id).state.is_finished():
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
        from optuna.trial import TrialState

        number = self._storage.get_trial(trial_id).number
        try:
            self._study.tell(number, values, state=state)
        except Exception as error:  # noqa: BLE001 - samplers and constraints may be the user's own
            if is_stop(error):
                self._stop("it")
                return
            if not self._storage.get_trial(trial_id).state.is_finished():
                self._storage.set_trial_state_values(trial_id, state=TrialState.FAIL)
            # GridSampler looks for the grid point of every trial, also of one that was enqueued and has none.
            if not (isinstance(error, KeyError) and isinstance(self._study.sampler, GridSampler)):
                self._remark(f"the study took trial {number} of its own with an error: {error!r}")

    def forget(self, number: int) -> None:
        """Fail the study's trial, as wandb does with one that never starts."""
        from optuna.trial import TrialState

        trial_id = self._ids.pop(number, None)
        self._configs.pop(number, None)
        self._changed.discard(number)
        if trial_id is not None and not self._storage.get_trial(trial_id).state.is_finished():
            with quiet():
                self._finish(trial_id, TrialState.FAIL, None)

    def _adopt(self, trial: Observation | Pending) -> bool:
        """Take a trial that the study was not asked for: of an earlier sweep, or of an earlier release.

        Its config becomes the params of a trial, if these make that config again; else the study cannot learn from it.
        """
        if trial.number in self._ids or trial.number in self._told:
            return trial.number in self._ids
        from optuna.trial import FixedTrial

        orphan = self._anybody(trial.number)
        params = self._params(trial.config)
        try:
            fits = orphan is not None or self._define(FixedTrial(params)) == trial.config
        except Exception:  # noqa: BLE001 - the user's function, given what it never asked for
            fits = False
        if not fits:
            self._told.add(trial.number)
            self._remark(
                "a trial that the study did not ask for does not fit its search space: it is told nothing of it"
            )
            return False
        trial_id = self._created(trial.number, params) if orphan is None else orphan
        self._ids[trial.number] = trial_id
        if orphan is None:
            self._define(self._trial(trial_id))
        self._configs[trial.number] = copy.deepcopy(trial.config)
        self._changed.add(trial.number)
        return True

    def _anybody(self, number: int) -> int | None:
        """A trial of the study, in any state, that bears a number."""
        if not self._sweep.id:
            return None
        found = (trial for trial in self._trials() if trial.system_attrs.get(MARK) == self._mark(number))
        return next((int(trial._trial_id) for trial in found), None)  # noqa: SLF001 - there is no public way

    def _params(self, config: Config) -> dict[str, Any]:
        if self._file.suggest is not None:
            return dict(config)
        values = {name: value_at(config, native.path) for name, native in self._natives.items()}
        return {name: self._natives[name].param(value) for name, value in values.items() if value is not MISSING}

    def remember(self) -> Memory:
        """Return the study's trials that changed, and the study's own state."""
        trials = {n: as_text(self._storage.get_trial(self._ids[n])) for n in sorted(self._changed) if n >= 0}
        if not trials and self._stopped is None:
            self._changed.clear()
            return Memory()
        self._changed.clear()
        state = json.dumps(self._state(), default=str)
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
            marked = {t.system_attrs[MARK]: t for t in self._trials() if MARK in t.system_attrs}
            datas = {t.number: as_data(t.record) for t in trials if t.record is not None}
            last = 1 + max((data["number"] for data in datas.values()), default=0)
            for trial in sorted(trials, key=lambda t: datas[t.number]["number"] if t.number in datas else last):
                if trial.number in datas:
                    self._take_up(trial, datas[trial.number], marked.get(self._mark(trial.number)))
            if state is not None:
                self._set_state(state)

    def _take_up(self, trial: Remembered, data: Mapping[str, Any], found: "FrozenTrial | None") -> None:
        from optuna.trial import TrialState

        self._configs[trial.number] = copy.deepcopy(trial.config)
        state = TrialState[data["state"]]
        trial_id = self._refilled(trial, data, state) if found is None else int(found._trial_id)  # noqa: SLF001
        self._ids[trial.number] = trial_id
        if found is not None and not found.state.is_finished():
            self._give_rows(trial_id, [row for row in trial.rows if row[0] not in found.intermediate_values])
        if found is not None and found.state is not state:
            self._changed.add(trial.number)
        if not trial.over and self._storage.get_trial(trial_id).state.is_finished():
            self._begin_again(trial.number, data)

    def _refilled(self, trial: Remembered, data: Mapping[str, Any], state: "TrialState") -> int:
        """Write a trial of the ledger into the study: where it had been enqueued, or behind the others."""
        fixed = data["system_attrs"].get("fixed_params")
        trial_id = self._waiting_for(fixed) if fixed is not None else None
        if trial_id is None:
            trial_id = self._created(trial.number, None)
        fill(self._storage, trial_id, data)
        self._give_rows(trial_id, trial.rows)
        if state.is_finished():
            self._storage.set_trial_state_values(trial_id, state=state, values=data["values"])
        return trial_id

    def _waiting_for(self, fixed: Mapping[str, Any]) -> int | None:
        from optuna.trial import TrialState

        for waiting in self._trials(TrialState.WAITING):
            if waiting.system_attrs.get("fixed_params") == fixed:
                self._storage.set_trial_state_values(waiting._trial_id, state=TrialState.RUNNING)  # noqa: SLF001
                return int(waiting._trial_id)  # noqa: SLF001 - there is no public way
        return None

    def _give_rows(self, trial_id: int, rows: Sequence[Row]) -> None:
        if len(self._study.directions) == 1:
            for step, value in rows:
                if step >= 0:
                    self._storage.set_trial_intermediate_value(trial_id, step, value)

    def _begin_again(self, number: int, data: Mapping[str, Any]) -> None:
        """Let a trial that the study has as ended run once more, as another trial of the study with the same params."""
        again = {**data, "system_attrs": {k: v for k, v in data["system_attrs"].items() if k != MARK}}
        fixed = {name: d.to_external_repr(data["params"][name]) for name, d in data["distributions"].items()}
        self._ids[number] = self._created(number, fixed)
        fill(self._storage, self._ids[number], again)
        self._changed.add(number)

    def _state(self) -> dict[str, Any]:
        attrs = self._storage.get_study_system_attrs(self._study._study_id) if self._in_memory else {}  # noqa: SLF001
        return {
            "name": self._study.study_name,
            "stopped": self._stopped,
            "sampler": state_of(self._study.sampler),
            "attrs": attrs,
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        set_state(self._study.sampler, state["sampler"])
        self._stopped = state["stopped"]
        if self._in_memory:  # its name is drawn when it has none; HyperbandPruner sorts trials into brackets by it
            self._storage._studies[self._study._study_id].name = state["name"]  # noqa: SLF001
        for name, value in state["attrs"].items():
            self._storage.set_study_system_attr(self._study._study_id, name, value)  # noqa: SLF001

    @property
    def _storage(self) -> "optuna.storages.BaseStorage":
        return self._study._storage  # noqa: SLF001 - what Optuna's samplers use too; there is no public way

    @property
    def _in_memory(self) -> bool:
        from optuna.storages import InMemoryStorage

        return isinstance(self._storage, InMemoryStorage)

    def _trials(self, *states: "TrialState") -> "list[FrozenTrial]":
        found: list[FrozenTrial] = self._storage.get_all_trials(
            self._study._study_id,  # noqa: SLF001 - there is no public way
            deepcopy=False,
            states=states or None,
        )
        return found

    def _mark(self, number: int) -> str:
        return f"{self._sweep.id}/{number}"

    def _stop(self, who: str) -> str:
        sampler = type(self._study.sampler).__name__
        whose = f"its {sampler}" if who == "it" else who
        self._stopped = f"the study was stopped by {whose}"
        return self._stopped

    def _remark(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._remarks.append(text)

    def _make(self) -> "tuple[optuna.Study, Terminator | None]":
        """Make the study; of a rehearsal a copy in memory, and nothing stays where the original was made."""
        import optuna

        known = None if self._sweep.memory is None else json.loads(self._sweep.memory)["name"]
        with quiet(), studies_made(known) as self._made:
            if self._file.optimizer is None:
                directions = [metric.goal.value for metric in self._spec.objectives] or ["minimize"]
                study = optuna.create_study(directions=directions, pruner=optuna.pruners.NopPruner())
                terminator = None
            else:
                info = SweepInfo.of(self._spec, self._sweep)
                study, terminator = self._file.make(info, optuna.Study, "an optuna.Study")
            if self._sweep.rehearsal:
                with suppress(Exception):  # a sampler of the user's own need not be copied
                    study.sampler = unbound_copy(study.sampler)
                study = _copied(study, study.sampler, study.get_trials())
        if self._sweep.rehearsal:
            self._unmake(study)
        seed_unseeded(study.sampler, self._seed)
        return study, terminator

    def abandon(self) -> None:
        """Delete the studies that were made for this sweep: who runs the spec again makes them again."""
        self._unmake()

    def _unmake(self, kept: "optuna.Study | None" = None) -> None:
        """Delete the studies that were made in storages, but one."""
        for storage, study_id in self._made:
            if kept is None or storage is not kept._storage:  # noqa: SLF001 - there is no public way
                storage.delete_study(study_id)
        self._made = []

    def _check(self) -> None:
        """Refuse what cannot work, as W&B does: before anything runs, and without a trace in the study."""
        try:
            self._check_objectives()
            if self._file.suggest is not None:
                self._rehearse(_empty_study(), "search_space")
            try:
                sampler = unbound_copy(self._study.sampler)
            except Exception:  # noqa: BLE001 - a sampler of the user's own need not be copied
                return
            self._rehearse(_copied(self._study, sampler, ()), "optimizer")
        except SearchSpaceError:
            self._unmake()
            raise

    def _check_objectives(self) -> None:
        goals = [metric.goal.value for metric in self._spec.objectives]
        directions = [direction.name.lower() for direction in self._study.directions]
        if goals != directions:
            raise refused(
                "optimizer",
                f"the study's directions {directions} are not the goals of the sweep's metrics, {goals}; create the study "
                f"with {f'directions={goals}' if len(goals) != 1 else f'direction={goals[0]!r}'}",
            )
        given, names = self._study.metric_names, [metric.name for metric in self._spec.objectives]
        if given and list(given) != names:
            raise refused("optimizer", f"the study's metric names {list(given)} are not those of the sweep, {names}")

    def _rehearse(self, study: "optuna.Study", key: str) -> None:
        try:
            self._define(study.ask())
        except SearchSpaceError:
            raise
        except Exception as error:
            if is_stop(error):
                return
            said = f"{type(error).__name__}: {error}"
            if key != "search_space":
                said = f"the study's {type(study.sampler).__name__} does not fit the search space: {said}"
            raise refused(key, said) from error


def _natives(spec: SweepSpec, space: SearchSpace) -> dict[str, Native]:
    """Return the sweep's parameters as Optuna's, in the order in which the spec has them."""
    by_path = {axis.path: Native.of(axis) for axis in space.axes}
    by_path |= {path: Native.constant(path, v) for path, v in space.constants.items() if isinstance(v, _SCALARS)}
    return {".".join(path): by_path[path] for path in _paths(spec.parameters) if path in by_path}


def _paths(parameters: Mapping[str, Parameter], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    paths: list[tuple[str, ...]] = []
    for name, parameter in parameters.items():
        path = (*above, name)
        paths += _paths(parameter.parameters, path) if isinstance(parameter, Nested) else [path]
    return paths


def _json(value: Any) -> Any:
    """Return a value as the ledger and W&B keep it."""
    if isinstance(value, Mapping):
        return {str(name): _json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _empty_study() -> "optuna.Study":
    import optuna

    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))


def _copied(
    study: "optuna.Study", sampler: "optuna.samplers.BaseSampler", trials: "Sequence[FrozenTrial]"
) -> "optuna.Study":
    """Return a study in memory with the same name, directions, sampler and pruner, and some of the trials."""
    import optuna

    copied = optuna.create_study(
        directions=study.directions, sampler=sampler, pruner=study.pruner, study_name=study.study_name
    )
    for name, value in study.user_attrs.items():
        copied.set_user_attr(name, value)
    if study.metric_names:
        copied.set_metric_names(study.metric_names)
    copied.add_trials(trials)
    return copied
