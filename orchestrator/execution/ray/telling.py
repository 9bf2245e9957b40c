"""What the pool tells its workers: to listen for events, to launch, to stop; told again where nothing shows that it arrived."""

import pickle
import time
from collections.abc import Callable
from dataclasses import replace

from orchestrator.execution.ray.shipping import Shipping
from orchestrator.execution.registry import Attempt, WorkerHandle, WorkerRegistry

BEHIND_POLL_S = 0.2
"""How long a worker may hold a poll while the controller is busy with earlier events."""

LINGER_S = 0.001
"""How long each worker collects reports before it answers, per worker in the pool: at most 1000 answers per second."""

MAX_LINGER_S = 0.05
"""The most of that: a report is here within a tenth of a second."""

REPEAT_S = 5.0
"""After how long a launch or a stop that shows no effect is sent again."""

ARRIVES_S = 5.0
"""How long before its node leaves a trial is killed, so that its end and its files are here."""


class Telling:
    """Calls to the workers of one pool; the caller holds the pool's lock.

    Args:
        registry: Those workers.
        shipping: What takes a trial's files to a worker before its launch.
        poll_s: How long a worker may hold a poll without news, in seconds.
        is_behind: Says whether events wait here, so that workers should hold theirs back.
    """

    def __init__(
        self, registry: WorkerRegistry, shipping: Shipping, *, poll_s: float, is_behind: Callable[[], bool]
    ) -> None:
        self._registry = registry
        self._shipping = shipping
        self._poll_s = poll_s
        self._is_behind = is_behind

    def listen(self, worker: WorkerHandle) -> None:
        """Ask a worker for what comes next; the call is also what keeps its lease, which counts from now."""
        behind = self._is_behind()
        timeout_s = min(BEHIND_POLL_S, self._poll_s) if behind else self._poll_s
        linger_s = min(MAX_LINGER_S, LINGER_S * sum(each.ready for each in self._registry.workers))
        worker.called_s = time.monotonic()
        worker.call = worker.actor.poll.remote(worker.acknowledged, timeout_s, linger_s, behind)

    def launch(self, worker: WorkerHandle, attempt: Attempt) -> None:
        """Let a worker run an attempt."""
        launch = replace(attempt.launch, config=dict(attempt.launch.config), env=dict(attempt.launch.env))
        self._shipping.launch(worker, attempt.key, pickle.dumps(launch))

    def stop(
        self, worker: WorkerHandle, attempt: Attempt, now_s: float, *, kill: bool, left_s: float | None = None
    ) -> None:
        """Ask an attempt to end, or kill it; with `left_s` in the time that its node has, less what its end takes to arrive."""
        attempt.kill, attempt.given_s = kill, now_s
        attempt.grace_s = None if left_s is None else max(left_s / 2, left_s - ARRIVES_S)
        self._send_stop(worker, attempt)

    def repeat(self, now_s: float) -> None:
        """Repeat what may have got lost on its way to a worker: a call fails with its connection, unheard."""
        for worker, attempt in self._registry.unheeded(now_s, REPEAT_S):
            attempt.given_s = now_s
            if not attempt.started:
                self.launch(worker, attempt)
            if attempt.kill is not None:
                self._send_stop(worker, attempt)
        for worker in self._registry.workers:
            if worker.ready and worker.call is None:
                self.listen(worker)

    def _send_stop(self, worker: WorkerHandle, attempt: Attempt) -> None:
        worker.actor.stop.remote(*attempt.key, attempt.kill, attempt.grace_s)
