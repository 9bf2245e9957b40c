"""The W&B runs of a trial's process: whose mode they have, the one that mirrors other APIs, and how they are finished."""

import functools
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from orchestrator.trial.launch import Launch


class TrialRuns:
    """Every W&B run that a trial's process has."""

    def __init__(self, launch: Launch) -> None:
        self._wanted = launch.wandb
        self._runs: list[Any] = []
        self._mirror: Any = None
        self._stopping: BaseException | None = None

    # ---- the script's own runs ---------------------------------------------------------------------------------------

    def patch_init(self, wandb: ModuleType) -> None:
        """See every `wandb.init`, and keep its mode the sweep's."""
        original = wandb.init

        @functools.wraps(original)
        def init(*args: Any, **kwargs: Any) -> Any:
            self._keep_mode(kwargs)
            run = original(*args, **kwargs)
            if run is not None and all(run is not known for known in self._runs):
                self._runs.append(run)
            return run

        wandb.init = init  # type: ignore[attr-defined]
        wandb.sdk.wandb_init.init = init
        wandb.sdk.init = init

    def _keep_mode(self, kwargs: dict[str, Any]) -> None:
        """A trial is offline even when its script asks for more: no server can hang or kill it; uploads go beside it."""
        if self._wanted is not None and self._wanted.mode == "online":
            return
        if kwargs.get("mode") in {"online", "shared"}:
            print("sweep: W&B runs offline inside a trial (orchestrator.wandb: online changes that)", file=sys.stderr)  # noqa: T201
            kwargs["mode"] = "offline" if self._wanted is not None else "disabled"
        if kwargs.get("sync_tensorboard"):
            kwargs["sync_tensorboard"] = (
                False  # events reach W&B by capture; wandb's own way makes finish() take 5-10 s
            )

    def patch_run(self, module: ModuleType) -> None:
        """A stopped trial inside `with wandb.init()` did not fail."""
        original = module.Run.__exit__

        @functools.wraps(original)
        def leave(run: Any, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> Any:
            if isinstance(error, SystemExit):
                run.finish(exit_code=error.code if isinstance(error.code, int) else int(error.code is not None))
                return False
            return original(run, kind, error, trace)

        module.Run.__exit__ = leave

    # ---- the run that mirrors other APIs -----------------------------------------------------------------------------

    def mirror(self, metrics: Mapping[str, float], step: int | None) -> None:
        """Log metrics that came by another API to the trial's run."""
        run = self._open_run()
        if run is None:
            return
        if step is not None and step >= run.step:
            run.log(dict(metrics), step=step)
        else:
            run.log({**metrics, **({"global_step": step} if step is not None else {})})

    def add(self, metrics: Mapping[str, float]) -> None:
        """Log metrics of ours with the row that is logged next: steps stay the program's own, and no run is made for it."""
        live = [run for run in self._runs if not _is_finished(run)]
        if live:
            live[-1].log(dict(metrics), commit=False)

    def _open_run(self) -> Any:
        """The trial's current run; made when its program has none."""
        if self._wanted is None:
            return None
        live = [run for run in self._runs if not _is_finished(run)]
        if live:
            return live[-1]
        if self._runs and self._mirror is None:
            return None  # the program finished its run: its W&B story is told
        import wandb

        self._mirror = wandb.init(settings=wandb.Settings(silent=True, console="off"))
        return self._mirror

    # ---- the end -----------------------------------------------------------------------------------------------------

    def finish(self, exit_code: int) -> None:
        """Finish every run that the program left open, with its exit code; a program without W&B gets its run."""
        if self._wanted is None:
            return
        if not self._runs:
            self._open_run()
        for run in self._runs:
            if not _is_finished(run):
                run.finish(exit_code=exit_code)


def _is_finished(run: Any) -> bool:
    return bool(getattr(run, "_is_finished", False))
