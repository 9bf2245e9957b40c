"""Ray Tune's programs without a Ray cluster: a `Trainable` class, or a function of the config that calls `tune.report`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from numbers import Number
from typing import Any

from orchestrator.trial.contract.launch import Launch
from orchestrator.trial.program.checkpoints import Checkpoints, Kept
from orchestrator.trial.program.tune_results import AUTOMATIC, counts_of, metrics_of, reached, step_of
from orchestrator.trial.program.tune_session import Context, Session, end_undisturbed, send

ANONYMOUS = "_metric"
"""Tune's name for a number that a function returns or yields."""


def run_class(trainable: Any, launch: Launch, session: Session | None) -> None:
    """Run a `ray.tune.Trainable` to its end: a step is a report, a checkpoint after each, restored by a further attempt."""
    if session is not None:
        session.mute()
    checkpoints = Checkpoints(launch.dir)
    run = ClassRun(_instance(trainable, launch), launch, checkpoints)
    try:
        run.to_end()
    finally:
        run.trainable.stop()


class ClassRun:
    """The steps of one attempt of a `Trainable`."""

    def __init__(self, trainable: Any, launch: Launch, checkpoints: Checkpoints) -> None:
        self.trainable = trainable
        self._launch = launch
        self._checkpoints = checkpoints
        self._step = 0
        self._says_when = False
        self._reported: Mapping[str, Any] | None = None
        self._saves = type(trainable).save_checkpoint is not _base().save_checkpoint

    def to_end(self) -> None:
        """Go on from the latest checkpoint until a result is the last."""
        self._listen()
        latest = self._checkpoints.latest()
        if latest is not None:
            self._restore(latest)
        while not self._one():
            pass

    def _one(self) -> bool:
        """Take a step, and report and keep what it came to; return whether it was the last."""
        result = self.trainable.train()
        self._step = step_of(result, self._step)
        reported = self._reported if self._reported is not None else result.keys() - AUTOMATIC
        over = reached(result, self._launch.stop)
        if over:
            end_undisturbed()
        send(metrics_of(result, reported, self._launch.metric), self._step)
        self._says_when = self._says_when or "should_checkpoint" in result
        if self._saves and (result.get("should_checkpoint") or over or not self._says_when):
            self._save()
        return over

    def _listen(self) -> None:
        """Keep what `step` itself returns: Tune adds keys to it that a program may also report."""
        step = self.trainable.step

        def listening() -> Any:
            self._reported = step()
            return self._reported

        self.trainable.step = listening

    def _restore(self, latest: Kept) -> None:
        from ray.train._internal.checkpoint_manager import _TrainingResult
        from ray.tune import Checkpoint

        counts = dict(latest.counts)
        self._step = int(counts.get("step", counts.get("training_iteration", 0)))
        self._says_when = bool(counts.get("says_when"))
        self.trainable.restore(_TrainingResult(checkpoint=Checkpoint.from_directory(str(latest.path)), metrics=counts))

    def _save(self) -> None:
        partial = self._checkpoints.begin()
        result = self.trainable.save(str(partial)).metrics
        more = {"step": self._step, "says_when": int(self._says_when)}
        self._checkpoints.publish(partial, counts_of(result) | more)


def run_function(function: Callable[..., Any], launch: Launch, session: Session | None) -> None:
    """Call a function with the config; what it reports, yields or returns (a mapping, or a number) are its metrics."""
    session = session or Session(launch)
    try:
        for output in _outputs(function, launch, session):
            if isinstance(output, Mapping):
                session.report(output)
            elif isinstance(output, Number) and output:  # with Tune, too, a zero is no output
                session.report({ANONYMOUS: output})
    finally:
        session.close()


def _outputs(function: Callable[..., Any], launch: Launch, session: Session) -> Iterator[Any]:
    more = {}
    if "checkpoint_dir" in inspect.signature(function).parameters:
        more["checkpoint_dir"] = session.latest()  # how older versions gave a checkpoint back
    result = function(dict(launch.config), **more)
    if hasattr(result, "__next__"):
        yield from result
    else:
        yield result


def _instance(trainable: Any, launch: Launch) -> Any:
    from ray.tune.experiment.trial import _TrialInfo

    class Info(_TrialInfo):  # type: ignore[misc]  # Ray is not typed
        """What a class may ask about its trial."""

        def __init__(self) -> None:
            context = Context(launch)
            self._trial_name, self._trial_id = context.get_trial_name(), context.get_trial_id()
            self._trial_resources = context.get_trial_resources()
            self._experiment_name = context.get_experiment_name()

    def in_trial_dir(instance: Any) -> None:
        instance._logdir = launch.trial_dir  # noqa: SLF001 - where it is kept; Ray would make a directory in the user's home

    os.environ.setdefault("TUNE_ORIG_WORKING_DIR", launch.cwd)
    _base()._setup_logdir = in_trial_dir  # noqa: SLF001 - as above
    return trainable(config={**launch.config, "__trial_info__": Info()})


def _base() -> Any:
    from ray.tune import Trainable

    return Trainable
