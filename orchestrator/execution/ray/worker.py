"""The Ray actor on a node: it holds the resources of its slots and passes between the pool and the node's `Runner`.

Messages cross as bytes (pickled once, in C), fenced by (trial, attempt) and numbered, so that a call that is repeated
after a network failure neither launches twice nor loses or doubles an event. Importing this module is cheap.
"""

import importlib
import os
import pickle
import platform
import queue
import re
import signal
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.interpreters.agreement import disagreement
from orchestrator.interpreters.probe import Interpreter, probe
from orchestrator.trial.contract.events import Cause, Ended, Reported, TrialEvent
from orchestrator.trial.contract.launch import Launch

MAX_EVENTS = 1000
"""Events per answer; one may carry many reports."""

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
        proof_path: A file in the runs directory.
        proof: What the file says, if it is the same file system.
        lease_s: Seconds without a word from the pool after which the worker ends itself and its trials.
        cpus: CPUs per trial.
        uses_gpus: Whether trials may see the worker's GPUs; else they see none.
        runner: ``module:class`` that runs the attempts of one node.
        pythons: What trials run in, other than this Python: version and packages by path, as the controller has them.
    """

    cwd: str
    environ: Mapping[str, str]
    proof_path: str
    proof: str
    lease_s: float
    cpus: float | None
    uses_gpus: bool
    runner: str
    pythons: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """What a worker answers.

    Attributes:
        python: Its version.
        package: The version of this package.
        unfit: What keeps trials from running in their Python here; None when nothing does.
        differs: What is different of that Python's packages here; None when nothing is.
    """

    node_id: str
    host: str
    pid: int
    python: str
    package: str
    sees_runs: bool
    unfit: str | None
    differs: str | None

    def mismatch(self, runs_dir: str) -> str | None:
        """Return what makes this node unfit for this process, with what to do about it; None when nothing does."""
        if self.python != platform.python_version():
            return f"runs Python {self.python}, this machine {platform.python_version()}: they must be the same"
        if self.package != package_version():
            return f"has sweep-orchestrator {self.package}, this machine {package_version()}: install the same on both"
        if not self.sees_runs:
            return f"does not see {runs_dir}: choose a --runs-dir on a file system that all nodes share"
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
        self._refused: queue.SimpleQueue[Ended] = queue.SimpleQueue()
        self._batch = Batch(number=0, events=())

    def hello(self, config: dict[str, Any]) -> dict[str, Any]:
        """Take up work; plain dicts, since the versions of the two sides are compared here."""
        self._config = WorkerConfig(**config)
        _adopt(self._config)
        self._gpu_ids = _gpu_ids() if self._config.uses_gpus else ()
        self._runner = _load(self._config.runner)()
        unfit, differs = disagreement(self._config.pythons, _probe)
        info = WorkerInfo(
            host=socket.gethostname(),
            pid=os.getpid(),
            python=platform.python_version(),
            package=package_version(),
            sees_runs=_reads(self._config.proof_path) == self._config.proof,
            node_id=_node_id(),
            unfit=unfit,
            differs=differs,
        )
        self._heard_s = time.monotonic()  # nobody could poll before this: the time that imports took is not silence
        threading.Thread(target=self._watch_lease, name="lease", daemon=True).start()
        return asdict(info)

    def launch(self, message: bytes) -> None:
        """Start an attempt; a repeated message is ignored."""
        launch: Launch = pickle.loads(message)  # noqa: S301  from our own controller, over Ray, which pickles anyway
        key = (launch.trial, launch.attempt)
        with self._seen_lock:
            if key in self._seen:
                return
            self._seen.add(key)
        cpus = self._config.cpus if launch.cpus is None else launch.cpus
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # Ray blocks it, and children inherit that
        try:
            self._runner.launch(replace(launch, gpu_ids=self._gpu_ids, cpus=cpus))
        except Exception as error:  # noqa: BLE001  nobody reads this call's answer: the attempt must end all the same
            problem = f"{type(error).__name__}: {error}"
            ended = Ended(trial=key[0], attempt=key[1], time=time.time(), cause=Cause.NOT_STARTED, error=problem)
            self._refused.put(ended)

    def stop(self, trial: int, attempt: int, kill: bool) -> None:  # noqa: FBT001  Ray calls by position
        """End an attempt; unknown ones are ignored."""
        self._runner.stop(trial, attempt, kill=kill)

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
            while not self._refused.empty():
                self._held.append(self._refused.get())
            if not self._held:
                self._held = self._collect(timeout_s, linger_s)
            events, self._held = self._held[:MAX_EVENTS], self._held[MAX_EVENTS:]
            self._batch = Batch(number=acknowledged + bool(events), events=tuple(events))
            return pickle.dumps(self._batch)

    def close(self) -> None:
        """Kill what runs."""
        self._runner.close()

    def _collect(self, timeout_s: float, linger_s: float) -> list[TrialEvent]:
        """Wait for events; of mere reports take more than one look's worth, which spares calls when many workers report."""
        events: list[TrialEvent] = list(self._runner.poll(timeout_s))
        until_s = time.monotonic() + linger_s
        while events and isinstance(events[-1], Reported) and (left_s := until_s - time.monotonic()) > 0:
            events += self._runner.poll(left_s)
        return events

    def _hold(self, seconds: float) -> None:
        """Let the runner look after its attempts, which it does only when polled, and keep what it says."""
        time.sleep(seconds)
        if len(self._held) < MAX_HELD:
            self._held += self._runner.poll(0)

    def _watch_lease(self) -> None:
        while time.monotonic() - self._heard_s < self._config.lease_s:
            time.sleep(min(1.0, self._config.lease_s / 4))
        os._exit(1)  # the children's parent-death signals do the rest, also when this process hangs somewhere


def package_version() -> str:
    """Return the version of this package, with what differs between two checkouts of it left out."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("sweep-orchestrator")
    except PackageNotFoundError:
        return "not installed"


def _adopt(config: WorkerConfig) -> None:
    """Make this process look like the shell that the sweep was launched from."""
    for name in [name for name in os.environ if SET_BY_RAY.fullmatch(name)]:
        del os.environ[name]
    os.environ.update(config.environ)
    if Path(config.cwd).is_dir():
        os.chdir(config.cwd)


def exported(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the part of the controller's environment that trials on every node should have."""
    return {name: value for name, value in environ.items() if not NOT_EXPORTED.fullmatch(name)}


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _probe(path: str) -> Interpreter:
    return probe(path, cwd=str(Path.cwd()), environ=os.environ)


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
