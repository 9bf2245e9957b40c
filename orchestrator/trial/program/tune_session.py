"""What `ray.tune.report` and its like find inside a trial, by whatever name and from wherever a program imported them.

Ray's functions look for the session of their process: they find this one. Those that refuse to (`ray.train.report` in a
Tune program, `tune.report(loss=0.3)` of older versions) are changed in place, as function objects: a name that a program
imported before, or that another module holds, means the same function.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestrator.layout import run_id
from orchestrator.trial.capture import process as capture
from orchestrator.trial.capture.patching import Patch, Patches
from orchestrator.trial.capture.sigterm import ignore_sigterm, uninterruptible
from orchestrator.trial.contract.launch import Launch
from orchestrator.trial.processes import command_line
from orchestrator.trial.program.checkpoints import Checkpoints
from orchestrator.trial.program.tune_results import Progress, counts_of, metrics_of, reached, step_of

RAYS_OWN_WORKER = "default_worker.py"


def install(launch: Launch) -> Session | None:
    """Let this process of a trial be a Tune session. None in a worker of a Ray that the trial itself started."""
    if any(word.endswith(RAYS_OWN_WORKER) for word in command_line()):
        return None  # a program that runs a Tuner of its own: its trials are that Tuner's
    session = Session(launch)
    patches: dict[str, Patch] = {
        "ray.train._internal.session": session.stand_in,
        "ray.train.v2.api.train_fn_utils": session.take_over,
        "ray.tune.trainable.trainable_fn_utils": session.take_over,
        "ray.tune.context": session.take_over,
        "ray.tune": session.add_old_names,
        "ray.train": session.add_old_names,
    }
    Patches(patches).install()
    return session


class Session:
    """A trial as Tune's functions see it."""

    world_rank = None
    """What tells a Tune session from one of Ray Train."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._checkpoints = Checkpoints(launch.dir)
        self._counted: tuple[Progress, int] | None = None
        self._drawer: Path | None = None
        self._over = False
        self._muted = False
        self.context: Any = Context(launch)

    def stand_in(self, module: ModuleType) -> None:
        """Be the session of this process; one that Ray itself begins here comes first."""
        begin = module.init_session

        def init_session(*args: Any, **kwargs: Any) -> None:
            if vars(module)["_session"] is self:
                vars(module)["_session"] = None
            begin(*args, **kwargs)

        vars(module).update(_session=self, init_session=init_session)

    def take_over(self, module: ModuleType) -> None:
        """Answer a module's functions."""
        if hasattr(module, "TuneContext"):
            self.context = type("TuneContext", (Context, module.TuneContext), {})(self._launch)
        for name in ("report", "get_checkpoint", "get_context"):
            function = getattr(module, name, None)
            if isinstance(function, types.FunctionType):
                rebind(function, getattr(self, name))

    def add_old_names(self, module: ModuleType) -> None:
        """Give a module the names that older versions had."""
        old = {
            "get_trial_id": self.context.get_trial_id,
            "get_trial_name": self.context.get_trial_name,
            "get_trial_dir": self.context.get_trial_dir,
            "get_trial_resources": self.context.get_trial_resources,
            "is_session_enabled": lambda: True,
            "checkpoint_dir": self.checkpoint_dir,
            "world_size": self.context.get_world_size,
            "world_rank": self.context.get_world_rank,
            "local_rank": self.context.get_local_rank,
        }
        for name, function in old.items():
            if not hasattr(module, name):
                setattr(module, name, function)

    def report(self, metrics: Any = None, /, *, checkpoint: Any = None, **more: Any) -> None:
        """Report a row and keep its checkpoint; the last one of a trial ends the program, as with Tune.

        Args:
            metrics: Values by name; older versions took them as keywords, and a single number as ``_metric``.
            checkpoint: A `ray.tune.Checkpoint`.
            more: More metrics.

        Raises:
            SystemExit: The row says `done`, or meets a condition of ``orchestrator.stop``.
        """
        if self._over:
            raise SystemExit(0)
        if self._muted:
            return
        row = _row(metrics, more)
        partial = self._copied(checkpoint)
        progress, before = self._so_far()
        result = progress.complete(row)
        step = step_of(result, before)
        self._counted = (progress, step)
        self._over = reached(result, self._launch.stop)
        if self._over:
            end_undisturbed()
        with uninterruptible:
            # A row without its checkpoint is repeated by the next attempt; a checkpoint without its row would be a row lost.
            send(metrics_of(result, row, self._launch.metric), step)
            if partial is not None:
                self._checkpoints.publish(partial, counts_of(result) | {"step": step})
        if self._over:
            raise SystemExit(0)

    def get_checkpoint(self) -> Any:
        """Return the latest checkpoint, or None."""
        from ray.tune import Checkpoint

        latest = self._checkpoints.lend()
        return None if latest is None else Checkpoint.from_directory(str(latest))

    def get_context(self) -> Any:
        """Return what there is to know about the trial."""
        return self.context

    @contextlib.contextmanager
    def checkpoint_dir(self, step: Any = None) -> Iterator[str]:  # noqa: ARG002 - as its callers name it
        """Yield a directory whose content becomes the checkpoint of the next report, as older versions had it."""
        drawer = Path(tempfile.mkdtemp(dir=self._launch.trial_dir, prefix=".checkpoint-"))
        yield str(drawer)
        self._drop_drawer()
        self._drawer = drawer

    def latest(self) -> str | None:
        """Return the directory of the latest checkpoint, or None."""
        found = self._checkpoints.lend()
        return None if found is None else str(found)

    def mute(self) -> None:
        """Report nothing from now on: the program is a class, whose steps are what Tune hears of."""
        self._muted = True

    def close(self) -> None:
        """Keep only the newest checkpoint."""
        self._drop_drawer()
        self._checkpoints.prune()

    @property
    def loaded_checkpoint(self) -> Any:
        """The latest checkpoint."""
        return self.get_checkpoint()

    def __getattr__(self, name: str) -> Any:
        """Answer Ray's own questions about a session from the context: ``trial_id`` is what its ``get_trial_id`` says."""
        getter = getattr(Context, f"get_{name}", None)
        if name in RANKS or getter is None:
            if name in RANKS:
                return None  # as in every Tune session
            raise AttributeError(name)
        return getter(self.context)

    def _so_far(self) -> tuple[Progress, int]:
        if self._counted is None:
            latest = self._checkpoints.latest()
            counts = {} if latest is None else latest.counts
            self._counted = (Progress(counts), int(counts.get("step", counts.get("training_iteration", 0))))
        return self._counted

    def _copied(self, checkpoint: Any) -> Path | None:
        if checkpoint is None and self._drawer is None:
            return None
        partial = self._checkpoints.begin()
        if checkpoint is None:
            shutil.copytree(self._drawer or "", partial, dirs_exist_ok=True)
            self._drop_drawer()
            return partial
        with checkpoint.as_directory() as directory:
            shutil.copytree(directory, partial, dirs_exist_ok=True)
        return partial

    def _drop_drawer(self) -> None:
        if self._drawer is not None:
            shutil.rmtree(self._drawer, ignore_errors=True)
            self._drawer = None


