"""Sees what a program logs with Lightning's `CSVLogger`: values of a name at its steps are a series, as MLflow's are."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from orchestrator.trial.capture.guard import Guard
from orchestrator.trial.capture.hub import Hub
from orchestrator.trial.capture.mirroring import MLFLOW
from orchestrator.trial.capture.patching import Patch
from orchestrator.trial.capture.sigterm import uninterruptible
from orchestrator.trial.contract.scalars import flat_scalars

MODULES = ("lightning.fabric.loggers.csv_logs", "lightning_fabric.loggers.csv_logs")


class CsvCalls:
    """The hook on what writes the rows of a `CSVLogger`, Fabric's and the Trainer's.

    Args:
        hub: Where reports go.
        guard: Does something of ours.
    """

    def __init__(self, hub: Hub, guard: Guard) -> None:
        self._hub = hub
        self._guard = guard

    def patches(self) -> dict[str, Patch]:
        """Return what to change in Lightning."""
        return dict.fromkeys(MODULES, self._patch)

    def _patch(self, module: ModuleType) -> None:
        writer = module._ExperimentWriter  # noqa: SLF001 - the Trainer's inherits from it
        original = writer.log_metrics

        @functools.wraps(original)
        def log_metrics(given: Any, metrics_dict: Mapping[str, Any], step: Any = None) -> Any:
            with uninterruptible:
                result = original(given, metrics_dict, step)
                self._guard.quietly(self._take, metrics_dict, step)
                return result

        writer.log_metrics = log_metrics

    def _take(self, metrics: Mapping[str, Any], step: Any) -> None:
        self._hub.take(flat_scalars(metrics), self._hub.step(step), MLFLOW, api="mlflow")
