"""The files of trials on nodes that do not see the runs directory: fetched from their workers, and taken to them.

A thread of its own keeps one call per worker on its way. Only it writes into the trials' directories, and only for the
attempts that the pool has given to a worker and not taken back: that is the fence which the shared disk is elsewhere.
"""

import pickle
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.execution.ray import workers
from orchestrator.execution.registry import Key, WorkerHandle
from orchestrator.execution.shipping.outbox import LEFT_OUT, Receipt, Shipment, Shipped, all_parts
from orchestrator.execution.shipping.receiver import EscapingPathError, Receiver
from orchestrator.execution.shipping.sender import Sender
from orchestrator.layout import SweepDir

PULL_S = 2.0
"""How long a worker may hold a call without news."""

AGAIN_S = 1.0
"""After how long a call that got lost, or files that could not be written, are tried again."""

DRAIN_S = 30.0
"""How long, at the end of a sweep, workers have to send what W&B's core and others still write."""

STAGING = ".arriving"
"""Where files lie in the sweep's directory until they are complete."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Push:
    """A trial's directory on its way to a node, and the launch that follows it."""

    key: Key
    message: bytes
    sender: Sender
    fresh: bool
    number: int = 0
    parts: bytes = b""
    call: Any = None
    due_s: float = 0.0


@dataclass(slots=True, kw_only=True, eq=False)
class _Route:
    """What goes on with one worker."""

    worker: WorkerHandle
    staging: Path
    receipt: Receipt = field(default_factory=lambda: Receipt(wrong={}))
    call: Any = None
    due_s: float = 0.0
    unwritten: Shipment | None = None
    problem: str | None = None
    drained: bool = False
    pushes: dict[Key, _Push] = field(default_factory=dict)
    launched: set[Key] = field(default_factory=set)
    receivers: dict[int, Receiver] = field(default_factory=dict)


