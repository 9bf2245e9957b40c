"""The Python file of a user's scheduler: its functions, checked before a sweep starts."""

import importlib.util
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from orchestrator import confined
from orchestrator.errors import SearchSpaceError
from orchestrator.search.protocol import Sweep
from orchestrator.spec.dump import to_dict
from orchestrator.spec.model import Scheduler, SweepSpec

if TYPE_CHECKING:
    import optuna

Terminator: TypeAlias = Callable[[Any], bool]
FAILURES = (Exception, SystemExit)
"""What a function of the user's may raise: `sys.exit` in one must not end the sweep in silence."""

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

    @classmethod
    def of(cls, spec: SweepSpec, sweep: Sweep) -> "SweepInfo":
        """Return what there is to know about a sweep."""
        return cls(
            id=sweep.id,
            name=sweep.name or spec.name or sweep.id,
            entity=sweep.entity or spec.entity or "",
            project=sweep.project or spec.project or "",
            config=to_dict(spec),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFile:
    """What the file defines.

    Attributes:
        optimizer: Returns the engine's own object, and a terminator or None; None when the spec names no such function.
        suggest: The define-by-run function; None when the sweep's parameters are the space.
    """

    optimizer: Callable[[SweepInfo], Any] | None = None
    suggest: "SuggestParams | None" = None

    @classmethod
    def load(cls, spec: SweepSpec, sweep: Sweep) -> "UserFile":
        """Import the file that a spec's scheduler names.

        Raises:
            SearchSpaceError: The file or a function is missing, raises, or takes something else.
        """
        assert spec.scheduler is not None
        optimizer, search_space = spec.scheduler.optimizer, spec.scheduler.search_space
        if not optimizer and search_space is None:
            return cls()
        module = _module(spec.scheduler, Path(sweep.cwd or Path.cwd()))
        return cls(
            optimizer=_function(module, "optimizer", optimizer, takes="a SweepInfo") if optimizer else None,
            suggest=_function(module, "search_space", search_space, takes="an optuna.Trial")
            if search_space is not None
            else None,
        )

    def make(self, info: SweepInfo, kind: type, shown: str) -> tuple[Any, Terminator | None]:
        """Call the optimizer and return what it made, of type `kind`, and its terminator if it has one.

        Raises:
            SearchSpaceError: It raises, or returns something else.
        """
        assert self.optimizer is not None
        try:
            made = self.optimizer(info)
        except FAILURES as error:
            raise refused("optimizer", f"{type(error).__name__}: {error}{_remedy(error)}") from error
        engine, terminator = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
        if not isinstance(engine, kind) or not (terminator is None or callable(terminator)):
            raise refused(
                "optimizer",
                f"{_name(self.optimizer)} returned {_described(made)}; it must return {shown}, or that and a function of "
                "it that returns True when the search is over",
                colon=False,
            )
        return engine, terminator


@contextmanager
def studies_made(known: str | None = None) -> "Iterator[list[tuple[optuna.storages.BaseStorage, int]]]":
    """Note which studies are created in storages while this is open.

    Args:
        known: The name of a study that is loaded, when it exists, whatever its `create_study` says of `load_if_exists`; what
            is enqueued or added there again is there already.
    """
    from optuna.storages import GrpcStorageProxy, InMemoryStorage, JournalStorage, _CachedStorage

    made: list[tuple[optuna.storages.BaseStorage, int]] = []
    kinds = (GrpcStorageProxy, InMemoryStorage, JournalStorage, _CachedStorage)
    before = [(kind, kind.create_new_study, kind.create_new_trial) for kind in kinds]
    for kind, create_study, create_trial in before:
        kind.create_new_study = _noting(create_study, known, made)
        kind.create_new_trial = _once(create_trial, known)
    try:
        yield made
    finally:
        for kind, create_study, create_trial in before:
            kind.create_new_study, kind.create_new_trial = create_study, create_trial


def _noting(create: Callable[..., int], known: str | None, made: list[Any]) -> Callable[..., int]:
    from optuna.exceptions import DuplicatedStudyError

    def create_new_study(storage: Any, directions: Any, study_name: str | None = None) -> int:
        try:
            study_id = create(storage, directions, study_name)
        except DuplicatedStudyError:
            if study_name is None or study_name != known:
                raise
            return int(storage.get_study_id_from_name(study_name))
        made.append((storage, study_id))
        return study_id

    return create_new_study


def _once(create: Callable[..., int], known: str | None) -> Callable[..., int]:
    left: dict[int, list[Any]] = {}

    def create_new_trial(storage: Any, study_id: int, template_trial: Any = None) -> int:
        if known is None or template_trial is None or storage.get_study_name_from_id(study_id) != known:
            return create(storage, study_id, template_trial)
        if study_id not in left:
            left[study_id] = storage.get_all_trials(study_id, deepcopy=False)
        same = next((trial for trial in left[study_id] if _is_same(trial, template_trial)), None)
        if same is None:
            return create(storage, study_id, template_trial)
        left[study_id].remove(same)
        return int(same._trial_id)  # noqa: SLF001 - there is no public way

    return create_new_trial


def _is_same(trial: Any, template: Any) -> bool:
    """Return whether a trial is what became of one that a user had enqueued, or added with its values."""
    if template.state.is_finished():
        return bool(
            trial.state is template.state and trial.params == template.params and trial.values == template.values
        )
    wanted = template.system_attrs.get("fixed_params")
    return wanted is not None and bool(trial.system_attrs.get("fixed_params") == wanted)


def _module(scheduler: Scheduler, cwd: Path) -> ModuleType:
    if not scheduler.source:
        raise refused("source", "must name the Python file that defines the scheduler's functions", colon=False)
    path = cwd / scheduler.source
    if not confined.is_file(path):
        raise refused("source", f"there is no file {scheduler.source!r} in {cwd}")
    spec = importlib.util.spec_from_file_location(f"sweep_source_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise refused("source", f"{scheduler.source!r} is not a Python file (*.py)")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except FAILURES as error:
        raise refused("source", f"{scheduler.source}: {type(error).__name__}: {error}") from error
    return module


def _function(module: ModuleType, key: str, name: str, *, takes: str) -> Callable[[Any], Any]:
    function = getattr(module, name, None)
    if function is None:
        raise refused(key, f"{module.__file__} does not define {name!r}")
    try:
        inspect.signature(function).bind(object())
    except TypeError as error:
        raise refused(key, f"{name!r} must be a function of one argument, {takes}") from error
    return function  # type: ignore[no-any-return]


def refused(key: str, message: str, *, colon: bool = True) -> SearchSpaceError:
    """Return the error that says what is wrong with a key of the scheduler."""
    return SearchSpaceError(f"scheduler.{key}{':' if colon else ''} {message}", where=f"scheduler.{key}")


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", function))


def _described(made: object) -> str:
    return f"a tuple of {len(made)} items" if isinstance(made, tuple) and len(made) != 2 else type(made).__name__


def _remedy(error: BaseException) -> str:
    if type(error).__name__ != "DuplicatedStudyError":
        return ""
    return ". To go on with that study: optuna.create_study(..., load_if_exists=True)"
