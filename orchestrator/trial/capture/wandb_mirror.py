"""The trial's W&B run as what came by other APIs sees it: a row more, or a run of ours where the program has none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.trial.capture.core_line import CoreLine, line_to
from orchestrator.trial.capture.guard import Guard
from orchestrator.trial.capture.own_run import Kind
from orchestrator.trial.capture.wandb_runs import TrialRuns, is_finished, next_step, refusal
from orchestrator.trial.contract.launch import Launch
from orchestrator.trial.contract.sweep_identity import run_id
from orchestrator.trial.wandb_core import drain


class RunMirror:
    """Logs to the trial's run, which it begins where the program has none, and finishes what was left open."""

    def __init__(self, launch: Launch, guard: Guard, runs: TrialRuns) -> None:
        self._launch = launch
        self._guard = guard
        self._runs = runs
        self._mirror: Any = None
        self._line: CoreLine | None = None
        self._facts: dict[str, Any] = {}
        self._stepped = False
        self._joined: set[str] = set()
        self._mirrored: set[str] = set()
        self._logs_before = self._logs()
        self._is_taken = False

    def is_mirror(self, run: Any) -> bool:
        """Whether a run was made by us, for a program that had none."""
        return run is self._mirror

    def mirror(self, metrics: Mapping[str, float], step: int | None) -> None:
        """Log metrics that came by another API to the trial's run."""
        run = self._open_run()
        if run is None:
            return
        if run is not self._mirror and not self._runs.is_synced:
            self._join(run, metrics, step)
        elif step is not None and step >= (current := next_step(run)):
            self._mirrored = {*metrics, *(self._mirrored if step == current else ())}
            self._log(run, metrics, step)
        else:
            self._complete_mirrored(run, metrics, step)
            self._log(run, _with_step(metrics, step))

    def _complete_mirrored(self, run: Any, metrics: Mapping[str, float], step: int | None) -> None:
        """Complete the row of the last step before values of an earlier one, or of none, would take its place."""
        if self._mirrored and (step is not None or not self._mirrored.isdisjoint(metrics)):
            self._log(run, {}, commit=True)
        self._mirrored.clear()

    def _join(self, run: Any, metrics: Mapping[str, float], step: int | None) -> None:
        """Log to a run that the program itself logs to: with its next row, so that its steps stay as they are.

        A program that counts steps itself would lose rows if we counted too: of its several values in one row the last stays.
        """
        if not self._stepped and not self._joined.isdisjoint(metrics):
            run.log({}, commit=True)
            self._joined.clear()
        self._joined.update(metrics)
        run.log(_with_step(metrics, step), commit=False)

    def _log(
        self, run: Any, metrics: Mapping[str, float], step: int | None = None, *, commit: bool | None = None
    ) -> None:
        """Log to a run: on the shortest way, while nobody but us logs to it."""
        if self._line is not None and run is self._mirror and self._line.is_ours:
            try:
                self._line.log(metrics, step, commit=commit)
            except OSError:
                self._line = None  # what `run.log` says of a core that is gone is the program's to know
            else:
                return
        run.log(dict(metrics), step=step, commit=commit)

    def give_way(self, run: Any) -> None:
        """Let somebody else log to a run, or finish it: our rows are in their place by then."""
        if self._line is None or run is not self._mirror:
            return
        line, self._line = self._line, None
        if line.is_ours:
            with contextlib.suppress(OSError):
                line.close()

    def logged(self, step: int | None, *, commit: bool | None) -> None:
        """Note that the program logged a row itself."""
        self._stepped = self._stepped or step is not None
        if commit is not False:
            self._joined.clear()

    def configure(self, facts: Mapping[str, Any]) -> None:
        """Add to the config of the trial's run: now, or once it is opened."""
        self._facts |= facts
        for run in self._runs.live():
            self.add_facts(run)

    def add_facts(self, run: Any) -> None:
        """Add to the config of a run what is known by now."""
        if self._facts and self._launch.wandb is not None and self._runs.kind(run) is Kind.OWN:
            run.config.update(self._facts, allow_val_change=True)

    def add(self, metrics: Mapping[str, float]) -> None:
        """Log metrics of ours with the row that is logged next: steps stay the program's own, and no run is made for it."""
        live = self._runs.live()
        if live:
            self._log(live[-1], metrics, commit=False)

    def _open_run(self) -> Any:
        """The trial's current run; made when its program has none."""
        if self._launch.wandb is None:
            return None
        live = self._runs.live()
        if live:
            return live[-1]
        if self._runs.all() and self._mirror is None:
            return None  # the program finished its run: its W&B story is told; or it has runs that are not the trial's
        return self._begin_mirror()

    def _begin_mirror(self) -> Any:
        """Begin the run that mirrors; None where another process of the trial has it open, or there is no wandb."""
        if self._is_taken:
            return None
        try:
            import wandb
        except ImportError:
            self._is_taken = True  # the worker writes the run from the reports: it runs where wandb is
            return None
        if wandb.run is not None:
            return wandb.run  # another process handed it over, and finishes it
        shared = os.environ.get("WANDB_SERVICE")  # a core of its own wandb ends at exit, whatever others still send
        try:
            self._mirror = wandb.init(settings={"silent": True, "console": "off"})
            self._line = line_to(self._mirror) if shared and shared == os.environ.get("WANDB_SERVICE") else None
        except refusal():
            self._is_taken = True
            self._guard.say(
                "another process of this trial has its W&B run open: what this process reports is not in that run"
            )
        return self._mirror

    def _logs(self) -> list[Path]:
        """The logs of the trial's run so far, earlier attempts' included."""
        return self._launch.dir.wandb_log_paths(run_id(self._launch))

    def finish(self, exit_code: int, *, only_ours: bool = False) -> None:
        """Finish every run that the program left open, with its exit code; a program without W&B gets its run.

        A run that a process of the program began is that one's; the runner finishes it, should it be left open.

        Args:
            exit_code: Of the program.
            only_ours: Leave the program's own runs to wandb's exit hook, which knows the exit code better.
        """
        if self._launch.wandb is None:
            return
        if not self._runs.all() and self._logs() == self._logs_before:
            self._open_run()
        for run in [self._mirror] if only_ours else self._runs.all():
            if run is not None and not is_finished(run):
                self._finish(run, exit_code)
        drain()

    def _finish(self, run: Any, exit_code: int) -> None:
        """Finish a run; one on a core of its own was finished by wandb's exit hook, which ends that core."""
        try:
            run.finish(exit_code=exit_code)
        except ConnectionError:
            if not self._guard.answer(_has_ended_core, False):
                raise


def _has_ended_core() -> bool:
    """Whether wandb has ended the core that it started, which waits until that has written all that it was sent."""
    from wandb.sdk import wandb_setup

    connection = getattr(wandb_setup.singleton(), "_connection", None)
    return bool(getattr(connection, "_torn_down", False))


def _with_step(metrics: Mapping[str, float], step: int | None) -> dict[str, float]:
    return {**metrics, **({"global_step": step} if step is not None else {})}
