"""Sees what a program logs, whatever API it uses: one line in `reports.jsonl` each, mirrored to where it did not go.

Rules:

* Every call that logs scalars is written at once, so that a kill loses none. What counts are the rows that they come to, as
  the library that was called has them (`rows`): W&B's merge what is logged at one step, TensorBoard shows the last value of it.
* Of W&B runs only the trial's own counts. What a program logs to others (folds, other ranks) stays there.
* A value that a program hands to two APIs itself (same name, step and value) is reported once, and mirrored nowhere.
* ``SummaryWriter()`` writes into the trial's directory; a relative directory becomes one inside it; an absolute one is left
  alone. TensorBoard shows a trial that uses one writer as one run. What other writers of it log is in the trial's own run as
  well, so that the HParams page has it; the hyperparameters that a program writes itself are left out: a trial is one row there.
* A tag that several writers have is several series (`series`).
* A failure in here becomes one warning in the trial's log, never an exception in the program.
* SIGTERM never comes between a call and its report: what W&B or TensorBoard has of a trial that is stopped, the reports have.
"""

import atexit
import dataclasses
import functools
import json
import os
import struct
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestrator.trial.capture import nested
from orchestrator.trial.capture.gradients import NORM, SPREAD, GradientWatch
from orchestrator.trial.capture.kept import Kept
from orchestrator.trial.capture.media_mirror import MediaMirror
from orchestrator.trial.capture.mirroring import OWN, TENSORBOARD, WANDB, Mirroring, Row
from orchestrator.trial.capture.own_run import Kind
from orchestrator.trial.capture.patching import Patch, Patches
from orchestrator.trial.capture.series import Series, Split
from orchestrator.trial.capture.sigterm import whole
from orchestrator.trial.capture.wandb_calls import WandbCalls
from orchestrator.trial.capture.wandb_run import TrialRuns
from orchestrator.trial.contract.bounds import Names, Problem, scalars, step_after, valid_step
from orchestrator.trial.contract.launch import Launch
from orchestrator.trial.contract.reports import ReportWriter
from orchestrator.trial.contract.scalars import number_of, scalar, shortest
from orchestrator.trial.contract.sweep_identity import SweepIdentity
from orchestrator.trial.contract.wandb_record import Row as WandbRow
from orchestrator.trial.formats.eventfile import EventFile, begin_session, tags_in, trial_file

_current: "Capture | None" = None


def current() -> "Capture | None":
    """Return the capture of the trial that this process belongs to, or None outside of a trial."""
    return _current


def variables(launch: Launch) -> dict[str, str]:
    """Return what a program may want to know about its trial, as environment variables."""
    found = {
        "SWEEP_ID": launch.sweep_id,
        "SWEEP_TRIAL_NUMBER": str(launch.trial),
        "SWEEP_TRIAL_DIR": launch.trial_dir,
        "SWEEP_CHECKPOINT_DIR": str(launch.dir.checkpoints_path),
    }
    return found if launch.seed is None else found | {"SWEEP_TRIAL_SEED": str(launch.seed)}


def write_launch(launch: Launch) -> str:
    """Write a launch for the interpreters that its trial starts; return the file's path."""
    path = str(launch.dir.launch_path)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(dataclasses.asdict(launch), file, default=str)
    return path


def hook_variables(launch: Launch) -> dict[str, str]:
    """Return the variables that make every Python which a trial starts capture what it logs."""
    hook = os.path.join(os.path.dirname(__file__), "hook")
    before = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([hook, *([before] if before else [])])
    return {"SWEEP_LAUNCH": str(launch.dir.launch_path), "PYTHONPATH": path}


