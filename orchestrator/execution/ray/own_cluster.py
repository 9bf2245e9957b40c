"""A Ray of our own on this machine: starts fast and silently, ends with its process however that ends."""

import contextlib
import fcntl
import functools
import os
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from orchestrator.errors import ClusterError
from orchestrator.trial.side import PACKAGE

PREFIX = "sweep-ray-"

INSIDE = "r"
"""What Ray is given of a temporary directory: it opens its own to everybody (0777), so that one lies in a private one."""

MAX_TEMP_PATH = 40
"""Longest private directory, in characters, that leaves room for `INSIDE` and Ray's socket names in the kernel's 107."""

UNLOCKED_S = 60.0
"""A temporary directory without a lock that is older belongs to a process that died before it took the lock."""

OBJECT_STORE_BYTES = 80 << 20
"""Close to the least Ray accepts: events are all that passes through."""

SYSTEM_CONFIG = {"memory_monitor_refresh_ms": 0, "prestart_worker_first_driver": False}
"""Ray would answer full memory by killing a worker, and with it all trials of the machine; the kernel kills one trial.

Nor does it start a worker per CPU in advance, each a second of CPU: the pool asks for those that it wants.
"""

NOT_NEEDED = ("start_api_server", "start_monitor", "start_log_monitor")
"""Head processes of Ray that serve dashboards, autoscalers and log mirrors: they cost 3 to 8 s of start-up."""

AGENTS = ("dashboard_agent", "runtime_env_agent")
"""Processes of every node that Ray cannot leave out, by its names for them: `stand_in` takes their place."""

PYTHON_COMMAND = "_build_python_executable_command_memory_profileable"
"""What of `ray._private.services` begins the command of each process that is a script of Ray's."""


class LockedDir:
    """A directory that nobody else can enter, removed at the end, or by the next one of its kind after a crash.

    It holds a lock on a file inside as long as its process lives: that is how the next one knows a leftover.

    Args:
        parent: Where it is made.
        prefix: What the names of its kind begin with.

    Attributes:
        path: Where it is.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, parent: Path, prefix: str) -> None:
        for leftover in parent.glob(f"{prefix}*"):
            _remove_if_abandoned(leftover)
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        self._lock = (self.path / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Delete it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


class TempDir(LockedDir):
    """A short path of our own for Ray's files, sockets and logs.

    Attributes:
        for_ray: Where in it Ray puts its session.
    """

    def __init__(self) -> None:
        self.parent = Path(tempfile.gettempdir())
        if len(str(self.parent)) + len(PREFIX) + 8 > MAX_TEMP_PATH:
            self.parent = Path("/tmp")  # noqa: S108  the directory in it is private
        super().__init__(self.parent, PREFIX)
        self.for_ray = self.path / INSIDE


def _remove_if_abandoned(path: Path) -> None:
    """Remove a directory of this user whose process is dead: it locked it, or died before it could."""
    with contextlib.suppress(OSError):
        found = path.lstat()
        if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
            return
        try:
            descriptor = os.open(path / "lock", os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            if time.time() - found.st_mtime > UNLOCKED_S:
                shutil.rmtree(path, ignore_errors=True)
            return
        with os.fdopen(descriptor, "r+b", buffering=0) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)


def private_token() -> dict[str, str]:
    """Return the environment that closes a local Ray to everybody else on the network, without writing a file.

    Ray would create ~/.ray/auth_token and warn about it. The user's own RAY_AUTH_MODE or RAY_AUTH_TOKEN stays.
    """
    if "RAY_AUTH_MODE" in os.environ:
        return {}
    token = os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32)
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}


def start(temp_dir: TempDir, *, num_cpus: int | None, num_gpus: int | None, verbose: bool) -> None:
    """Start Ray's processes and connect this one. Call it in a thread that lives as long as the cluster should.

    They listen on the loopback address alone: nothing outside of this machine has any business with them.

    Ray ties its processes to the starting *thread* (PR_SET_PDEATHSIG): when that ends, even by SIGKILL, so do they.

    Raises:
        ClusterError: Ray does not start; names its log directory, which then stays.
    """
    import ray

    try:
        with only_what_is_needed(), _loopback_only():
            ray.init(
                address="local",
                num_cpus=num_cpus,
                num_gpus=num_gpus,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                job_config=job_config(),
                _system_config=SYSTEM_CONFIG,
                _temp_dir=str(temp_dir.for_ray),
                **logging_of(verbose=verbose),
            )
    except Exception as error:
        raise ClusterError(f"Ray does not start on this machine: {error}. Its logs are in {temp_dir.path}.") from error


def logging_of(*, verbose: bool) -> dict[str, Any]:
    """Return the options of `ray.init` that say how much reaches the terminal."""
    return {"log_to_driver": verbose, "logging_level": "INFO" if verbose else "CRITICAL"}


def job_config() -> Any:
    """Return what lets workers of this machine import this package where it is found by PYTHONPATH and not installed."""
    from ray.job_config import JobConfig

    root = PACKAGE.parent
    return JobConfig(_py_driver_sys_path=[] if root.name == "site-packages" else [str(root)])


@contextlib.contextmanager
def only_what_is_needed() -> Iterator[None]:
    """Leave out `NOT_NEEDED` and `AGENTS` while a node starts (Ray 2.60 has no option for it)."""
    from ray._private import services
    from ray._private.node import Node

    instead: dict[tuple[Any, str], Any] = {(Node, name): lambda *_, **__: None for name in NOT_NEEDED}
    if hasattr(services, PYTHON_COMMAND):
        instead[services, PYTHON_COMMAND] = functools.partial(_python_command, getattr(services, PYTHON_COMMAND))
    originals = {(place, name): getattr(place, name) for place, name in instead if hasattr(place, name)}
    for place, name in originals:
        setattr(place, name, instead[place, name])
    try:
        yield
    finally:
        for (place, name), original in originals.items():
            setattr(place, name, original)


def _python_command(own: Callable[..., list[str]], component: str, *details: Any, **more: Any) -> list[str]:
    """Return the command that Ray puts a script of its own behind; for an agent it is one that takes its place."""
    if component in AGENTS:
        return [sys.executable, "-I", "-S", str(Path(__file__).with_name("stand_in.py"))]
    return own(component, *details, **more)


@contextlib.contextmanager
def _loopback_only() -> Iterator[None]:
    """Let a node that starts now take the loopback address for its own, and with it all of its processes.

    That is what Ray does where it has no clusters (macOS, Windows). An address that is given to it does not: Ray turns
    127.0.0.1 into one that other machines can reach.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
