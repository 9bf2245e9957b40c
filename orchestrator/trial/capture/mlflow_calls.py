"""Sees what a program logs to MLflow: metrics are reports, params are in the config of its W&B run, under `PARAMS`.

`mlflow.log_metric`, `log_metrics`, `log_param(s)` and autologging all come to `MlflowClient`, which is the door that is watched.
As with TensorBoard, the values of a name at its steps are a series, and of one step the last value counts.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from orchestrator.trial.capture.guard import Guard
from orchestrator.trial.capture.hub import Hub
from orchestrator.trial.capture.mirroring import MLFLOW
from orchestrator.trial.capture.patching import Patch
from orchestrator.trial.capture.sigterm import uninterruptible
from orchestrator.trial.capture.wandb_mirror import RunMirror
from orchestrator.trial.contract.scalars import scalar

PARAMS = "mlflow"
"""Where MLflow's params are in the config of the trial's W&B run."""

MACHINE = "system/"
"""How the names begin that MLflow itself measures, of the machine."""

PARENT = "mlflow.parentRunId"
"""The tag that makes a run one inside another: a fold, or a candidate of a search within the trial."""


class MlflowCalls:
    """The hooks on MLflow's client.

    Args:
        hub: Where reports go.
        guard: Does something of ours.
        mirror: Takes the params into the config of the trial's W&B run.
    """

    def __init__(self, hub: Hub, guard: Guard, mirror: RunMirror) -> None:
        self._hub = hub
        self._guard = guard
        self._mirror = mirror
        self._nested: set[str] = set()
        self._params: dict[str, Any] = {}
        self.forked()

    def forked(self) -> None:
        """Begin anew in a process that the program forked."""
        self._local = threading.local()

    def patches(self) -> dict[str, Patch]:
        """Return what to change in MLflow."""
        return {"mlflow.tracking.client": self._patch_client, "mlflow": self._patch_calls}

    def _patch_client(self, module: ModuleType) -> None:
        client = module.MlflowClient
        log_metric, log_batch, log_param = client.log_metric, client.log_batch, client.log_param
        create_run = client.create_run

        @functools.wraps(log_metric)
        def metric(  # noqa: PLR0917 - MLflow's own signature
            client: Any, run_id: str, key: str, value: Any, timestamp: Any = None, step: Any = None, *a: Any, **k: Any
        ) -> Any:
            with uninterruptible:
                result = log_metric(client, run_id, key, value, timestamp, step, *a, **k)
                self._guard.quietly(self._take_metric, run_id, key, value, step)
                return result

        @functools.wraps(log_batch)
        def batch(client: Any, run_id: str, metrics: Any = (), params: Any = (), *a: Any, **k: Any) -> Any:
            with uninterruptible:
                metrics, params = list(metrics), list(params)
                result = log_batch(client, run_id, metrics, params, *a, **k)
                self._guard.quietly(self._take_batch, run_id, metrics, params)
                return result

        @functools.wraps(log_param)
        def param(client: Any, run_id: str, key: str, value: Any, *a: Any, **k: Any) -> Any:
            result = log_param(client, run_id, key, value, *a, **k)
            self._guard.quietly(self._take_params, run_id, {key: value})
            return result

        @functools.wraps(create_run)
        def create(client: Any, *args: Any, **kwargs: Any) -> Any:
            run = create_run(client, *args, **kwargs)
            self._guard.quietly(self._created, run)
            return run

        client.log_metric, client.log_batch, client.log_param, client.create_run = metric, batch, param, create

    def _patch_calls(self, module: ModuleType) -> None:
        """See whether a step was given: MLflow makes 0 of none."""
        for name, position in (("log_metric", 2), ("log_metrics", 1)):
            setattr(module, name, self._noting_step(getattr(module, name), position))

    def _noting_step(self, original: Any, position: int) -> Any:
        @functools.wraps(original)
        def log(*args: Any, **kwargs: Any) -> Any:
            given = kwargs.get("step", args[position] if len(args) > position else None)
            self._local.is_unstepped = given is None
            try:
                return original(*args, **kwargs)
            finally:
                self._local.is_unstepped = False

        return log

    def _created(self, run: Any) -> None:
        if PARENT in run.data.tags:
            self._nested.add(run.info.run_id)

    def _take_metric(self, run_id: str, key: str, value: Any, step: Any) -> None:
        self._take(run_id, [(key, value, step)])

    def _take_batch(self, run_id: str, metrics: Iterable[Any], params: Iterable[Any]) -> None:
        self._take(run_id, [(each.key, each.value, each.step) for each in metrics])
        self._take_params(run_id, {each.key: each.value for each in params})

    def _take(self, run_id: str, metrics: Iterable[tuple[str, Any, Any]]) -> None:
        rows: dict[Any, dict[str, float]] = {}
        for name, value, step in metrics:
            number = scalar(value)
            if number is not None and not name.startswith(MACHINE):
                rows.setdefault(step, {})[name] = number
        if rows and self._counts(run_id):
            for step, row in rows.items():
                self._hub.take(row, self._step(step), MLFLOW, api="mlflow")

    def _step(self, given: Any) -> int | None:
        is_none = given is None or getattr(self._local, "is_unstepped", False)
        return None if is_none else self._hub.step(given)

    def _take_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        if not params or run_id in self._nested:
            return
        self._params |= {name: _value(str(param)) for name, param in params.items()}
        self._mirror.configure({PARAMS: dict(self._params)})

    def _counts(self, run_id: str) -> bool:
        """Whether a run is the trial's; say so once of one that is not."""
        if run_id in self._nested:
            self._guard.say(
                "metrics of nested MLflow runs do not count; only those of the run that they are nested in do"
            )
        return run_id not in self._nested


def _value(param: str) -> int | float | str:
    """What MLflow has as text, as the number that it was."""
    for kind in (int, float):
        try:
            return kind(param)
        except ValueError:
            continue
    return param
