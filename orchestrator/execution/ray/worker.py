"""The Ray actor on a node: it holds the resources of its slots and passes between the pool and the node's `Runner`.

Messages cross as bytes (pickled once, in C), fenced by (trial, attempt) and numbered, so that a call that is repeated
after a network failure neither launches twice nor loses or doubles an event. Importing this module is cheap.
"""

import contextlib
import importlib
import os
import pickle
import platform
import queue
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.errors import SweepError
from orchestrator.execution.gpu_turns import GpuTurns, lock_dir
from orchestrator.execution.ray.node_dir import NodeDir
from orchestrator.execution.shipping.outbox import Outbox, encoded
from orchestrator.execution.shipping.receiver import Receiver
from orchestrator.interpreters.agreement import agreement
from orchestrator.interpreters.probe import Interpreter, probe
from orchestrator.layout import SweepDir
from orchestrator.trial.contract.events import Cause, Ended, Reported, TrialEvent
from orchestrator.trial.contract.launch import Launch

MAX_EVENTS = 1000
"""Events per answer; one may carry many reports."""

RELEASE_S = 0.02
"""How often is looked whether the files of a trial that has ended have arrived."""

FULL_BYTES = 1 << 20
"""A disk with less room is full."""

MAX_HELD = 10_000
"""Events a worker holds for a controller that is behind; the rest stays in the trials' files."""

NOT_EXPORTED = re.compile("CUDA_VISIBLE_DEVICES|SSH_.*|DBUS_.*|XDG_RUNTIME_DIR|HOSTNAME|PWD|OLDPWD|SHLVL|TMPDIR|_")
"""Variables of the controller's environment that mean something else, or nothing, on another node."""

SET_BY_RAY = re.compile("RAY_.*|OMP_NUM_THREADS|PYTHONBREAKPOINT|PYTHONUNBUFFERED")
"""Variables that Ray gives its workers; a trial has those of them that its user set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """What a worker is told first.

    Attributes:
        cwd: Directory the sweep was launched from.
        environ: The controller's environment.
        sweep_dir: The sweep's directory, as the controller sees it.
        proof_path: A file in it.
        proof: What the file says, if it is the same file system.
        lease_s: Seconds without a word from the pool after which the worker ends itself and its trials.
        cpus: CPUs per trial.
        gpus: GPUs per trial, a share of one where it is below 1; with none, trials see none of the worker's.
        runner: ``module:class`` that runs the attempts of one node.
        turns: What its sweep is called among those that take turns at this machine's GPUs; None where it takes none.
        pythons: What trials run in: version and packages by path, as the controller has them.
    """

    cwd: str
    environ: Mapping[str, str]
    sweep_dir: str
    proof_path: str
    proof: str
    lease_s: float
    cpus: float | None
    gpus: float
    runner: str
    turns: str | None
    pythons: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """What a worker answers.

    Attributes:
        python: Its version.
        sees_runs: Whether it sees the sweep's directory; else it keeps its trials in one of its own, and sends them.
        unfit: What keeps trials from running in their Python here; None when nothing does.
        differs: What is different of that Python's packages here; None when nothing is.
    """

    node_id: str
    host: str
    pid: int
    python: str
    sees_runs: bool
    unfit: str | None
    differs: str | None

    def mismatch(self) -> str | None:
        """Return what makes this node unfit for this process, with what to do about it; None when nothing does."""
        here = platform.python_version()
        if self.python.split(".")[:2] != here.split(".")[:2]:
            return f"runs Python {self.python}, this machine {here}: their first two numbers must be the same"
        return self.unfit


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Events in order. `number` counts batches from 1; a batch stays until the next call acknowledges it."""

    number: int
    events: tuple[TrialEvent, ...]


