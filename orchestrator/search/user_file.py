"""The Python file of a user's scheduler: its functions, checked before a sweep starts."""

import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from orchestrator import confined
from orchestrator.errors import SearchSpaceError
from orchestrator.search.native import as_wandb
from orchestrator.spec.model import Scheduler, SweepSpec

if TYPE_CHECKING:
    import optuna

Terminator: TypeAlias = "Callable[[optuna.Study], bool]"
MakeStudy: TypeAlias = "Callable[[], tuple[optuna.Study, Terminator | None]]"
SuggestParams: TypeAlias = "Callable[[optuna.Trial], Mapping[str, Any]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepInfo:
    """What the user's `optimizer` function is given: the attributes of wandb's class of this name."""

    id: str
    name: str
    entity: str
    project: str
    config: Mapping[str, Any]
    controller_run_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFile:
    """What the file defines.

    Attributes:
        make_study: Returns a fresh study, and a terminator or None.
        suggest: The define-by-run function; None when the sweep's parameters are the space.
    """

    make_study: MakeStudy
    suggest: "SuggestParams | None"

    @classmethod
    def load(cls, spec: SweepSpec) -> "UserFile":
        """Import the file that a spec's scheduler names.

        Raises:
            SearchSpaceError: The file or a function is missing, raises, or takes or returns something else.
        """
        assert spec.scheduler is not None
        module = _module(spec.scheduler)
        optimizer, search_space = spec.scheduler.optimizer, spec.scheduler.search_space
        make_study = _default_study(spec)
        if optimizer is not None:
            make_study = _study_maker(_function(module, "optimizer", optimizer, takes="a SweepInfo"), spec)
        suggest = None
        if search_space is not None:
            suggest = _function(module, "search_space", search_space, takes="an optuna.Trial")
        return cls(make_study=make_study, suggest=suggest)


def _module(scheduler: Scheduler) -> ModuleType:
    if scheduler.source is None:
        raise SearchSpaceError("scheduler.source must name the Python file that defines the scheduler's functions")
    path = Path(scheduler.source)
    if not confined.is_file(path):
        raise SearchSpaceError(f"scheduler.source: there is no file {scheduler.source!r} in {Path.cwd()}")
    spec = importlib.util.spec_from_file_location(f"sweep_source_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise SearchSpaceError(f"scheduler.source: {scheduler.source!r} is not a Python file (*.py)")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SearchSpaceError(f"scheduler.source {scheduler.source}: {type(error).__name__}: {error}") from error
    return module


def _function(module: ModuleType, key: str, name: str, *, takes: str) -> Callable[[Any], Any]:
    function = getattr(module, name, None)
    if function is None:
        raise SearchSpaceError(f"scheduler.{key}: {module.__file__} does not define {name!r}")
    try:
        inspect.signature(function).bind(object())
    except TypeError as error:
        raise SearchSpaceError(f"scheduler.{key}: {name!r} must be a function of one argument, {takes}") from error
    return function  # type: ignore[no-any-return]


def _default_study(spec: SweepSpec) -> MakeStudy:
    import optuna

    directions = [metric.goal.value for metric in spec.objectives] or ["minimize"]
    return lambda: (optuna.create_study(directions=directions), None)


def _study_maker(optimizer: Callable[[SweepInfo], Any], spec: SweepSpec) -> MakeStudy:
    info = SweepInfo(
        id="", name=spec.name or "", entity=spec.entity or "", project=spec.project or "", config=as_wandb(spec)
    )

    def make_study() -> "tuple[optuna.Study, Terminator | None]":
        import optuna

        try:
            made = optimizer(info)
        except Exception as error:
            raise SearchSpaceError(f"scheduler.optimizer: {type(error).__name__}: {error}") from error
        study, terminator = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
        if not isinstance(study, optuna.Study) or not (terminator is None or callable(terminator)):
            raise SearchSpaceError(
                f"scheduler.optimizer returned {type(made).__name__}; it must return an optuna.Study, or a study and a "
                "function of the study that says whether the search is over"
            )
        return study, terminator

    return make_study
