"""Ray Tune's programs without a Ray cluster: a `Trainable` class, or a function of the config that calls `tune.report`."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestrator.trial import capture
from orchestrator.trial.launch import Launch
from orchestrator.trial.patching import Patches

CHECKPOINTS = "checkpoints"


def run_class(trainable: Any, launch: Launch) -> None:
    """Run a `ray.tune.Trainable` to its end: a step is a report, a checkpoint after each, restored by a further attempt."""
    checkpoints = Path(launch.trial_dir) / CHECKPOINTS
    instance = trainable(config=dict(launch.config))
    try:
        latest = _latest(checkpoints)
        if latest is not None:
            instance.restore(str(latest))
        done = False
        while not done:
            result = instance.train()
            done = bool(result.get("done"))
            _report(result, result.get("training_iteration"))
            _save(instance, checkpoints, result["training_iteration"])
    finally:
        instance.stop()


def run_function(function: Callable[[Mapping[str, Any]], Any], launch: Launch) -> None:
    """Call a function with the config; what it reports, yields or returns as a mapping are its metrics."""
    session = Session(launch)
    Patches({"ray.tune": session.patch, "ray.train": session.patch}).install()
    result = function(dict(launch.config))
    if hasattr(result, "__next__"):
        for row in result:
            session.report(row)
    elif isinstance(result, Mapping):
        _report(result, None)


class Session:
    """What `ray.tune.report` and its like find inside a trial."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._dir = Path(launch.trial_dir) / CHECKPOINTS
        self._iteration = 0

    def patch(self, module: ModuleType) -> None:
        """Put this session's functions in the place of Ray's."""
        for name in ("report", "get_checkpoint", "get_context"):
            if hasattr(module, name):
                setattr(module, name, getattr(self, name))

    def report(self, metrics: Mapping[str, Any], *, checkpoint: Any = None, **_: Any) -> None:
        """Report a row; keep its checkpoint."""
        self._iteration += 1
        if checkpoint is not None:
            target = self._dir / f"checkpoint_{self._iteration:06d}"
            partial = self._dir / f".partial-{self._iteration:06d}"
            shutil.copytree(checkpoint.path, partial, dirs_exist_ok=True)
            partial.rename(target) if not target.exists() else shutil.rmtree(partial)
            _keep_latest(self._dir)
        _report(metrics, None)

    def get_checkpoint(self) -> Any:
        """Return the latest checkpoint of an earlier attempt, or None."""
        latest = _latest(self._dir)
        if latest is None:
            return None
        from ray.tune import Checkpoint

        return Checkpoint.from_directory(str(latest))

    def get_context(self) -> "Context":
        """Return what there is to know about the trial."""
        return Context(self._launch)


class Context:
    """What `ray.tune.get_context()` answers inside a trial."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch

    def get_trial_id(self) -> str:
        """Return an id that no other trial has."""
        return f"{self._launch.sweep_id}-{self._launch.trial:04d}"

    def get_trial_name(self) -> str:
        """Return the trial's name."""
        return f"{self._launch.sweep_name}-{self._launch.trial}"

    def get_trial_dir(self) -> str:
        """Return the trial's directory."""
        return self._launch.trial_dir

    def get_experiment_name(self) -> str:
        """Return the sweep's name."""
        return self._launch.sweep_name

    def get_trial_resources(self) -> dict[str, float]:
        """Return what the trial occupies."""
        return {"CPU": self._launch.cpus or 1.0, "GPU": float(len(self._launch.gpu_ids or ()))}

    def get_world_size(self) -> int:
        """Return 1: a trial is one process."""
        return 1

    def get_world_rank(self) -> int:
        """Return 0: a trial is one process."""
        return 0


AUTOMATIC = frozenset(
    {
        "done", "trial_id", "date", "timestamp", "pid", "hostname", "node_ip", "time_since_restore", "time_this_iter_s",
        "time_total_s", "iterations_since_restore", "should_checkpoint", "timesteps_since_restore", "timesteps_total",
        "episodes_total", "training_iteration",
    }
)  # fmt: skip
"""What Tune adds to a result by itself: not the program's metrics."""


def _report(metrics: Mapping[str, Any], step: int | None) -> None:
    found = capture.current()
    if found is not None:
        found.report({k: v for k, v in metrics.items() if k not in AUTOMATIC and k != "config"}, step)


def _save(instance: Any, checkpoints: Path, iteration: int) -> None:
    if type(instance).save_checkpoint is _base_trainable().save_checkpoint:
        return  # the class does not checkpoint
    partial = checkpoints / f".partial-{iteration:06d}"
    partial.mkdir(parents=True, exist_ok=True)
    instance.save(str(partial))
    target = checkpoints / f"checkpoint_{iteration:06d}"
    if target.exists():
        shutil.rmtree(target)
    partial.rename(target)
    _keep_latest(checkpoints)


def _base_trainable() -> Any:
    from ray.tune import Trainable

    return Trainable


def _latest(checkpoints: Path) -> Path | None:
    return max(checkpoints.glob("checkpoint_*"), default=None)


def _keep_latest(checkpoints: Path) -> None:
    """A trial goes on from its last checkpoint: the ones before it are in the way."""
    for old in sorted(checkpoints.glob("checkpoint_*"))[:-1]:
        shutil.rmtree(old)