class Worker:
    """Runs the attempts of its slots. Methods are called by Ray in several threads.

    Without a `poll` for the lease's time, which begins with the answer to `hello`, it ends its process, and with it, by
    their parent-death signals, its trials: the pool then counts the attempt as lost and may run it elsewhere, so it must
    not go on here.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()
        self._seen_lock = threading.Lock()
        self._polling = threading.Lock()
        self._held: list[TrialEvent] = []
        self._batch = Batch(number=0, events=())
        self._own: str | None = None
        self._node_dir: NodeDir | None = None
        self._outbox = Outbox()
        self._receivers: dict[int, Receiver] = {}
        self._allowed: dict[tuple[int, int], float | None] = {}
        self._is_closed = False

    def hello(self, config: dict[str, Any], baggage: Sequence[Any], code: Sequence[Any]) -> dict[str, Any]:
        """Take up work; plain dicts, which Ray carries to where this module cannot be imported yet.

        `baggage` is Ray's reference to a `Baggage`, fetched where the sweep's directory is not seen; `code` as in `compare`.
        """
        self._config = WorkerConfig(**config)
        sees_runs = _reads(self._config.proof_path) == self._config.proof
        unfit = None if sees_runs else self._settle_apart(baggage)
        _adopt(self._config, self._at_home(self._config.cwd))
        self._gpu_ids = _gpu_ids() if self._config.gpus > 0 else ()
        self._runner = _load(self._config.runner)()
        self._share(_turns(self._gpu_ids, self._config.turns))
        agreed = agreement(self._config.pythons, _probe)
        self._own = agreed.own
        info = WorkerInfo(
            host=socket.gethostname(),
            pid=os.getpid(),
            python=platform.python_version(),
            sees_runs=sees_runs,
            node_id=_node_id(),
            unfit=unfit or agreed.unfit or self.compare(code),
            differs=agreed.differs,
        )
        if info.unfit is not None:
            self.leave()
        self._heard_s = time.monotonic()  # nobody could poll before this: the time that imports took is not silence
        threading.Thread(target=self._watch_lease, name="lease", daemon=True).start()
        return asdict(info)

    def compare(self, code: Sequence[Any]) -> str | None:
        """Return how the project is otherwise here; `code` is Ray's reference to an `Expected`, none where it may be."""
        import ray

        found = (ray.get(each).mismatch() for each in code)
        return next((mismatch for mismatch in found if mismatch is not None), None)

    def _share(self, turns: GpuTurns | None) -> None:
        """Take turns at the GPUs from now on, if there are any to take."""
        self._turns = turns
        self._in_turn: queue.SimpleQueue[Launch] = queue.SimpleQueue()
        if turns is not None:
            threading.Thread(target=self._take_turns, args=(turns,), name="turns", daemon=True).start()

    def launch(self, message: bytes) -> None:
        """Start an attempt; a repeated message is ignored."""
        launch: Launch = pickle.loads(message)  # noqa: S301  from our own controller, over Ray, which pickles anyway
        key = (launch.trial, launch.attempt)
        with self._seen_lock:
            if key in self._seen:
                return
            self._seen.add(key)
        if self._turns is None:
            self._begin(launch)
            return
        self._turns.expect(key)
        self._in_turn.put(launch)

    def _take_turns(self, turns: GpuTurns) -> None:
        """Start attempts one after the other, each when no other sweep's trial has its GPUs; where there are no locks, at once.

        In one thread that stays: what a thread starts may end with it (parent-death signals).
        """
        while True:
            launch = self._in_turn.get()
            key = (launch.trial, launch.attempt)
            is_due = True
            with contextlib.suppress(OSError):
                is_due = turns.wait(key)
            if is_due:
                self._begin(launch)
                continue
            why = "stopped while it waited for its GPU"
            self._refuse(*key, Cause.STOPPED, why)

    def _begin(self, launch: Launch) -> None:
        key = (launch.trial, launch.attempt)
        cpus = self._config.cpus if launch.cpus is None else launch.cpus
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # Ray blocks it, and children inherit that
        try:
            if self._node_dir is not None:
                launch = moved(launch, self._at_home)
                self._outbox.begin(launch.trial, launch.attempt, launch.dir.path)
            python = self._own if launch.python is None else launch.python
            share = min(1.0, self._config.gpus or 1.0)
            own = replace(launch, gpu_ids=self._gpu_ids, gpu_share=share, cpus=cpus, python=python)
            self._runner.launch(own)
            timeout_s = self._allowed.get(key, own.timeout_s)  # one that is over by now has no entry
            if timeout_s != own.timeout_s:
                self._runner.allow(*key, timeout_s)
        except Exception as error:  # noqa: BLE001  nobody reads this call's answer: the attempt must end all the same
            problem = f"{type(error).__name__}: {error}"
            self._refuse(*key, Cause.NOT_STARTED, problem)

    def _refuse(self, trial: int, attempt: int, cause: Cause, why: str) -> None:
        """Tell the end of an attempt that the runner never had."""
        self._runner.tell(Ended(trial=trial, attempt=attempt, time=time.time(), cause=cause, error=why))

    def take(self, trial: int, attempt: int, fresh: bool, number: int, parts: bytes) -> bytes:  # noqa: FBT001  as below
        """Put files into a trial's directory before its launch. A node that shares the runs directory is never asked.

        Args:
            trial: Which one.
            attempt: The attempt that is to follow.
            fresh: Whether what is here of it is out of date.
            number: Of these parts, from 1; the last may come again.
            parts: A pickled list of `Part`.

        Returns:
            ``ok``; ``have``, where everything is here from the attempt before; ``refused``, after which its end follows.
        """
        assert self._node_dir is not None
        place = SweepDir(self._node_dir.sweep).trial(trial).path
        try:
            if number == 1 and not fresh and self._outbox.has(trial):
                self._outbox.begin(trial, attempt, place)
                return b"have"
            if number == 1:
                self._outbox.forget(trial)
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir(parents=True)
                self._receivers[trial] = Receiver(place, self._node_dir.staging / str(trial))
            self._receivers[trial].apply(number, pickle.loads(parts))  # noqa: S301  from our own controller
        except OSError as error:
            problem = (
                f"its files cannot be kept on node {socket.gethostname()}: {error.filename or place}: {error.strerror}"
            )
            self._refuse(trial, attempt, Cause.NOT_STARTED, problem)
            return b"refused"
        return b"ok"

    def pull(self, number: int, outcomes: bytes, timeout_s: float, n_bytes: int) -> list[Any]:
        """Return an encoded `Shipment` of what trials wrote here; `outcomes` are pickled."""
        told = pickle.loads(outcomes)  # noqa: S301  from our own controller
        return encoded(self._outbox.pull(number, told, timeout_s, n_bytes))

    def stop(self, trial: int, attempt: int, kill: bool, grace_s: float | None) -> None:  # noqa: FBT001  Ray calls by position
        """End an attempt; unknown ones are ignored. `grace_s` is the time that it has; None for what its launch says."""
        if self._turns is None or not self._turns.withdraw((trial, attempt)):
            self._runner.stop(trial, attempt, kill=kill, grace_s=grace_s)

    def allow(self, trial: int, attempt: int, timeout_s: float | None) -> None:
        """Let an attempt take so many seconds from its beginning on, also one that has yet to get its GPU."""
        self._allowed[trial, attempt] = timeout_s  # first: whichever thread comes later tells the runner
        self._runner.allow(trial, attempt, timeout_s)

    def poll(self, acknowledged: int, timeout_s: float, linger_s: float, paused: bool) -> bytes:  # noqa: FBT001  as above
        """Return a pickled `Batch` as soon as there is an event, an empty one after `timeout_s` seconds.

        Args:
            acknowledged: Number of the last batch that arrived; one that did not is returned again.
            timeout_s: Seconds to wait for the first event.
            linger_s: Seconds to collect more when there are only reports so far; starts and ends go at once.
            paused: Whether to return nothing, for a controller that is behind; trials go on and their files fill.
        """
        self._heard_s = time.monotonic()
        with self._polling:
            if self._batch.number > acknowledged:
                return pickle.dumps(self._batch)
            if paused:
                self._hold(timeout_s)
                return pickle.dumps(Batch(number=acknowledged, events=()))
            if not self._held:
                self._held = self._collect(timeout_s, linger_s)
            events, self._held = self._held[:MAX_EVENTS], self._held[MAX_EVENTS:]
            self._batch = Batch(number=acknowledged + bool(events), events=tuple(events))
            return pickle.dumps(self._batch)

    def close(self) -> None:
        """Kill what runs; what was written can still be pulled."""
        self._is_closed = True
        self._runner.close()
        self._outbox.finish()

    def leave(self) -> None:
        """Remove what is left here."""
        if self._node_dir is not None:
            self._node_dir.remove()

    def _settle_apart(self, baggage: Sequence[Any]) -> str | None:
        """Make a directory for the trials here, with what they need of the sweep's; return what is in the way."""
        import ray

        try:
            self._node_dir = NodeDir(self._config.environ)
            for each in baggage:
                ray.get(each).unpack(self._node_dir.sweep)
        except (OSError, SweepError) as error:
            return f"does not see {self._config.sweep_dir}, and cannot keep trials itself: {error}"
        cwd = self._at_home(self._config.cwd)
        if not Path(cwd).is_dir():
            return f"has no directory {cwd}: run with --pin, so that the project goes along"
        return None

    def _at_home(self, text: str) -> str:
        """A path in the sweep's directory, or a word with one in it, as it is here."""
        if self._node_dir is None:
            return text
        there = self._config.sweep_dir
        return str(self._node_dir.sweep) if text == there else text.replace(f"{there}/", f"{self._node_dir.sweep}/")

    def _events(self, timeout_s: float) -> list[TrialEvent]:
        """Poll the runner; an end on a node of its own waits until its trial's files have arrived."""
        if self._node_dir is None:
            events = list(self._runner.poll(timeout_s))
            for event in events:
                self._over(event)
            return events
        until_s = time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, until_s - time.monotonic())
            found = self._runner.poll(min(left_s, RELEASE_S) if self._outbox.holds_ends else left_s)
            for event in found:
                self._over(event)
                if isinstance(event, Ended):
                    self._outbox.hold(_of_full_disk(event, self._node_dir.path))
            events = [*(e for e in found if not isinstance(e, Ended)), *self._outbox.released()]
            if events or time.monotonic() >= until_s:
                return events
            time.sleep(RELEASE_S if self._is_closed else 0.0)  # a closed runner answers at once

    def _collect(self, timeout_s: float, linger_s: float) -> list[TrialEvent]:
        """Wait for events; of mere reports take more than one look's worth, which spares calls when many workers report."""
        events = self._events(timeout_s)
        until_s = time.monotonic() + linger_s
        while events and isinstance(events[-1], Reported) and (left_s := until_s - time.monotonic()) > 0:
            events += self._events(left_s)
        return events

    def _hold(self, seconds: float) -> None:
        """Let the runner look after its attempts, which it does only when polled, and keep what it says."""
        time.sleep(seconds)
        if len(self._held) < MAX_HELD:
            self._held += self._events(0)

    def _over(self, event: TrialEvent) -> None:
        """Let go of what an attempt that has ended had here."""
        if not isinstance(event, Ended):
            return
        self._allowed.pop((event.trial, event.attempt), None)
        if self._turns is not None:
            self._turns.release((event.trial, event.attempt))

    def _watch_lease(self) -> None:
        while time.monotonic() - self._heard_s < self._config.lease_s:
            time.sleep(min(1.0, self._config.lease_s / 4))
        os._exit(1)  # the children's parent-death signals do the rest, also when this process hangs somewhere


