"""Sees what a program logs, whatever API it uses: one line in `reports.jsonl` each, mirrored to where it did not go.

Rules:

* Every call that logs scalars is one report, at once. Of a W&B row that is logged in parts (``commit=False``, several calls
  with one step) each part is a report of that step: early termination does not wait for the row to be complete.
* A value that a program hands to two APIs itself (same name, step and value) is reported once, and mirrored nowhere.
* ``SummaryWriter()`` writes into the trial's directory; a relative directory becomes one inside it; an absolute one is left
  alone. TensorBoard shows a trial that uses one writer as one run.
* A failure in here becomes one warning in the trial's log, never an exception in the program.
"""

import functools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestrator.trial.eventfile import EventFile
from orchestrator.trial.gradients import NORM, SPREAD, GradientWatch
from orchestrator.trial.launch import Launch
from orchestrator.trial.patching import Patch, Patches
from orchestrator.trial.reports import FILE, ReportWriter
from orchestrator.trial.scalars import as_float32, flat_scalars, scalar, shortest
from orchestrator.trial.wandb_run import TrialRuns

WANDB, TENSORBOARD, OWN = "wandb", "tensorboard", "own"

_current: "Capture | None" = None


def current() -> "Capture | None":
    """Return the capture of the trial that this process is, or None outside of a trial."""
    return _current


def variables(launch: Launch) -> dict[str, str]:
    """Return what a program may want to know about its trial, as environment variables."""
    return {
        "SWEEP_ID": launch.sweep_id,
        "SWEEP_TRIAL_NUMBER": str(launch.trial),
        "SWEEP_TRIAL_DIR": launch.trial_dir,
        "SWEEP_CHECKPOINT_DIR": f"{launch.trial_dir}/checkpoints",
    }


def install(launch: Launch) -> "Capture":
    """Begin to capture what this process logs. Once per process, before the program runs."""
    global _current  # noqa: PLW0603 - one process is one trial
    _current = Capture(launch)
    _current.patch()
    return _current