RANKS = frozenset({"local_rank", "node_rank", "world_size", "local_world_size", "metadata", "dataset_shard"})
"""What only a session of Ray Train has."""


class Context:
    """What `ray.tune.get_context()` answers inside a trial."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch

    def get_trial_id(self) -> str:
        """Return an id that no other trial has."""
        return run_id(self._launch.sweep_id, self._launch.trial)

    def get_trial_name(self) -> str:
        """Return the trial's name."""
        return f"{self._launch.sweep_name}-{self._launch.trial}"

    def get_trial_dir(self) -> str:
        """Return the trial's directory."""
        return self._launch.trial_dir

    def get_experiment_name(self) -> str:
        """Return the sweep's name."""
        return self._launch.sweep_name

    def get_run_id(self) -> str:
        """Return the sweep's id."""
        return self._launch.sweep_id

    def get_trial_resources(self) -> Any:
        """Return what the trial occupies, as a `PlacementGroupFactory` of one bundle."""
        from ray.tune import PlacementGroupFactory

        bundle = {"CPU": float(self._launch.cpus or 1)}
        n_gpus = len(self._launch.gpu_ids or ())
        return PlacementGroupFactory([bundle | ({"GPU": float(n_gpus)} if n_gpus else {})])

    def get_storage(self) -> Any:
        """Return Ray's storage of the trial's directory."""
        return storage(self._launch)

    def get_metadata(self) -> dict[str, Any]:
        """Return nothing: a trial has none."""
        return {}

    def get_world_size(self) -> int:
        """Return 1: a trial is one process."""
        return 1

    def get_local_world_size(self) -> int:
        """Return 1: a trial is one process."""
        return 1

    def get_world_rank(self) -> int:
        """Return 0: a trial is one process."""
        return 0

    def get_local_rank(self) -> int:
        """Return 0: a trial is one process."""
        return 0

    def get_node_rank(self) -> int:
        """Return 0: a trial is one process."""
        return 0


def storage(launch: Launch) -> Any:
    """Return Ray's description of where a trial keeps things; it makes no file to try whether that can be written."""
    from ray.train._internal.storage import StorageContext

    class TrialStorage(StorageContext):  # type: ignore[misc]  # Ray is not typed
        """The storage of a trial."""

        trial_working_directory = trial_driver_staging_path = launch.trial_dir
        experiment_driver_staging_path = os.path.dirname(launch.trial_dir)

        def _create_validation_file(self) -> None: ...
        def _check_validation_file(self) -> None: ...

    experiment, trial = os.path.split(launch.trial_dir)
    place, folder = os.path.split(experiment)
    return TrialStorage(storage_path=place, experiment_dir_name=folder, trial_dir_name=trial)


def end_undisturbed() -> None:
    """Let a program that ends by itself do so: who sees its last row may ask it to end as well."""
    if threading.current_thread() is threading.main_thread():
        ignore_sigterm()


def send(metrics: Mapping[str, float], step: int) -> None:
    """Hand a row to the capture of this process."""
    found = capture.current()
    if found is not None:
        found.report(metrics, step)


def rebind(function: types.FunctionType, target: Callable[..., Any]) -> None:
    """Make a function that others hold already call another one."""
    call = _call_target.__code__.replace(co_freevars=function.__code__.co_freevars, co_name=function.__name__)
    function.__code__ = call
    function.__defaults__ = None
    function.__kwdefaults__ = {"_target": target}


def _call_target(*args: Any, _target: Callable[..., Any], **kwargs: Any) -> Any:
    return _target(*args, **kwargs)


def _row(metrics: Any, more: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(metrics, Mapping):
        return {**metrics, **more}
    known = {name: value for name, value in more.items() if name not in LATER}
    return known if metrics is None else {"_metric": metrics, **known}


LATER = frozenset(
    {
        "checkpoint_dir_name", "checkpoint_upload_mode", "delete_local_checkpoint_after_upload", "checkpoint_upload_fn",
        "validation",
    }
)  # fmt: skip
"""Arguments of newer versions of `ray.train.report` that are about uploads."""
