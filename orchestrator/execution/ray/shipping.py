"""The files of trials on nodes that do not see the runs directory: fetched from their workers, and taken to them.

A thread of its own keeps a call per worker on its way, several where there is much to fetch. Only it writes into the
trials' directories, and only for the attempts that the pool has given to a worker and not taken back: that is the fence
which the shared disk is elsewhere.
"""

import contextlib
import math
import pickle
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.execution.ray import workers
from orchestrator.execution.registry import Key, WorkerHandle
from orchestrator.execution.shipping.outbox import LEFT_OUT, Outcome, Shipment, Shipped, all_parts, decoded
from orchestrator.execution.shipping.receiver import EscapingPathError, Receiver
from orchestrator.execution.shipping.sender import BATCH_BYTES, Sender
from orchestrator.layout import ARRIVING, SweepDir

PULL_S = 2.0
"""How long a worker may hold a call without news."""

WINDOW = 4
"""The most calls to one worker on their way at once: while one shipment is written, and its outcome travels, others come."""

MOST_CALLS = 32
"""About the most to all workers together; each may bring `BATCH_BYTES`."""

SHIPMENT_S = 0.1
"""How long a shipment should take to arrive at the rate of those before: what is urgent waits for the window's."""

LEAST_BYTES = 1 << 20
"""The least that is asked for at once."""

AGAIN_S = 1.0
"""After how long a call that got lost, or files that could not be written, are tried again."""