class Capture:
    """What a trial's process logs, and where it goes."""

    def __init__(self, launch: Launch) -> None:
        self._dir = Path(launch.trial_dir)
        self._reports = ReportWriter(self._dir / FILE, launch.attempt)
        self._runs = TrialRuns(launch)
        self._events: EventFile | None = None
        self._last: dict[str, tuple[int | None, float, str]] = {}
        self._step = 0
        self._inside = False
        self._warned = False
        self._gradients = GradientWatch(self._take_watched) if launch.gradients == "on" else None
        self._quietly(self._open_events, launch)

    def patch(self) -> None:
        """Hook into the libraries that programs log with."""
        patches: dict[str, Patch] = {
            "wandb": self._patch_wandb,
            "wandb.sdk.wandb_run": self._patch_wandb_run,
            "torch.utils.tensorboard.writer": self._patch_summary_writer,
            "tensorboardX.writer": self._patch_summary_writer,
            "tensorboard.summary.writer.event_file_writer": self._patch_event_writer,
            "tensorboardX.event_file_writer": self._patch_event_writer,
        }
        if self._gradients is not None:
            patches["torch.optim.optimizer"] = self._gradients.watch
        Patches(patches).install()

    def report(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Report metrics by our own API, or a Tune program's: mirrored to TensorBoard and W&B."""
        self._quietly(self._take, flat_scalars(metrics), step, OWN)

    def close(self, exit_code: int) -> None:
        """Finish the trial's runs with its exit code."""
        self._quietly(self._runs.finish, exit_code)
        if self._events is not None:
            self._quietly(self._events.session_end, succeeded=exit_code == 0)
            self._quietly(self._events.close)

    def leave(self) -> None:
        """Finish as well as can be told from inside a cold Python: its exit code is not known here."""
        self.close(1 if hasattr(sys, "last_value") else 0)

    # ---- one report --------------------------------------------------------------------------------------------------

    def _take(self, metrics: Mapping[str, float], step: int | None, source: str) -> None:
        """Report what is new of a call, and mirror it to where the program did not send it itself."""
        fresh = {name: value for name, value in metrics.items() if not self._is_repeated(name, step, value, source)}
        if not fresh:
            return
        self._reports.write(fresh, step)
        self._step = self._step + 1 if step is None else step
        shown = self._step if step is None else step
        if source != TENSORBOARD and self._events is not None:
            self._events.scalars(fresh, shown)
        if source != WANDB:
            self._runs.mirror(fresh, step)

    def _take_watched(self, sample: Mapping[str, float], n_steps: int) -> None:
        """Take a sample of gradients: the summary is reported, all of it is shown beside the program's own metrics."""
        self._quietly(self._log_watched, sample, n_steps)

    def _log_watched(self, sample: Mapping[str, float], n_steps: int) -> None:
        self._reports.write({name: sample[name] for name in (NORM, SPREAD) if name in sample}, n_steps)
        if self._events is not None:
            self._events.scalars(sample, n_steps)
        self._runs.add(sample)

    def _is_repeated(self, name: str, step: int | None, value: float, source: str) -> bool:
        """Whether another API brought the same value before."""
        single = as_float32(value)
        last = self._last.get(name)
        self._last[name] = (step, single, source)
        if last is None or last[2] == source or last[1] != single:
            return False
        return last[0] == step or step is None or last[0] is None

    def _quietly(self, action: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """Do something of ours; its failure is one warning. What it logs itself is not captured."""
        if self._inside:
            return
        self._inside = True
        try:
            action(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - capture never breaks a program
            if not self._warned:
                self._warned = True
                print(f"sweep: warning: not everything is captured: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
        finally:
            self._inside = False

    def _open_events(self, launch: Launch) -> None:
        self._events = EventFile(self._dir)
        self._events.hparams(launch.config, f"{launch.sweep_id}/{launch.trial:04d}")

    # ---- W&B ---------------------------------------------------------------------------------------------------------

    def _patch_wandb(self, wandb: ModuleType) -> None:
        self._runs.patch_init(wandb)

    def _patch_wandb_run(self, module: ModuleType) -> None:
        original = module.Run._log  # noqa: SLF001 - run.log, wandb.log and the integrations all pass through it

        @functools.wraps(original)
        def log(run: Any, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> Any:  # noqa: FBT001
            result = original(run, data=data, step=step, commit=commit)
            if not self._inside and isinstance(data, Mapping):
                self._quietly(self._take, flat_scalars(data), step, WANDB)
            return result

        module.Run._log = log  # noqa: SLF001 - as above
        self._runs.patch_run(module)

    # ---- TensorBoard -------------------------------------------------------------------------------------------------

    def _patch_summary_writer(self, module: ModuleType) -> None:
        original, add_scalars = module.SummaryWriter.__init__, module.SummaryWriter.add_scalars
        default = "logdir" if module.__name__.startswith("tensorboardX") else "log_dir"

        @functools.wraps(original)
        def init(writer: Any, log_dir: Any = None, *args: Any, **kwargs: Any) -> None:
            given = kwargs.pop("log_dir", kwargs.pop("logdir", log_dir))
            original(writer, *args, **{**kwargs, default: self._place(given)}) if not args else original(
                writer, self._place(given), *args, **kwargs
            )

        @functools.wraps(add_scalars)
        def scalars(
            writer: Any, main_tag: str, values: Mapping[str, Any], global_step: Any = None, *a: Any, **k: Any
        ) -> None:
            was, self._inside = self._inside, True  # its sub-writers would report one name for all
            try:
                add_scalars(writer, main_tag, values, global_step, *a, **k)
            finally:
                self._inside = was
            found = {f"{main_tag}/{name}": n for name, v in values.items() if (n := scalar(v)) is not None}
            self._quietly(self._take, found, _as_step(global_step), TENSORBOARD)

        module.SummaryWriter.__init__ = init
        module.SummaryWriter.add_scalars = scalars

    def _place(self, log_dir: Any) -> str:
        """Where a writer's events go."""
        if not log_dir:
            return str(self._dir)
        path = os.fspath(log_dir)
        if os.path.isabs(path) or "://" in path:
            return str(path)
        parts = [part for part in Path(path).parts if part not in {"..", "."}]
        return str(self._dir.joinpath(*parts))

    def _patch_event_writer(self, module: ModuleType) -> None:
        original = module.EventFileWriter.add_event

        @functools.wraps(original)
        def add_event(writer: Any, event: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(writer, event, *args, **kwargs)
            if not self._inside and event.HasField("summary"):
                self._quietly(self._take_event, event)
            return result

        module.EventFileWriter.add_event = add_event

    def _take_event(self, event: Any) -> None:
        found = {value.tag: number for value in event.summary.value if (number := _event_scalar(value)) is not None}
        if found:
            self._take(found, int(event.step), TENSORBOARD)


def _event_scalar(value: Any) -> float | None:
    """The scalar of a summary value, in either of the two forms that writers use; None for anything else."""
    if value.HasField("simple_value"):
        return shortest(value.simple_value)
    if not value.HasField("tensor") or value.metadata.plugin_data.plugin_name not in {"scalars", ""}:
        return None
    tensor = value.tensor
    if tensor.tensor_shape.dim:
        return None
    numbers = list(tensor.float_val) or list(tensor.double_val)
    if not numbers and tensor.dtype == 1 and len(tensor.tensor_content) == 4:
        import struct

        numbers = list(struct.unpack("<f", tensor.tensor_content))
    return shortest(numbers[0]) if len(numbers) == 1 else None


def _as_step(step: Any) -> int:
    number = scalar(step)
    return 0 if number is None else int(number)


def hook_variables(launch: Launch) -> dict[str, str]:
    """Return the variables that make every Python below a cold command capture what it logs."""
    import dataclasses
    import json

    hook = Path(__file__).parent / "hook"
    path = Path(launch.trial_dir) / ".launch.json"
    path.write_text(json.dumps(dataclasses.asdict(launch), default=str), encoding="utf-8")
    before = os.environ.get("PYTHONPATH")
    return {"SWEEP_LAUNCH": str(path), "PYTHONPATH": os.pathsep.join([str(hook), *([before] if before else [])])}
