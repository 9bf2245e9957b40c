"""Sees the calls on W&B runs, of whatever wandb a program has.

What a call logs is taken as W&B itself has converted it, so that no value of the program's is asked twice.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from orchestrator.trial.capture.guard import Guard
from orchestrator.trial.capture.patching import Patch
from orchestrator.trial.capture.sigterm import uninterruptible
from orchestrator.trial.capture.wandb_lines import WandbLines
from orchestrator.trial.capture.wandb_mirror import RunMirror
from orchestrator.trial.capture.wandb_runs import is_finished, places


class WandbCalls:
    """The hooks on W&B's runs.

    Args:
        guard: Does something of ours.
        mirror: The run of ours; it makes way for what the program logs.
        lines: What calls become.
        leave_first: Puts our exit hook before wandb's, in a process that the trial started.
    """

    def __init__(self, guard: Guard, mirror: RunMirror, lines: WandbLines, *, leave_first: Callable[[], None]) -> None:
        self._guard = guard
        self._mirror = mirror
        self._lines = lines
        self._leave_first = leave_first
        self._local = threading.local()

    def patches(self) -> dict[str, Patch]:
        """Return what to change in wandb."""
        return {
            "wandb": self._patch_init,
            "wandb.sdk.wandb_run": self._patch_run,
            "wandb.sdk.interface.interface": self._patch_interface,
            "wandb.sdk.lib.asyncio_manager": _patch_asyncio_manager,
            "wandb.sdk.lib.noop_run": self._patch_noop_run,
        }

    def _patch_init(self, wandb: ModuleType) -> None:
        original = wandb.init

        @functools.wraps(original)
        def init(*args: Any, **kwargs: Any) -> Any:
            run = original(*args, **kwargs)
            if self._guard.is_inside() and not self._lines.leads:
                self._lines.announce(run)
            self._guard.quietly(self._patch_switched_off, wandb, run)
            self._guard.quietly(self._lines.opened, run)
            if not self._lines.leads:
                self._leave_first()
            return run

        for place in places(wandb, "sdk", "sdk.wandb_init"):
            vars(place)["init"] = init

    def _patch_run(self, module: ModuleType) -> None:
        """See what is logged, defined, summarized and marked on runs, and how they end."""
        run_class = module.Run
        self._patch_log(run_class)
        self._after(run_class, "_metric_callback", self._lines.defined)
        self._after(run_class, "_summary_update_callback", self._lines.summarized)
        self._after(run_class, "mark_preempting", self._lines.preempting)
        self._after(run_class, "alert", self._lines.alerted)
        self._patch_end(run_class, "_finish")

    def _patch_interface(self, module: ModuleType) -> None:
        """See what W&B makes of a call's values."""
        original = module.InterfaceBase.publish_partial_history
        place = list(inspect.signature(original).parameters).index("data") - 1

        @functools.wraps(original)
        def publish(interface: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(interface, *args, **kwargs)
            data = kwargs.get("data", args[place] if len(args) > place else None)
            self._local.sent = None if data is None else (data, kwargs.get("publish_step", True))
            return result

        module.InterfaceBase.publish_partial_history = publish

    def _patch_switched_off(self, wandb: ModuleType, run: Any) -> None:
        """The same before 0.27, where a run that is switched off is a run with calls of its own."""
        own = getattr(run, "__dict__", {})
        original, finish = own.get("log"), own.get("finish")
        if original is None:
            return

        def log(data: Any, *args: Any, **kwargs: Any) -> Any:
            with uninterruptible, self._guard.lock:
                result = original(data, *args, **kwargs)
                self._guard.quietly(self._taken, run, data, *args, **kwargs)
                return result

        def end(*args: Any, **kwargs: Any) -> Any:
            code = kwargs.get("exit_code", args[0] if args else None)
            self._even_inside(self._lines.finished, run, code)
            return finish(*args, **kwargs) if finish is not None else None

        for name, before, now in (("log", original, log), ("finish", finish, end)):
            if before is not None:
                own[name] = now
            if vars(wandb).get(name) is before is not None:
                vars(wandb)[name] = now

    def _patch_noop_run(self, module: ModuleType) -> None:
        """The same for runs that are switched off."""
        noop = module.NoopRun
        self._after(noop, "log", self._taken)
        self._after(noop, "define_metric", self._lines.defined_by_hand)
        noop.define_metric = _by_its_name(noop.define_metric)
        self._after(noop, "mark_preempting", self._lines.preempting)
        self._after(noop, "alert", self._lines.alerted)
        self._patch_end(noop, "finish")
        self._patch_end(noop, "_finish")

    def _patch_log(self, run_class: Any) -> None:
        original = run_class._log  # noqa: SLF001 - run.log, wandb.log and the integrations all pass through it

        @functools.wraps(original)
        def log(run: Any, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> Any:  # noqa: FBT001
            with uninterruptible, self._guard.lock:  # rows are made in the order in which calls reach W&B's core
                self._local.sent = None
                self._mirror.give_way(run)
                result = original(run, data=data, step=step, commit=commit)
                if self._guard.is_inside():
                    self._lines.mirrored(run, step, commit=commit)
                else:
                    self._guard.held(self._logged, run, data, step, commit)
                return result

        run_class._log = log  # noqa: SLF001 - as above

    def _logged(self, run: Any, data: Mapping[str, Any], step: Any, commit: bool | None) -> None:  # noqa: FBT001
        sent, self._local.sent = self._local.sent, None
        if sent is not None:
            data, has_step = sent
            step = step if has_step else None
        self._mirror.logged(step, commit=commit)
        self._lines.taken(run, data, step, commit)

    def _taken(
        self, run: Any, data: Mapping[str, Any], step: Any = None, commit: Any = None, *_: Any, **__: Any
    ) -> None:
        """Take what was logged to a run that is switched off: W&B converts nothing for it."""
        self._lines.taken(run, data, step, commit)

    def _after(self, owner: Any, name: str, note: Callable[..., None]) -> None:
        """Note each call of a method that went well; a method that this wandb does not have is none to see."""
        original = getattr(owner, name, None)
        if original is None:
            return

        @functools.wraps(original)
        def method(run: Any, *args: Any, **kwargs: Any) -> Any:
            with uninterruptible, self._guard.lock:
                self._mirror.give_way(run)
                result = original(run, *args, **kwargs)
                self._guard.quietly(note, run, *args, **kwargs)
                return result

        setattr(owner, name, method)

    def _patch_end(self, owner: Any, name: str) -> None:
        original = getattr(owner, name, None)
        if original is None:
            return

        @functools.wraps(original)
        def finish(run: Any, *args: Any, **kwargs: Any) -> Any:
            was_open = not is_finished(run)
            try:
                return original(run, *args, **kwargs)
            finally:
                code = kwargs.get("exit_code", args[0] if args else None)
                if was_open:
                    self._even_inside(self._lines.finished, run, code)

        setattr(owner, name, finish)

    def _even_inside(self, action: Callable[..., None], *args: Any) -> None:
        """Note something also where the call was ours."""
        if not self._guard.is_inside():
            self._guard.quietly(action, *args)
            return
        action(*args)


def _by_its_name(define: Callable[..., Any]) -> Callable[..., Any]:
    """Let `define_metric` return a metric by its own name, by which a program names it as a step metric: not ``dummy``."""

    @functools.wraps(define)
    def defined(run: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        metric = define(run, name, *args, **kwargs)
        return metric if getattr(metric, "name", name) == name else type(metric)(name)

    return defined


def _patch_asyncio_manager(module: ModuleType) -> None:
    """Let no SIGTERM cut a call to wandb's own thread in two: waiting for that thread at exit would never end.

    The thread counts its tasks, and one that was counted but never handed over stays counted; and an exception between the
    taking of a condition's lock and its `with` leaves it taken.
    """
    manager = module.AsyncioManager
    for name in [name for name in ("run", "run_soon") if hasattr(manager, name)]:
        setattr(manager, name, uninterruptible(getattr(manager, name)))
