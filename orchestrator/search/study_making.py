"""Makes a user's Optuna study for a sweep, and refuses one that cannot serve it: before anything runs, without a trace."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from orchestrator.errors import SearchSpaceError
from orchestrator.search.definition import Definition
from orchestrator.search.exhausted import is_stop
from orchestrator.search.protocol import Sweep
from orchestrator.search.quiet import quiet
from orchestrator.search.records import seed_unseeded, unbound_copy
from orchestrator.search.user_file import FAILURES, SweepInfo, Terminator, UserFile, refused, studies_made
from orchestrator.spec.model import SweepSpec

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial


class StudyMaker:
    """Makes one study, and knows what was made for it in storages.

    Args:
        spec: The sweep.
        file: The user's.
        sweep: What is known of the sweep beside its spec.
        seed: For the random states that the user gave none.
    """

    def __init__(self, spec: SweepSpec, file: UserFile, sweep: Sweep, seed: int) -> None:
        self._spec = spec
        self._file = file
        self._sweep = sweep
        self._seed = seed
        self._made: list[tuple[optuna.storages.BaseStorage, int]] = []

    def make(self) -> "tuple[optuna.Study, Terminator | None]":
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
                study = copied(study, study.sampler, study.get_trials())
        if self._sweep.rehearsal:
            self.unmake(study)
        seed_unseeded(study.sampler, self._seed)
        return study, terminator

    def unmake(self, kept: "optuna.Study | None" = None) -> None:
        """Delete the studies that were made in storages, but one."""
        for storage, study_id in self._made:
            if kept is None or storage is not kept._storage:  # noqa: SLF001 - there is no public way
                storage.delete_study(study_id)
        self._made = []

    def check(self, study: "optuna.Study", definition: Definition) -> None:
        """Refuse what cannot work, as W&B does: before anything runs, and without a trace in the study.

        Raises:
            SearchSpaceError: The study does not fit the sweep, or its sampler the space. What was made is deleted.
        """
        try:
            self._check_objectives(study)
            if definition.is_the_users:
                _rehearse(_empty_study(), definition, "search_space")
            try:
                sampler = unbound_copy(study.sampler)
            except Exception:  # noqa: BLE001 - a sampler of the user's own need not be copied
                return
            _rehearse(copied(study, sampler, ()), definition, "optimizer")
        except SearchSpaceError:
            self.unmake()
            raise

    def _check_objectives(self, study: "optuna.Study") -> None:
        goals = [metric.goal.value for metric in self._spec.objectives]
        directions = [direction.name.lower() for direction in study.directions]
        if goals != directions:
            raise refused(
                "optimizer",
                f"the study's directions {directions} are not the goals of the sweep's metrics, {goals}; create the study "
                f"with {f'directions={goals}' if len(goals) != 1 else f'direction={goals[0]!r}'}",
            )
        given, names = study.metric_names, [metric.name for metric in self._spec.objectives]
        if given and list(given) != names:
            raise refused("optimizer", f"the study's metric names {list(given)} are not those of the sweep, {names}")


def _rehearse(study: "optuna.Study", definition: Definition, key: str) -> None:
    try:
        definition.config(study.ask())
    except SearchSpaceError:
        raise
    except FAILURES as error:
        if is_stop(error):
            return
        said = f"{type(error).__name__}: {error}"
        if key != "search_space":
            said = f"the study's {type(study.sampler).__name__} does not fit the search space: {said}"
        raise refused(key, said) from error


def _empty_study() -> "optuna.Study":
    import optuna

    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))


def copied(
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
