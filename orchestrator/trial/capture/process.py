"""What a process of a trial captures, from its start to its end: names the libraries that are seen.

Rules:

* Of W&B runs only the trial's own counts. What a program logs to others (folds, other ranks) stays there.
* A failure in here becomes one warning in the trial's log, never an exception in the program.
* SIGTERM never comes between a call and its report: what W&B or TensorBoard has of a trial that is stopped, the reports have.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Mapping
from typing import Any

from orchestrator.trial.capture import nested
from orchestrator.trial.capture.csv_calls import CsvCalls
from orchestrator.trial.capture.gradients import GradientWatch
from orchestrator.trial.capture.guard import Guard
from orchestrator.trial.capture.hub import Hub
from orchestrator.trial.capture.kept import Kept
from orchestrator.trial.capture.media_mirror import MediaMirror
from orchestrator.trial.capture.mlflow_calls import MlflowCalls
from orchestrator.trial.capture.own_run import Kind
from orchestrator.trial.capture.patching import Patch, Patches
from orchestrator.trial.capture.tensorboard_calls import TensorBoardCalls
from orchestrator.trial.capture.wandb_calls import WandbCalls
from orchestrator.trial.capture.wandb_lines import WandbLines
from orchestrator.trial.capture.wandb_mirror import RunMirror
from orchestrator.trial.capture.wandb_opening import RunOpening
from orchestrator.trial.capture.wandb_runs import TrialRuns
from orchestrator.trial.contract.launch import Launch
from orchestrator.trial.contract.sweep_identity import SweepIdentity

_current: Capture | None = None


def current() -> Capture | None:
    """Return the capture of the trial that this process belongs to, or None outside of a trial."""
    return _current


def install(launch: Launch, *, leads: bool = True) -> Capture:
    """Begin to capture what this process logs. Once per process, before the program runs.

    Args:
        launch: The attempt.
        leads: Whether this process is the trial, and not one that the trial started.
    """
    global _current  # noqa: PLW0603 - one process is one trial
    _current = Capture(launch, leads=leads)
    _current.patch()
    os.register_at_fork(after_in_child=_current.forked)
    return _current


class Capture:
    """The hub of this process, and the libraries whose calls it is given."""

    def __init__(self, launch: Launch, *, leads: bool = True) -> None:
        self._leads = leads
        self._guard = Guard()
        self._runs = TrialRuns(launch)
        self._run_mirror = RunMirror(launch, self._guard, self._runs)
        self._opening = RunOpening(launch, self._guard, self._runs, self._run_mirror)
        self._hub = Hub(launch, self._guard, self._run_mirror)
        self._lines = WandbLines(self._hub, self._guard, self._runs, self._run_mirror, leads=leads)
        self._wandb = WandbCalls(self._guard, self._run_mirror, self._lines, leave_first=self.leave_at_exit)
        self._tensorboard = TensorBoardCalls(self._hub, self._guard, launch, leads=leads)
        self._mlflow = MlflowCalls(self._hub, self._guard, self._run_mirror)
        self._csv = CsvCalls(self._hub, self._guard)
        self._identity = SweepIdentity(launch)
        self._kept = Kept(launch, self._guard.quietly)
        self._media = MediaMirror(self._guard.quietly, self._hub.show, lambda run: self._runs.kind(run) is Kind.OWN)
        self._watches_gradients = launch.gradients == "on"
        if leads:
            self._guard.quietly(self._hub.begin)

    def patch(self) -> None:
        """Hook into the libraries that programs log with, when they are imported. The first to hook is the innermost."""
        libraries: tuple[dict[str, Patch], ...] = (
            self._opening.patches(),
            self._identity.patches(),
            self._wandb.patches(),
            self._tensorboard.patches(),
            self._mlflow.patches(),
            self._csv.patches(),
            nested.patches(),
            self._kept.patches(),
            self._media.patches(),
            self._gradients(),
        )
        for patches in libraries:
            Patches({name: self._guard.harmless(patch) for name, patch in patches.items()}).install()

    def report(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Report metrics by our own API, or a Tune program's."""
        self._guard.quietly(self._hub.report, metrics, step)

    def warn(self, why: str) -> None:
        """Say in the trial's log what is not captured. Once."""
        self._guard.warn(why)

    def close(self, exit_code: int) -> None:
        """Finish what this process began: waiting rows, writers that were left open, and its W&B runs."""
        if not (self._leads or self._hub.is_used):
            return
        quietly = self._guard.quietly
        quietly(self._lines.close)
        quietly(self._hub.mirror_rest)
        self._tensorboard.close()
        quietly(self._run_mirror.finish, exit_code, only_ours=not self._leads)
        quietly(self._kept.close)
        quietly(self._hub.close)

    def leave_at_exit(self) -> None:
        """Close when this Python, which the trial started, exits: before wandb's exit hook of a run takes the connection away."""
        atexit.unregister(self._leave)
        atexit.register(self._leave)

    def forked(self) -> None:
        """Begin anew in a process that the program forked."""
        self._leads = False
        for part in (self._guard, self._hub, self._lines, self._tensorboard, self._mlflow, self._kept):
            part.forked()

    def _gradients(self) -> dict[str, Patch]:
        if not self._watches_gradients:
            return {}
        watch = GradientWatch(self._hub.take_sample, self._guard.quietly)
        return {"torch.optim.optimizer": watch.watch}

    def _leave(self) -> None:
        self.close(1 if hasattr(sys, "last_value") else 0)  # the exit code is not known here