def moved(launch: Launch, place: Callable[[str], str]) -> Launch:
    """Return a launch in which every path into the sweep's directory is where `place` has it."""
    program = replace(
        launch.program, target=place(launch.program.target), args=tuple(place(word) for word in launch.program.args)
    )
    return replace(
        launch,
        trial_dir=place(launch.trial_dir),
        cwd=place(launch.cwd),
        program=program,
        argv=tuple(place(word) for word in launch.argv),
        env={name: place(value) for name, value in launch.env.items()},
    )


def _of_full_disk(ended: Ended, place: Path) -> Ended:
    """Return a failure with the full disk that it may have come from: its log has no room to say so."""
    if ended.cause not in {Cause.FAILED, Cause.KILLED}:
        return ended
    try:
        has_room = shutil.disk_usage(place).free >= FULL_BYTES
    except OSError:  # somebody has cleared the directory
        return ended
    full = f"the disk of {place} on node {socket.gethostname()} is full"
    return ended if has_room else replace(ended, error=full if ended.error is None else f"{ended.error}; {full}")


def _adopt(config: WorkerConfig, cwd: str) -> None:
    """Make this process look like the shell that the sweep was launched from."""
    for name in [name for name in os.environ if SET_BY_RAY.fullmatch(name)]:
        del os.environ[name]
    os.environ.update(config.environ)
    if Path(cwd).is_dir():
        os.chdir(cwd)


def exported(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the part of the controller's environment that trials on every node should have."""
    return {name: value for name, value in environ.items() if not NOT_EXPORTED.fullmatch(name)}


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _probe(path: str) -> Interpreter:
    return probe(path, cwd=str(Path.cwd()), environ=os.environ)


def _turns(gpu_ids: tuple[str, ...], sweep: str | None) -> GpuTurns | None:
    directory = lock_dir()
    return GpuTurns(gpu_ids, sweep, directory) if gpu_ids and sweep is not None and directory is not None else None


def _gpu_ids() -> tuple[str, ...]:
    import ray

    return tuple(str(gpu) for gpu in ray.get_runtime_context().get_accelerator_ids().get("GPU", ()))


def _node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _reads(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return None
