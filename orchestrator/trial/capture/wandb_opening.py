"""How a program's W&B runs are opened and closed: offline, in the trial's directory, whatever becomes of a server."""

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

from orchestrator.layout import SYNCED
from orchestrator.trial.capture.guard import Guard
from orchestrator.trial.capture.own_run import Kind, kind_of
from orchestrator.trial.capture.patching import Patch
from orchestrator.trial.capture.wandb_mirror import RunMirror
from orchestrator.trial.capture.wandb_runs import TrialRuns, is_finished, is_offline, places, refusal
from orchestrator.trial.contract.launch import Launch
from orchestrator.trial.wandb_core import version_of

LENIENT = (0, 29)
"""The wandb since which a run that is switched off may have what its program and its sweep say of the same key."""

NEW = frozenset({True, "finish_previous", "create_new"})
"""What `reinit` says where a program wants another run than the one that is open."""

USED = "SWEEP_WANDB_USED"
"""Set where W&B was used in this process or before it was started: by itself it would find its parent's core then."""


class RunOpening:
    """The hooks on `wandb.init` and on the ends of runs."""

    def __init__(self, launch: Launch, guard: Guard, runs: TrialRuns, mirror: RunMirror) -> None:
        self._launch = launch
        self._guard = guard
        self._runs = runs
        self._mirror = mirror
        self._wanted = launch.wandb

    def patches(self) -> dict[str, Patch]:
        """Return what to change in wandb."""
        return {
            "wandb": self._patch_init,
            "wandb.sdk.wandb_run": self._patch_run,
            "wandb.integration.tensorboard": self._patch_sync,
        }

    def _patch_sync(self, module: ModuleType) -> None:
        """Take events of TensorBoard by capture also where a program calls `wandb.tensorboard.patch`: W&B had them twice."""

        def patch(*_: Any, **__: Any) -> None:
            self._runs.is_synced = True

        vars(module)["patch"] = patch

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
            run = self._guard.answer(self._previous, None, given)
            if run is not None:
                return run
            with self._with_id(beside):
                run = self._begin(original, fitting)
            if run is not None and not self._runs.has(run):
                self._runs.add(run, self._guard.answer(self._kind, Kind.OWN, run, given))
                self._guard.answer(self._mirror.add_facts, None, run)
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
            for run in self._runs.all():
                if not is_finished(run) and getattr(run, "_init_pid", None) == os.getpid():
                    run.finish(exit_code=code)
            return original(*args, **kwargs)

        for place in places(wandb, "sdk", "sdk.wandb_setup"):
            vars(place)["teardown"] = teardown

    def _previous(self, given: Mapping[str, Any]) -> Any:
        """The run that W&B returns once more while it is open; of runs that are switched off it would make another one."""
        if self._wanted is not None or _asked(given, "mode") == "disabled" or _asked(given, "reinit") in NEW:
            return None
        found = [run for run in self._runs.known_open() if getattr(run, "_init_pid", None) == os.getpid()]
        return found[-1] if found else None

    def _kind(self, run: Any, given: dict[str, Any]) -> Kind:
        """What a new run is to the trial."""
        is_own_open = any(self._runs.kind(each) is Kind.OWN for each in self._runs.known_open())
        is_beside = is_own_open and _asked(given, "reinit") == "create_new"
        return kind_of(run, self._launch, given, environ=os.environ, is_beside=is_beside)

    def _fitting(self, given: dict[str, Any]) -> dict[str, Any]:
        """The arguments of `wandb.init` as they fit a trial of a sweep.

        Its project, entity and id are the sweep's: W&B sees to that itself. Its directory is the trial's, and it is offline, also
        where a program cleared the variables that say so (runs of folds that are no part of the sweep). Events of TensorBoard
        reach W&B by capture: wandb's own way (`sync_tensorboard`) makes `finish` take 5 to 10 s.
        """
        self._runs.is_synced = self._runs.is_synced or bool(given.get("sync_tensorboard"))
        fitting = {name: value for name, value in given.items() if name not in {"dir", "sync_tensorboard"}}
        if self._wanted is None:
            return fitting | {"mode": "disabled"}
        fitting["dir"] = self._launch.trial_dir
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
        if self._wanted is None or _asked(given, "reinit") != "create_new" or not self._runs.known_open():
            return None
        from wandb.sdk import wandb_setup

        return wandb_setup.singleton().settings, f"{self._wanted.run_id}-{len(self._runs.all())}"

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
        refused = self._guard.answer(refusal, ())
        try:
            run = original(**given)
        except refused as error:
            if "in use" not in str(error) or was_used or self._guard.is_inside() or self._runs.live():
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
        for name, value in self._launch.config.items():
            if isinstance(value, Mapping) and isinstance(own.get(name), Mapping):
                run.config._items[name] = copy.deepcopy(dict(own[name]))  # noqa: SLF001 - the sweep's value replaced it
        run.config.merge_locked(dict(self._launch.config), user="sweep", _allow_val_change=True)

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
                self._mirror.give_way(run)
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


def _troubles() -> tuple[type[Exception], ...]:
    """What `wandb.init` raises when its server is in trouble."""
    import wandb

    return (wandb.errors.CommError, wandb.errors.UsageError, refusal())


def _is_online(run: Any) -> bool:
    return not (is_finished(run) or is_offline(run) or getattr(run, "disabled", False))


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
    log.with_name(log.name + SYNCED).touch()
