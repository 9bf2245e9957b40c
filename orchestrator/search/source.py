"""``scheduler: {engine: optuna, source, optimizer, search_space}``: the study and the space of the user's own file.

`optimizer` names a function that takes a `SweepInfo` and returns an Optuna study, or a study and a terminator: a
function of the study that returns True when the search is over. `search_space` names a define-by-run function that
takes an Optuna trial and returns the config. Both mean what they mean to wandb 0.31: the study is told values as the
user knows them, so its direction may be maximize.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.errors import SearchSpaceError
from orchestrator.search.native import Native
from orchestrator.search.protocol import Config, Observation, Outcome, Pending
from orchestrator.search.quiet import quiet
from orchestrator.search.studies import reseed
from orchestrator.search.user_file import UserFile
from orchestrator.space import SearchSpace
from orchestrator.space.nesting import MISSING, value_at
from orchestrator.spec.model import Goal, SweepSpec

if TYPE_CHECKING:
    import optuna


class SourceSearch:
    """Replays the past through a fresh study of the user's, and asks it once more.

    Samplers of Optuna get the sweep's seed; a sampler of the user's own must be deterministic by itself for `resume` to
    propose the same.
    """

    def __init__(self, spec: SweepSpec, space: SearchSpace, seed: int) -> None:
        self._signs = [-1.0 if metric.goal is Goal.MAXIMIZE else 1.0 for metric in spec.objectives]
        self._space = space
        self._seed = seed
        self._file = UserFile.load(spec)
        self._natives = {axis.path: Native.of(axis) for axis in space.axes}
        self._check(spec)

    def suggest(self, number: int, observations: Sequence[Observation], pending: Sequence[Pending]) -> Config | None:
        """Return the study's next config; None when its terminator or its grid says that the search is over."""
        with quiet():
            study, terminator = self._file.make_study()
            for step, observation in enumerate(observations):
                self._replay(study, observation, step)
            for step, trial in enumerate(pending, start=len(observations)):
                self._ask_again(study, trial.config, step)
            if (terminator is not None and terminator(study)) or _is_exhausted(study):
                return None
            reseed(study.sampler, (self._seed, number))
            return self._ask(study)[1]

    def _replay(self, study: "optuna.Study", observation: Observation, step: int) -> None:
        from optuna.trial import TrialState

        trial = self._ask_again(study, observation.config, step)
        values = [sign * score for sign, score in zip(self._signs, observation.scores, strict=False)]
        failed = observation.outcome is Outcome.FAILED or len(values) != len(study.directions)
        try:
            study.tell(trial, state=TrialState.FAIL) if failed else study.tell(trial, values)
        except RuntimeError as error:  # GridSampler tells the study to stop, which only `Study.optimize` can
            if "Study.stop" not in str(error):
                raise

    def _ask_again(self, study: "optuna.Study", config: Config, step: int) -> "optuna.Trial":
        """Ask for a trial with a known config: samplers that keep notes write them again."""
        reseed(study.sampler, (self._seed, step))
        study.enqueue_trial(self._params(config))
        trial = self._ask(study)[0]
        _note_grid(study, trial)
        return trial

    def _ask(self, study: "optuna.Study") -> "tuple[optuna.Trial, Config]":
        if self._file.suggest is not None:
            trial = study.ask()
            return trial, self._file.suggest(trial)
        trial = study.ask({".".join(path): native.distribution for path, native in self._natives.items()})
        params = trial.params
        return trial, self._space.assemble(
            [native.value(params[".".join(path)]) for path, native in self._natives.items()]
        )

    def _params(self, config: Config) -> dict[str, Any]:
        if self._file.suggest is not None:
            return dict(config)
        values = {path: value_at(config, path) for path in self._natives}
        return {".".join(path): self._natives[path].param(v) for path, v in values.items() if v is not MISSING}

    def _check(self, spec: SweepSpec) -> None:
        """Ask a study once, so that a mistake in the file shows before the sweep starts."""
        with quiet():
            study, _ = self._file.make_study()
            goals = [metric.goal.value for metric in spec.objectives]
            directions = [direction.name.lower() for direction in study.directions]
            if goals != directions:
                raise SearchSpaceError(
                    f"scheduler.optimizer: the study's directions {directions} are not the goals of the sweep's "
                    f"metrics, {goals}; create the study with directions={goals}"
                )
            try:
                config = self._ask(study)[1]
            except Exception as error:
                raise SearchSpaceError(f"scheduler.search_space: {type(error).__name__}: {error}") from error
        if not isinstance(config, Mapping):
            raise SearchSpaceError(f"scheduler.search_space returned {type(config).__name__}, it must return a dict")


def _note_grid(study: "optuna.Study", trial: "optuna.Trial") -> None:
    """Write which point of its grid a trial is: GridSampler leaves that out for params that it did not choose."""
    from optuna.samplers import GridSampler

    if not isinstance(study.sampler, GridSampler):
        return
    names, points = study.sampler._param_names, study.sampler._all_grids  # noqa: SLF001 - there is no public way
    tried = tuple(trial.params.get(name) for name in names)
    if tried in points:
        for name, note in (("search_space", study.sampler._search_space), ("grid_id", points.index(tried))):  # noqa: SLF001
            study._storage.set_trial_system_attr(trial._trial_id, name, note)  # noqa: SLF001


def _is_exhausted(study: "optuna.Study") -> bool:
    """Return whether every point of a GridSampler's grid is tried or being tried; no other sampler comes to an end."""
    from optuna.samplers import GridSampler

    if not isinstance(study.sampler, GridSampler):
        return False
    tried = {trial.system_attrs.get("grid_id") for trial in study.get_trials(deepcopy=False)}
    return tried >= set(range(len(study.sampler._all_grids)))  # noqa: SLF001 - `is_exhausted` leaves out what runs