def install(launch: Launch, *, leads: bool = True) -> "Capture":
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
    """What a process of a trial logs, and where it goes."""

    def __init__(self, launch: Launch, *, leads: bool = True) -> None:
        self._launch = launch
        self._dir = Path(launch.trial_dir)
        self._reports: ReportWriter | None = None
        self._runs = TrialRuns(launch)
        self._events: EventFile | None = None
        self._mirroring = Mirroring()
        self._names = Names(() if launch.metric is None else (launch.metric,))
        self._writers: weakref.WeakSet[Any] = weakref.WeakSet()
        self._next_step = 0
        self._leads = leads
        self._used = False
        self._warned = False
        self._local = threading.local()
        self._lock = threading.RLock()
        self._calls = WandbCalls(_Sink(self), self._runs, leads=leads)
        self._files: set[str] = set()
        self._series = Series(launch.trial_dir, launch.metric)
        self._known_places: set[str] = set()
        self._gradients = GradientWatch(self._take_watched) if launch.gradients == "on" else None
        self._kept = Kept(launch, self._quietly)
        self._media = MediaMirror(self._quietly, self._show, lambda run: self._runs.kind(run) is Kind.OWN)
        if leads:
            self._quietly(self._begin)

    def patch(self) -> None:
        """Hook into the libraries that programs log with."""
        patches: dict[str, Patch] = {
            "wandb": self._patch_wandb,
            "wandb.sdk.wandb_run": self._patch_wandb_run,
            "wandb.sdk.interface.interface": self._patch_interface,
            "wandb.sdk.lib.asyncio_manager": _patch_asyncio_manager,
            "wandb.sdk.lib.noop_run": self._calls.patch_noop_run,
            "torch.utils.tensorboard.writer": self._patch_summary_writer,
            "tensorboardX.writer": self._patch_summary_writer,
            "tensorboard.summary.writer.event_file_writer": self._patch_event_writer,
            "tensorboardX.event_file_writer": self._patch_event_writer,
        }
        if self._gradients is not None:
            patches["torch.optim.optimizer"] = self._gradients.watch
        Patches({name: self._harmless(patch) for name, patch in patches.items()}).install()
        for more in (nested.patches(), self._kept.patches(), self._media.patches()):
            Patches({name: self._harmless(patch) for name, patch in more.items()}).install()

    def _harmless(self, patch: Patch) -> Patch:
        """A hook that cannot be put into a library as it is today leaves the library alone, and says so."""

        def attempt(module: ModuleType) -> None:
            try:
                patch(module)
            except Exception as error:  # noqa: BLE001 - this runs inside the program's import
                self.warn(f"{type(error).__name__}: {error}")

        return attempt

    def report(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Report metrics by our own API, or a Tune program's: mirrored to TensorBoard and W&B."""
        self._quietly(self._take_own, metrics, step)

    def warn(self, why: str) -> None:
        """Say in the trial's log what is not captured. Once."""
        if self._warned:
            return
        self._warned = True
        try:
            print(f"sweep: warning: not everything is captured: {why}", file=sys.stderr)  # noqa: T201
        except Exception:  # noqa: BLE001 - the program closed its own standard error
            return

    def close(self, exit_code: int) -> None:
        """Finish what this process began: waiting rows, writers that were left open, and its W&B runs."""
        if not (self._leads or self._used):
            return
        self._quietly(self._send_open)
        self._quietly(self._send_rest)
        for writer in list(self._writers):
            self._quietly(writer.flush)
        self._quietly(self._runs.finish, exit_code, only_ours=not self._leads)
        self._quietly(self._kept.close)
        if self._events is not None:
            self._quietly(self._events.close)

    def leave_at_exit(self) -> None:
        """Close when this Python, which the trial started, exits: before wandb's exit hook of a run takes the connection away."""
        atexit.unregister(self._leave)
        atexit.register(self._leave)

    def _leave(self) -> None:
        self.close(1 if hasattr(sys, "last_value") else 0)  # the exit code is not known here

    def forked(self) -> None:
        """In a process that the program forked: files and locks of its own."""
        self._lock = threading.RLock()
        self._local = threading.local()
        self._events = None
        self._writers = weakref.WeakSet()
        self._mirroring = self._mirroring.alone()
        self._calls.forked()
        self._leads = self._used = False
        self._kept.forked()

    # ---- one report --------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._events = begin_session(self._launch)

    def _take_fresh(self, metrics: Mapping[str, float], step: int | None, source: str, **marks: Any) -> None:
        """Write what is new of a call, and mirror it to where the program did not send it itself.

        Args:
            metrics: Scalars by flat name.
            step: The step the program gave, or None.
            source: The API it used.
            **marks: What its line says besides.
        """
        if not metrics:
            return
        fresh = self._mirroring.fresh(self.admitted(metrics), step, source)
        if fresh:
            self.line(fresh, step, **marks)
        position = step if step is not None else self._next_step
        self._mirror(fresh, step, source, position)

    def line(self, metrics: Mapping[str, float], step: int | None, **marks: Any) -> None:
        """Write a line of the reports."""
        self._used = True
        self._report_writer().write(metrics, step, **marks)

    def take_row(self, row: WandbRow) -> None:
        """Mirror a complete row of the trial's W&B run."""
        self._mirror(row.metrics, row.given, WANDB, row.step)

    def _mirror(self, metrics: Mapping[str, float], step: int | None, source: str, shown: int) -> None:
        self._next_step = step_after(shown)
        for row in self._mirroring.take(metrics, step, source, shown):
            self._send(row)

    def _take_own(self, metrics: Mapping[str, Any], step: Any) -> None:
        problems: list[Problem] = []
        self._take_fresh(scalars(metrics, problems, number_of), valid_step(step, problems), OWN)
        self._tell(problems)

    def admitted(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return metrics with names that can be kept; say what does not fit."""
        problems: list[Problem] = []
        found = self._names.admit(metrics, problems)
        self._tell(problems)
        return found

    def step(self, given: Any) -> int | None:
        """Return a step as it can be kept; say so if one cannot."""
        problems: list[Problem] = []
        found = valid_step(given, problems)
        self._tell(problems)
        return found

    def _take_watched(self, sample: Mapping[str, float], n_steps: int) -> None:
        """Take a sample of gradients: the summary is reported, all of it is shown beside the program's own metrics."""
        self._quietly(self._log_watched, sample, n_steps)

    def _log_watched(self, sample: Mapping[str, float], n_steps: int) -> None:
        found = {name: sample[name] for name in (NORM, SPREAD) if name in sample}
        self._report_writer().write(found, n_steps, api="watch")
        if self._events is not None:
            self._events.scalars(sample, n_steps)
        self._runs.add(sample)

    def _report_writer(self) -> ReportWriter:
        if self._reports is None:
            self._reports = ReportWriter(self._launch.dir.reports_path, self._launch.attempt)
        return self._reports

    def _send(self, row: Row) -> None:
        if row.target == WANDB:
            self._runs.mirror(row.metrics, row.step)
            return
        self._event_file().scalars(row.metrics, row.shown)

    def _show(self, values: list[Any], step: int) -> None:
        """Write media into the trial's TensorBoard run."""
        self._event_file().summary(values, step)

    def _event_file(self) -> EventFile:
        if self._events is None:
            self._events = trial_file(self._dir, self._launch.attempt)
        return self._events

    def _send_open(self) -> None:
        for row in self._calls.close():
            self.take_row(row)

    def _send_rest(self) -> None:
        for row in self._mirroring.rest():
            self._send(row)

    def _is_inside(self) -> bool:
        return getattr(self._local, "inside", False)

    def _quietly(self, action: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """Do something of ours; its failure is one warning. What it logs itself is not captured."""
        if self._is_inside():
            return
        self._local.inside = True
        try:
            with whole, self._lock:
                action(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - capture never breaks a program
            self.warn(f"{type(error).__name__}: {error}")
        finally:
            self._local.inside = False

    def _tell(self, problems: Sequence[Problem]) -> None:
        for problem in problems[:1]:
            self.warn(problem)

    # ---- W&B ---------------------------------------------------------------------------------------------------------

    def _patch_wandb(self, wandb: ModuleType) -> None:
        self._runs.patch_init(wandb)
        opened = wandb.init

        @functools.wraps(opened)
        def init(*args: Any, **kwargs: Any) -> Any:
            run = opened(*args, **kwargs)
            self._quietly(self._opened, run)
            if not self._leads:
                self.leave_at_exit()
            return run

        for module in (wandb, wandb.sdk, wandb.sdk.wandb_init):
            vars(module)["init"] = init

    def _opened(self, run: Any) -> None:
        if self._runs.kind(run) is not Kind.OTHER:
            self._mirroring.use(WANDB)
        self._calls.opened(run)

    def _patch_interface(self, module: ModuleType) -> None:
        self._harmless(SweepIdentity(self._launch).patch_interface)(module)
        self._harmless(self._calls.patch_interface)(module)

    def _patch_wandb_run(self, module: ModuleType) -> None:
        self._harmless(self._runs.patch_run)(module)
        self._harmless(self._calls.patch_run)(module)

    # ---- TensorBoard -------------------------------------------------------------------------------------------------

    def _patch_summary_writer(self, module: ModuleType) -> None:
        original, add_scalars = module.SummaryWriter.__init__, module.SummaryWriter.add_scalars
        add_hparams = module.SummaryWriter.add_hparams

        @functools.wraps(original)
        def init(writer: Any, log_dir: Any = None, *args: Any, **kwargs: Any) -> None:
            given = kwargs.pop("log_dir", None) or kwargs.pop("logdir", None) or log_dir
            original(writer, self._place(given), *args, **kwargs)
            self._mirroring.use(TENSORBOARD)

        @functools.wraps(add_scalars)
        def scalars(
            writer: Any, main_tag: str, values: Mapping[str, Any], global_step: Any = None, *a: Any, **k: Any
        ) -> None:
            with whole:
                was = self._is_inside()
                self._local.inside = True  # its sub-writers would report one name for all
                try:
                    add_scalars(writer, main_tag, values, global_step, *a, **k)
                finally:
                    self._local.inside = was
                self._quietly(self._take_group, writer, main_tag, values, global_step)

        @functools.wraps(add_hparams)
        def hparams(writer: Any, *args: Any, **kwargs: Any) -> None:
            self._local.of_trial = True  # it writes into a directory of its own
            try:
                add_hparams(writer, *args, **kwargs)
            finally:
                self._local.of_trial = False

        module.SummaryWriter.__init__ = init
        module.SummaryWriter.add_scalars = scalars
        module.SummaryWriter.add_hparams = hparams
        self._patch_file_writer(module.FileWriter)

    def _patch_file_writer(self, file_writer: Any) -> None:
        """See whether an event has a step: 0 and none are one in the event itself."""
        add_event = file_writer.add_event

        @functools.wraps(add_event)
        def add(writer: Any, event: Any, step: Any = None, *args: Any, **kwargs: Any) -> Any:
            self._local.unstepped = step is None
            try:
                return add_event(writer, event, step, *args, **kwargs)
            finally:
                self._local.unstepped = False

        file_writer.add_event = add

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
            with whole:
                self._quietly(self._announce, writer)
                self._quietly(self._without_hparams, writer, event)
                if event.HasField("summary") and not event.summary.value:
                    return None
                result = original(writer, event, *args, **kwargs)
                self._quietly(self._take_event, writer, event)
            return result

        module.EventFileWriter.add_event = add_event

    def _announce(self, writer: Any) -> None:
        """Say that an event file is captured from inside, before there is anything in it that is read from outside."""
        path = getattr(writer, "_file_name", None) or getattr(getattr(writer, "_ev_writer", None), "_file_name", None)
        if path is None or path in self._files or self._leads:
            return
        self._files.add(path)
        self._report_writer().write({}, api="file", path=os.path.realpath(path))

    def _without_hparams(self, writer: Any, event: Any) -> None:
        """Take out what would make another row of the HParams page: a trial has its own, with the objective."""
        values = event.summary.value
        if not any(_is_hparams(value) for value in values) or not self._series.is_inside(writer.get_logdir()):
            return
        kept = [value for value in values if not _is_hparams(value)]
        del values[:]
        values.extend(kept)

    def _take_event(self, writer: Any, event: Any) -> None:
        if event.HasField("session_log") and event.session_log.status == event.session_log.START:
            self._purge(writer.get_logdir(), event.step)
        if not event.HasField("summary"):
            return
        self._writers.add(writer)
        found = {value.tag: number for value in event.summary.value if (number := _event_scalar(value)) is not None}
        self._take_scalars(writer.get_logdir(), found, None if self._is_unstepped() else event.step, event.step)

    def _take_group(self, writer: Any, main_tag: str, values: Mapping[str, Any], step: Any) -> None:
        """Take what `add_scalars` wrote with writers of its own, a directory each."""
        found = {
            f"{main_tag}/{name}": number for name, value in values.items() if (number := scalar(value)) is not None
        }
        self._take_scalars(str(writer.get_logdir()), found, step, scalar(step), is_elsewhere=True)

    def _take_scalars(
        self, directory: str, found: Mapping[str, float], step: Any, shown: Any, *, is_elsewhere: bool = False
    ) -> None:
        """Take scalars that were written into a directory; show them in the trial's own run if that is another."""
        place = str(self._dir) if getattr(self._local, "of_trial", False) else directory
        named = {self._name(place, tag): value for tag, value in found.items()}
        self._take_fresh(named, self.step(step), TENSORBOARD, api="tensorboard")
        if named and (is_elsewhere or not self._series.is_root(directory)):
            self._event_file().scalars(named, self.step(int(shown or 0)) or 0)

    def _name(self, directory: str, tag: str) -> str:
        name, split = self._series.name(directory, tag)
        if split is not None:
            self._split(split)
        return name

    def _split(self, split: Split) -> None:
        """Say that a name is several series: what had it so far is called otherwise, from its beginning."""
        marks: dict[str, Any] = {
            "op": "split",
            "tag": split.tag,
            "name": split.first,
            "names": split.names,
            "taken": split.taken,
        }
        self._report_writer().write({}, api="tensorboard", **marks)

    def _purge(self, directory: str, step: int) -> None:
        """Say that a directory's steps from one on are void, as TensorBoard takes the start of a session."""
        names = self._names_in(directory)
        if not names:
            return
        self._report_writer().write({}, step, api="tensorboard", op="purge", names=names)
        if not self._series.is_root(directory):
            self._event_file().take_back(names, step)

    def _names_in(self, directory: str) -> list[str]:
        """The names of a directory's series; a further attempt learns from its files those that earlier ones wrote."""
        if self._launch.attempt and directory not in self._known_places and self._series.is_inside(directory):
            self._known_places.add(directory)
            for tag in tags_in(Path(directory)):
                self._name(directory, tag)
        return self._series.names_in(directory)

    def _is_unstepped(self) -> bool:
        """Whether the event that a writer adds now was given no step, which it does not say itself."""
        return getattr(self._local, "unstepped", False)


class _Sink:
    """The capture as the hooks on W&B's runs see it."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self.line = capture.line
        self.row = capture.take_row
        self.step = capture.step

    def is_inside(self) -> bool:
        """Whether the call is one of ours."""
        return self._capture._is_inside()  # noqa: SLF001 - of this module

    def quietly(self, action: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """Do something of ours; its failure is one warning."""
        self._capture._quietly(action, *args, **kwargs)  # noqa: SLF001 - as above

    def fresh(self, metrics: Mapping[str, float], step: int | None) -> dict[str, float]:
        """Return what the program has not reported by our own API already."""
        return self._capture._mirroring.fresh(self._capture.admitted(metrics), step, WANDB)  # noqa: SLF001 - as above


def _patch_asyncio_manager(module: ModuleType) -> None:
    """Let no SIGTERM cut a call to wandb's own thread in two: whoever waits for that thread at exit would do so for ever.

    The thread counts its tasks, and one that was counted but never handed over stays counted; and an exception between the
    taking of a condition's lock and its `with` leaves it taken.
    """
    manager = module.AsyncioManager
    for name in ("run", "run_soon"):
        setattr(manager, name, whole(getattr(manager, name)))


def _is_hparams(value: Any) -> bool:
    return bool(value.metadata.plugin_data.plugin_name == "hparams")


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
        numbers = list(struct.unpack("<f", tensor.tensor_content))
    return shortest(numbers[0]) if len(numbers) == 1 else None