DRAIN_S = 30.0
"""How long, at the end of a sweep, workers have to send what W&B's core and others still write."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pull:
    """A call on its way: the shipment that it asks for, and the last whose outcome it tells."""

    number: int
    tells: int


@dataclass(slots=True, kw_only=True, eq=False)
class _Route:
    """What goes on with one worker.

    Attributes:
        n_done: The last shipment that was done.
        untold: Outcomes that the worker may not have heard.
        arrived: Shipments by number that are to be done.
        recent: When the last shipments arrived, and how many bytes.
        refused: Why nothing of this worker's is written any more, one sentence; it has to be given up.
        asked_s: When the worker was asked to send the rest, since it is to go; None while it is not.
        removal: The call that then removes all it has: from then on nothing of it is written, least of all that this is gone.
    """

    worker: WorkerHandle
    staging: Path
    n_done: int = 0
    untold: list[Outcome] = field(default_factory=list)
    calls: dict[Any, _Pull] = field(default_factory=dict)
    arrived: dict[int, Shipment] = field(default_factory=dict)
    recent: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=WINDOW))
    due_s: float = 0.0
    problem: str | None = None
    refused: str | None = None
    drained: bool = False
    asked_s: float | None = None
    removal: Any = None
    pushes: dict[Key, _Push] = field(default_factory=dict)
    launched: set[Key] = field(default_factory=set)
    receivers: dict[int, Receiver] = field(default_factory=dict)

    @property
    def is_busy(self) -> bool:
        """Whether there was more to send than came with the last shipment."""
        return bool(self.recent)

    def asked_for(self, window: int) -> list[int]:
        """Return the numbers of shipments to ask for: one is asked for again where no call tells the outcomes."""
        on_their_way = {pull.number for pull in self.calls.values()} | self.arrived.keys()
        following = range(self.n_done + 1, self.n_done + 1 + (window if self.is_busy else 1))
        wanted = [number for number in following if number not in on_their_way]
        is_told = not self.untold or any(pull.tells == self.n_done for pull in self.calls.values())
        return wanted if wanted or is_told else [self.n_done + 1]

    def n_bytes(self) -> int:
        """Return how many bytes a shipment should have."""
        if len(self.recent) < WINDOW:
            return LEAST_BYTES
        took_s = self.recent[-1][0] - self.recent[0][0]
        rate = sum(size for _, size in self.recent) * (WINDOW - 1) / WINDOW / max(took_s, 1e-3)
        return int(min(max(rate * SHIPMENT_S, LEAST_BYTES), BATCH_BYTES))


class _NotWantedError(Exception):
    """What a worker has sent is not to be written any more."""


class Shipping:
    """Carries the files of trials between the runs directory and workers that do not see it. Any thread may call it.

    Args:
        runs_dir: The sweep's directory.
    """

    def __init__(self, runs_dir: Path) -> None:
        self._dir = SweepDir(runs_dir)
        self._lock = threading.Lock()
        self._routes: dict[WorkerHandle, _Route] = {}
        self._held_by: dict[int, tuple[WorkerHandle, int]] = {}
        self._missing: set[str] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shipping", daemon=True)

    def join(self, worker: WorkerHandle) -> None:
        """Take up a worker that does not see the runs directory."""
        with self._lock:
            staging = self._dir.path / ARRIVING / f"{id(worker):x}"
            self._routes[worker] = _Route(worker=worker, staging=staging)
            if self._thread.ident is None:
                self._thread.start()

    def leave(self, worker: WorkerHandle) -> None:
        """Write nothing of this worker's any more, from the moment on that this returns."""
        with self._lock:
            route = self._routes.pop(worker, None)
            if route is not None:
                shutil.rmtree(route.staging, ignore_errors=True)

    def has_all_of(self, worker: WorkerHandle) -> bool:
        """Whether everything is here of a worker that runs nothing and is to go, and nothing is left there.

        It is asked to send the rest, for a limited time, then to remove what it has.
        """
        with self._lock:
            route = self._routes.get(worker)
            if route is None:
                return True
            if route.asked_s is None:
                route.asked_s = time.monotonic()
                worker.actor.close.remote()
            if route.removal is None and (route.drained or time.monotonic() - route.asked_s > DRAIN_S):
                route.removal = worker.actor.leave.remote()
            return route.removal is not None and bool(workers.answered([route.removal], timeout_s=0))

    def ships(self, worker: WorkerHandle) -> bool:
        """Whether a worker's trials are carried."""
        return worker in self._routes

    def launch(self, worker: WorkerHandle, key: Key, message: bytes) -> None:
        """Take a trial's directory to a worker, then its launch; the launch alone where that has been done.

        From now on the trial's files are taken from this worker alone.
        """
        with self._lock:
            trial, attempt = key
            before, since = self._held_by.get(trial, (None, attempt))
            self._held_by[trial] = worker, since if before is worker else attempt
            route = self._routes.get(worker)
            if route is None or key in route.launched:
                worker.actor.launch.remote(message)
            elif key not in route.pushes:
                stale = route.receivers.pop(trial, None) if before is not worker else None
                if stale is not None:  # the worker counts its transfers from 1 again
                    stale.close()
                sender = Sender(self._dir.trial(trial).path, left_out=LEFT_OUT)
                sender.finish()
                push = route.pushes[key] = _Push(key=key, message=message, sender=sender, fresh=before is not worker)
                self._push(route, push)

    def problems(self) -> set[str]:
        """Return what keeps files from arriving, and which never did, one sentence each."""
        return {route.problem for route in list(self._routes.values()) if route.problem is not None} | self._missing

    def refused(self) -> dict[WorkerHandle, str]:
        """Return the workers that send what must not be written, each with the reason: no end of theirs ever arrives."""
        return {worker: route.refused for worker, route in list(self._routes.items()) if route.refused is not None}

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
            shutil.rmtree(self._dir.path / ARRIVING, ignore_errors=True)

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
                        self._pulled(route, route.calls.pop(call), answer)
                    else:
                        self._pushed(route, push, answer)
            for route in list(self._routes.values()):
                self._do_arrived(route)

    def _calls(self) -> dict[Any, tuple[_Route, _Push | None]]:
        """Send what is due; return every call that is on its way."""
        now_s = time.monotonic()
        calls: dict[Any, tuple[_Route, _Push | None]] = {}
        n_busy = sum(route.is_busy for route in self._routes.values())
        for route in self._routes.values():
            if now_s >= route.due_s and not route.drained:
                self._pull(route, max(1, min(WINDOW, MOST_CALLS // max(1, n_busy))))
            calls.update(dict.fromkeys(route.calls, (route, None)))
            for push in list(route.pushes.values()):
                if push.call is None and now_s >= push.due_s:
                    self._push(route, push)
                if push.call is not None:
                    calls[push.call] = (route, push)
        return calls

    def _pull(self, route: _Route, window: int) -> None:
        for number in route.asked_for(window):
            outcomes = pickle.dumps(route.untold)
            call = route.worker.actor.pull.remote(number, outcomes, PULL_S, route.n_bytes())
            route.calls[call] = _Pull(number=number, tells=route.n_done)

    def _pulled(self, route: _Route, pull: _Pull, answer: workers.Answer) -> None:
        match answer:
            case list():
                route.untold = [outcome for outcome in route.untold if outcome.number > pull.tells]
                self._arrived(route, decoded(answer))
            case workers.Death():
                route.drained = True
            case _:
                route.due_s = time.monotonic() + AGAIN_S

    def _arrived(self, route: _Route, shipment: Shipment) -> None:
        if shipment.shipped and shipment.number > route.n_done:
            route.arrived[shipment.number] = shipment
        if shipment.more:
            route.recent.append((time.monotonic(), shipment.n_bytes))
        elif shipment.shipped or shipment.number == route.n_done + 1:
            route.recent.clear()
        route.drained = route.drained or shipment.drained

    def _do_arrived(self, route: _Route) -> None:
        """Do what shipments say, in order; what cannot be written stays, and with it everything that follows."""
        while (shipment := route.arrived.get(route.n_done + 1)) is not None and time.monotonic() >= route.due_s:
            try:
                outcome = self._do(route, shipment)
            except OSError as error:
                problem = f"{error.filename or self._dir.path} cannot be written: {error.strerror}"
                route.problem = f"files of trials on node {route.worker.host} wait there: {problem}"
                route.due_s = time.monotonic() + AGAIN_S
                return
            except EscapingPathError as error:
                route.refused = f"its node sends files to places where none may be: {error}"
                route.due_s = math.inf
                return
            with self._lock:
                self._missing |= {
                    f"trial {each.trial}: {path} is not here as it was at the end: on node {route.worker.host} it was replaced "
                    "faster than it travels"
                    for each in shipment.shipped
                    for path in each.missing
                }
                route.problem = None
                route.untold.append(outcome)
                del route.arrived[shipment.number]
                route.n_done = shipment.number

    def _do(self, route: _Route, shipment: Shipment) -> Outcome:
        wrong: dict[int, Sequence[str]] = {}
        refused: list[tuple[int, int]] = []
        for each in shipment.shipped:
            try:
                receiver = self._receiver(route, each)
                wrong[each.trial] = receiver.apply(shipment.number, each.parts, self._writing(route, each))
            except _NotWantedError:
                refused.append((each.trial, each.attempt))
        return Outcome(number=shipment.number, wrong=wrong, refused=refused)

    def _writing(self, route: _Route, shipped: Shipped) -> Callable[[], AbstractContextManager[None]]:
        """What each part is written in: nothing else changes meanwhile whose files those are."""

        @contextlib.contextmanager
        def writing() -> Iterator[None]:
            with self._lock:
                holder, since = self._held_by.get(shipped.trial, (None, 0))
                is_over = route.worker not in self._routes or route.removal is not None
                if is_over or holder is not route.worker or shipped.attempt < since:
                    raise _NotWantedError
                yield

        return writing

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