class Shipping:
    """Carries the files of trials between the runs directory and workers that do not see it. Any thread may call it.

    Args:
        runs_dir: The sweep's directory.
    """

    def __init__(self, runs_dir: Path) -> None:
        self._dir = SweepDir(runs_dir)
        self._lock = threading.Lock()
        self._routes: dict[WorkerHandle, _Route] = {}
        self._held_by: dict[int, WorkerHandle] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shipping", daemon=True)

    def join(self, worker: WorkerHandle) -> None:
        """Take up a worker that does not see the runs directory."""
        with self._lock:
            staging = self._dir.path / STAGING / f"{id(worker):x}"
            self._routes[worker] = _Route(worker=worker, staging=staging)
            if self._thread.ident is None:
                self._thread.start()

    def leave(self, worker: WorkerHandle) -> None:
        """Write nothing of this worker's any more, from the moment on that this returns."""
        with self._lock:
            route = self._routes.pop(worker, None)
            if route is not None:
                shutil.rmtree(route.staging, ignore_errors=True)

    def ships(self, worker: WorkerHandle) -> bool:
        """Whether a worker's trials are carried."""
        return worker in self._routes

    def launch(self, worker: WorkerHandle, key: Key, message: bytes) -> None:
        """Take a trial's directory to a worker, then its launch; the launch alone where that has been done.

        From now on the trial's files are taken from this worker alone.
        """
        with self._lock:
            trial = key[0]
            before, self._held_by[trial] = self._held_by.get(trial), worker
            route = self._routes.get(worker)
            if route is None or key in route.launched:
                worker.actor.launch.remote(message)
            elif key not in route.pushes:
                if before is not worker:
                    route.receivers.pop(trial, None)
                sender = Sender(self._dir.trial(trial).path, left_out=LEFT_OUT)
                sender.finish()
                push = route.pushes[key] = _Push(key=key, message=message, sender=sender, fresh=before is not worker)
                self._push(route, push)

    def problems(self) -> set[str]:
        """Return what keeps files from arriving, one sentence each."""
        return {route.problem for route in list(self._routes.values()) if route.problem is not None}

    def drain(self, limit_s: float = DRAIN_S) -> None:
        """Let workers that have been asked to close send the rest, for a limited time."""
        until_s = time.monotonic() + limit_s
        while any(not route.drained for route in list(self._routes.values())) and time.monotonic() < until_s:
            time.sleep(0.02)

    def close(self) -> None:
        """End the thread. Idempotent."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()
            shutil.rmtree(self._dir.path / STAGING, ignore_errors=True)

    def _run(self) -> None:
        while not self._closing.is_set():
            with self._lock:
                calls = self._calls()
            for call in workers.answered(list(calls), timeout_s=0.1):
                answer = workers.answer(call)
                route, push = calls[call]
                with self._lock:
                    if route.worker not in self._routes:
                        continue
                    if push is None:
                        self._pulled(route, answer)
                    else:
                        self._pushed(route, push, answer)

    def _calls(self) -> dict[Any, tuple[_Route, _Push | None]]:
        """Send what is due; return every call that is on its way."""
        now_s = time.monotonic()
        calls: dict[Any, tuple[_Route, _Push | None]] = {}
        for route in self._routes.values():
            if route.unwritten is not None and now_s >= route.due_s:
                self._write(route, route.unwritten)
            if route.call is None and route.unwritten is None and now_s >= route.due_s and not route.drained:
                route.call = route.worker.actor.pull.remote(pickle.dumps(route.receipt), PULL_S)
            if route.call is not None:
                calls[route.call] = (route, None)
            for push in list(route.pushes.values()):
                if push.call is None and now_s >= push.due_s:
                    self._push(route, push)
                if push.call is not None:
                    calls[push.call] = (route, push)
        return calls

    def _pulled(self, route: _Route, answer: workers.Answer) -> None:
        route.call = None
        match answer:
            case bytes():
                self._write(route, pickle.loads(answer))  # noqa: S301  from our own worker
            case workers.Death():
                route.drained = True
            case _:
                route.due_s = time.monotonic() + AGAIN_S

    def _write(self, route: _Route, shipment: Shipment) -> None:
        """Do what a shipment says; what cannot be written stays, and with it everything that follows."""
        wrong: dict[int, Sequence[str]] = {}
        refused: list[int] = []
        try:
            for each in shipment.shipped:
                if self._held_by.get(each.trial) is not route.worker:
                    refused.append(each.trial)
                else:
                    wrong[each.trial] = self._receiver(route, each).apply(shipment.number, each.parts)
        except OSError as error:
            where = error.filename or self._dir.path
            route.problem = (
                f"files of trials on node {route.worker.host} wait there: {where} cannot be written: {error.strerror}"
            )
            route.unwritten, route.due_s = shipment, time.monotonic() + AGAIN_S
            return
        except EscapingPathError as error:
            route.problem = f"node {route.worker.host} sends what is refused: {error}"
            route.due_s = float("inf")
            return
        route.problem, route.unwritten = None, None
        route.drained = shipment.drained
        route.receipt = Receipt(number=shipment.number, wrong=wrong, refused=refused)

    def _receiver(self, route: _Route, shipped: Shipped) -> Receiver:
        trial = shipped.trial
        if trial not in route.receivers:
            route.receivers[trial] = Receiver(self._dir.trial(trial).path, route.staging / f"{trial}")
        return route.receivers[trial]

    def _push(self, route: _Route, push: _Push) -> None:
        """Send the next parts of a trial's directory, or, when it is there, the launch."""
        if not push.parts:
            parts = all_parts(push.sender)
            if not parts and push.sender.is_settled:
                self._pushed_all(route, push)
                return
            push.number += 1
            push.parts = pickle.dumps(parts, protocol=5)
        push.call = route.worker.actor.take.remote(*push.key, push.fresh, push.number, push.parts)

    def _pushed(self, route: _Route, push: _Push, answer: workers.Answer) -> None:
        push.call = None
        match answer:
            case b"have":
                self._pushed_all(route, push)
            case b"refused":  # the worker has told the attempt's end
                push.sender.close()
                route.pushes.pop(push.key, None)
            case bytes():
                push.parts = b""
                push.sender.heard(())
                self._push(route, push)
            case _:
                push.due_s = time.monotonic() + AGAIN_S

    def _pushed_all(self, route: _Route, push: _Push) -> None:
        push.sender.close()
        route.pushes.pop(push.key, None)
        route.launched.add(push.key)
        route.worker.actor.launch.remote(push.message)
