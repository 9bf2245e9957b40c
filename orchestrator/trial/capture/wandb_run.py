"""The W&B runs of a trial's process: whose mode they have, the one that mirrors other APIs, and how they are finished."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestrator.trial.capture.core_line import CoreLine, line_to
from orchestrator.trial.capture.guard import Guard
from orchestrator.trial.capture.own_run import Kind, kind_of
from orchestrator.trial.capture.patching import Patch
from orchestrator.trial.contract.launch import Launch
from orchestrator.trial.contract.sweep_identity import run_id
from orchestrator.trial.wandb_core import drain, version_of

LENIENT = (0, 29)
"""The wandb since which a run that is switched off may have what its program and its sweep say of the same key."""


USED = "SWEEP_WANDB_USED"
"""Set where W&B was used in this process or before it was started: by itself it would find its parent's core then."""


class TrialRuns:
    """Every W&B run that a trial's process has.

    Attributes:
        is_synced: Whether the program asked W&B to take its values from TensorBoard.
    """

    def __init__(self, launch: Launch, guard: Guard) -> None:
        self._launch = launch
        self._guard = guard
        self._wanted = launch.wandb
        self._dir = launch.trial_dir
        self._config = launch.config
        self._runs: list[Any] = []
        self._kinds: dict[int, Kind] = {}
        self._mirror: Any = None
        self._line: CoreLine | None = None
        self._facts: dict[str, Any] = {}
        self.is_synced = False
        self._stepped = False
        self._joined: set[str] = set()
        self._logs_before = self._logs()
        self._is_taken = False

    def patches(self) -> dict[str, Patch]:
        """Return what to change in wandb."""
        return {"wandb": self._patch_init, "wandb.sdk.wandb_run": self._patch_run}

    def _patch_init(self, wandb: ModuleType) -> None:
        """See every `wandb.init`, and make it the trial's run."""
        original = wandb.init
        parameters = inspect.signature(original)
        self._guard.answer(_leave_greeting_out, None)

        @functools.wraps(original)
        def init(*args: Any, **kwargs: Any) -> Any:
            given = {**parameters.bind_partial(*args).arguments, **kwargs}
            fitting, beside = (
                self._guard.answer(self._fitting, given, given),
                self._guard.answer(self._id_beside_of, None, given),
            )
            with self._with_id(beside):
                run = self._begin(original, fitting)
            if run is not None and all(run is not known for known in self._runs):
                self._kinds[id(run)] = self._guard.answer(self._kind, Kind.OWN, run, given)
                self._runs.append(run)
                self._guard.answer(self._add_facts, None, run)
            return run

        for place in places(wandb, "sdk", "sdk.wandb_init"):
            vars(place)["init"] = init
        self._patch_teardown(wandb)

    def _patch_teardown(self, wandb: ModuleType) -> None:
        """Finish the open runs first: their core, which is not theirs alone, does not end with the connection to it."""
        original = getattr(wandb, "teardown", None)
        if original is None:
            return

        @functools.wraps(original)
        def teardown(*args: Any, **kwargs: Any) -> Any:
            code = kwargs.get("exit_code", args[0] if args else None)
            for run in self._runs:
                if not _is_finished(run) and getattr(run, "_init_pid", None) == os.getpid():
                    run.finish(exit_code=code)
            return original(*args, **kwargs)

        for place in places(wandb, "sdk", "sdk.wandb_setup"):
            vars(place)["teardown"] = teardown

    def _kind(self, run: Any, given: dict[str, Any]) -> Kind:
        """What a new run is to the trial."""
        is_beside = _asked(given, "reinit") == "create_new" and any(not _is_finished(own) for own in self._own_runs())
        return kind_of(run, self._launch, given, environ=os.environ, is_beside=is_beside)

    def _fitting(self, given: dict[str, Any]) -> dict[str, Any]:
        """The arguments of `wandb.init` as they fit a trial of a sweep.

        Its project, entity and id are the sweep's: W&B sees to that itself. Its directory is the trial's, and it is offline, also
        where a program cleared the variables that say so (runs of folds that are no part of the sweep). Events of TensorBoard
        reach W&B by capture: wandb's own way (`sync_tensorboard`) makes `finish` take 5 to 10 s.
        """
        self.is_synced = self.is_synced or bool(given.get("sync_tensorboard"))
        fitting = {name: value for name, value in given.items() if name not in {"dir", "sync_tensorboard"}}
        if self._wanted is None:
            return fitting | {"mode": "disabled"}
        fitting["dir"] = self._dir
        mode = _asked(given, "mode")
        if self._wanted.mode == "online" or (mode or os.environ.get("WANDB_MODE", "online")) not in {
            "online",
            "shared",
        }:
            return fitting
        if mode is not None:
            self._guard.say(
                "W&B runs offline inside a trial and goes up beside it (orchestrator.wandb: online changes that)"
            )
        return fitting | {"mode": "offline"}

    def _id_beside_of(self, given: Mapping[str, Any]) -> tuple[Any, str] | None:
        """The settings of wandb and the id for a run that is opened beside another of the trial's (``reinit="create_new"``)."""
        n_open = sum(not _is_finished(run) for run in self._runs)
        if self._wanted is None or _asked(given, "reinit") != "create_new" or not n_open:
            return None
        from wandb.sdk import wandb_setup

        return wandb_setup.singleton().settings, f"{self._wanted.run_id}-{len(self._runs)}"

    @contextlib.contextmanager
    def _with_id(self, beside: tuple[Any, str] | None) -> Iterator[None]:
        if beside is None:
            yield
            return
        settings, settings_id = beside
        before = getattr(settings, "run_id", None)
        self._guard.answer(setattr, None, settings, "run_id", settings_id)
        try:
            yield
        finally:
            self._guard.answer(setattr, None, settings, "run_id", before)

    def _begin(self, original: Callable[..., Any], given: dict[str, Any]) -> Any:
        """Call the real `wandb.init`. A server in trouble costs an online trial some time once, but never its life."""
        import wandb

        if self._wanted is None:
            with _unread_params(wandb):
                run = original(**given)
            self._guard.answer(self._configure, None, run, given)
            return run
        troubles = self._guard.answer(_troubles, ())
        try:
            return self._begin_recorded(original, given)
        except troubles as error:
            if self._wanted.mode != "online" or given.get("mode") == "offline":
                raise
            reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
            self._guard.say(
                f"W&B cannot be reached ({reason[0][:200]}); the trial goes on offline, `sweep sync` sends it later"
            )
        # The core we share goes on with the run that it could not begin: its id is taken there.
        os.environ.pop("WANDB_SERVICE", None)
        os.environ["WANDB_MODE"] = "offline"
        wandb.teardown()
        return original(**given, **({} if "mode" in given else {"mode": "offline"}))

    def _begin_recorded(self, original: Callable[..., Any], given: dict[str, Any]) -> Any:
        """Call the real `wandb.init`, on a core of its own where another process has the trial's run open on the shared one.

        By itself each process that is started before its parent uses W&B has such a core; others are refused there, too.
        """
        was_used = USED in os.environ
        refusal = self._guard.answer(_refusal, ())
        try:
            run = original(**given)
        except refusal as error:
            if "in use" not in str(error) or was_used or self._guard.is_inside() or self._live():
                raise
            import wandb

            os.environ.pop("WANDB_SERVICE", None)
            wandb.teardown()
            run = original(**given)
        if not self._guard.is_inside():
            os.environ[USED] = "1"
        return run

    def _configure(self, run: Any, given: Mapping[str, Any]) -> None:
        """Give a run that is switched off the trial's config, merged and locked as a run's that is not."""
        from wandb.sdk import wandb_helper

        own = wandb_helper.parse_config(given.get("config") or {}) or {}
        for name, value in self._config.items():
            if isinstance(value, Mapping) and isinstance(own.get(name), Mapping):
                run.config._items[name] = copy.deepcopy(dict(own[name]))  # noqa: SLF001 - the sweep's value replaced it
        run.config.merge_locked(dict(self._config), user="sweep", _allow_val_change=True)

    def _patch_run(self, module: ModuleType) -> None:
        """A stopped trial inside `with wandb.init()` did not fail; a server in trouble does not keep a trial from ending."""
        original, finish = (
            module.Run.__exit__,
            getattr(module.Run, "_finish", None),
        )  # finish() and `with` both come here

        @functools.wraps(original)
        def leave(run: Any, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> Any:
            if isinstance(error, SystemExit):
                run.finish(exit_code=error.code if isinstance(error.code, int) else int(error.code is not None))
                return False
            return original(run, kind, error, trace)

        module.Run.__exit__ = leave
        if finish is None:
            return

        @functools.wraps(finish)
        def finish_in_time(run: Any, *args: Any, **kwargs: Any) -> None:
            is_online = self._guard.answer(_is_online, False, run)
            with self._guard.lock:
                self.give_way(run)
            try:
                finish(run, *args, **kwargs)
            except TimeoutError:
                patience_s = getattr(getattr(run, "settings", None), "finish_timeout", None)
                within = f"{patience_s:g} s" if isinstance(patience_s, (int, float)) else "its time"
                self._guard.say(f"W&B did not take all of the run within {within}; `sweep sync` sends the rest later")
            else:
                if is_online:
                    self._guard.answer(_mark_sent, None, run)

        module.Run._finish = finish_in_time  # noqa: SLF001 - as above

    def all(self) -> list[Any]:
        """Every run of this process, in order."""
        return list(self._runs)

    def kind(self, run: Any) -> Kind:
        """What a run is to the trial; one that another process opened is known by its id."""
        found = self._kinds.get(id(run))
        if found is None:
            known = getattr(getattr(run, "_settings", None), "run_id", None) or getattr(run, "_attach_id", None)
            found = Kind.OWN if known == run_id(self._launch) else Kind.OTHER
        return found

    def is_mirror(self, run: Any) -> bool:
        """Whether a run was made by us, for a program that had none."""
        return run is self._mirror

    def is_recorded(self, run: Any) -> bool:
        """Whether a run is more than a run that is switched off."""
        return self._wanted is not None and not getattr(run, "disabled", False)

    @property
    def own_name(self) -> str:
        """How the trial's run is named to a person."""
        return f"those of {run_id(self._launch)!r}"

    def _own_runs(self) -> list[Any]:
        return [run for run in self._runs if self._kinds.get(id(run)) is not Kind.OTHER]

    def _live(self) -> list[Any]:
        return [run for run in self._own_runs() if not _is_finished(run)]

    def mirror(self, metrics: Mapping[str, float], step: int | None) -> None:
        """Log metrics that came by another API to the trial's run."""
        run = self._open_run()
        if run is None:
            return
        if run is not self._mirror and not self.is_synced:
            self._join(run, metrics, step)
        elif step is not None and step >= next_step(run):
            self._log(run, metrics, step)
        else:
            self._log(run, _with_step(metrics, step))

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
        for run in self._live():
            self._add_facts(run)

    def _add_facts(self, run: Any) -> None:
        if self._facts and self._wanted is not None and self.kind(run) is Kind.OWN:
            run.config.update(self._facts, allow_val_change=True)

    def add(self, metrics: Mapping[str, float]) -> None:
        """Log metrics of ours with the row that is logged next: steps stay the program's own, and no run is made for it."""
        live = self._live()
        if live:
            self._log(live[-1], metrics, commit=False)

    def _open_run(self) -> Any:
        """The trial's current run; made when its program has none."""
        if self._wanted is None:
            return None
        live = self._live()
        if live:
            return live[-1]
        if self._runs and self._mirror is None:
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
        except _refusal():
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
        if self._wanted is None:
            return
        if not self._runs and self._logs() == self._logs_before:
            self._open_run()
        for run in [self._mirror] if only_ours else self._runs:
            if run is not None and not _is_finished(run):
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


def next_step(run: Any) -> int:
    """Return the step of the row that a run logs to next; asking `run.step` would be a journey to the core and back."""
    for name in ("_local_step", "_step"):  # since 0.26, and before
        found = getattr(run, name, None)
        if isinstance(found, int):
            return found
    return 0


def places(wandb: ModuleType, *names: str) -> list[Any]:
    """Return the modules that hold a name of wandb's front door, as far as there are."""
    found = [wandb]
    for name in names:
        place: Any = wandb
        for part in name.split("."):
            place = getattr(place, part, None)
        found += [place] if isinstance(place, ModuleType) else []
    return found


@contextlib.contextmanager
def _unread_params(wandb: Any) -> Iterator[None]:
    """Let an older wandb not read a sweep's config into a run that is switched off: it refuses what the program gave besides."""
    if version_of(wandb) >= LENIENT:
        yield
        return
    path = os.environ.pop("WANDB_SWEEP_PARAM_PATH", None)
    try:
        yield
    finally:
        if path is not None:
            os.environ["WANDB_SWEEP_PARAM_PATH"] = path


def _with_step(metrics: Mapping[str, float], step: int | None) -> dict[str, float]:
    return {**metrics, **({"global_step": step} if step is not None else {})}


def _is_finished(run: Any) -> bool:
    return bool(getattr(run, "_is_finished", False))


def _troubles() -> tuple[type[Exception], ...]:
    """What `wandb.init` raises when its server is in trouble."""
    import wandb

    return (wandb.errors.CommError, wandb.errors.UsageError, _refusal())


def _refusal() -> type[Exception]:
    """What `wandb.init` raises when its core refuses a run."""
    import wandb

    try:
        from wandb.sdk.mailbox.mailbox_handle import ServerResponseError
    except ImportError:  # before 0.24
        return getattr(wandb.errors, "CommError", RuntimeError)
    found: type[Exception] = ServerResponseError
    return found


def _is_online(run: Any) -> bool:
    return not (_is_finished(run) or is_offline(run) or getattr(run, "disabled", False))


def is_offline(run: Any) -> bool:
    """Whether a run is recorded for later, as wandb itself asks."""
    return bool(getattr(getattr(run, "_settings", None), "_offline", False))


def _asked(given: Mapping[str, Any], name: str) -> Any:
    """An argument of `wandb.init`, by itself or among its settings."""
    return given.get(name) or _setting(given.get("settings"), name)


def _setting(settings: Any, name: str) -> Any:
    """A setting that a program gave to `wandb.init`, in either form; None for one that it left at its default."""
    if isinstance(settings, Mapping):
        return settings.get(name)
    return getattr(settings, name, None) if name in getattr(settings, "model_fields_set", ()) else None


def _leave_greeting_out() -> None:
    """Let the client not ask its server for the user's name, to print it: 10 s more where the server does not answer."""
    from wandb.sdk import wandb_login

    if "_print_logged_in_message" in vars(wandb_login):
        vars(wandb_login)["_print_logged_in_message"] = lambda *_, **__: None


def _mark_sent(run: Any) -> None:
    """Leave wandb's own mark that a server has all of a run, as its sync does."""
    log = Path(run.settings.sync_file)
    log.with_name(f"{log.name}.synced").touch()
