"""A connection to Ray: a local one of our own, or a running cluster; ended with `close`."""

import contextlib
import errno
import logging
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from orchestrator.errors import ClusterError
from orchestrator.execution.placement import Node
from orchestrator.execution.ray.authentication import authenticate, read_environment_again
from orchestrator.execution.ray.own_cluster import TempDir, logging_of, private_token, start
from orchestrator.execution.ray.probe import knock, probe

HEAD_CONNECT_S = 2.0
"""How long a connection to the head may take while a sweep runs; after that it is looked at again."""

HEAD_SILENCE_S = 30.0
"""How long the head may be silent: as long as workers go on without it. Ray ends this process after a minute."""

NODE_CONNECT_S = 0.2
"""How long all nodes together are given to refuse a connection; one that is silent says nothing by that."""

SAME_PYTHON = {"RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor"}
"""Lets Ray take patch releases of a Python for the same, as their bytecode is."""

UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.ETIMEDOUT})
"""What a cut link looks like, besides silence."""


class Cluster:
    """Ray, as far as a pool needs it. One per process: Ray has one connection.

    Attributes:
        address: ``host:port`` of the head.
        node_id: Of the node that this process is on.
        is_local: Whether it was started by us and ends with us.
        environ: The environment before Ray added its own variables: what trials should see.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str],
        is_local: bool = False,
        ours: bool = True,
        undo: contextlib.ExitStack | None = None,
    ) -> None:
        import ray

        self.environ = dict(environ)
        self.is_local = is_local
        self.address: str = ray.get_runtime_context().gcs_address
        self.node_id: str = ray.get_runtime_context().get_node_id()
        self._ours = ours
        self._undo = undo or contextlib.ExitStack()
        self._closed = False
        self._nodes: list[Node] = []
        self._answered_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def nodes(self) -> list[Node]:
        """Return the nodes with what they have and what of it is free; those of before while the head does not answer.

        Raises:
            ClusterError: The cluster is gone.
        """
        import ray
        from ray._private import state

        if not self._is_answering():
            return self._nodes
        free = state.available_resources_per_node()
        draining = state.state.get_draining_nodes()
        described = ray.nodes()
        if not any(n["NodeID"] == self.node_id and n["Alive"] for n in described):
            raise ClusterError("the Ray node on this machine is gone; " + self._how_to_go_on())
        refusing = _refusing([(n["NodeManagerAddress"], n["NodeManagerPort"]) for n in described if n["Alive"]])
        self._nodes = [
            Node(
                node_id=n["NodeID"],
                host=n["NodeManagerHostname"],
                total=n["Resources"],
                free=free.get(n["NodeID"], {}),
                draining=n["NodeID"] in draining,
                left_s=_left_s(draining.get(n["NodeID"], 0)),
                dead=(n["NodeManagerAddress"], n["NodeManagerPort"]) in refusing,
            )
            for n in described
            if n["Alive"]
        ]
        return self._nodes

    def places(self, actors: Sequence[Any]) -> list[str | None]:
        """Return, for each actor, the id of the node where Ray has given it a process; None while it waits, or is not known.

        Raises:
            ClusterError: The cluster is gone.
        """
        if not actors or not self._is_answering():
            return [None] * len(actors)
        return [_place(actor) for actor in actors]

    def close(self) -> None:
        """Disconnect, and end a local Ray with all its processes and files. Idempotent."""
        import ray

        if self._closed:
            return
        self._closed = True
        if self._ours:
            ray.shutdown(wait_for_processes=self.is_local)
        self._undo.close()

    def _is_answering(self) -> bool:
        """Notice a dead head before Ray does: its client would block for a minute, then abort the process.

        A refused connection says that it is dead. Silence may be a link that comes back.

        Raises:
            ClusterError: It is dead, or silent for too long.
        """
        if self.is_local:
            dead = [name for name in ("gcs_server", "raylet") if not _is_running(name)]
            if dead:
                raise ClusterError(f"the local Ray died ({', '.join(dead)} ended); " + self._how_to_go_on())
            return True
        try:
            knock(self.address, timeout_s=HEAD_CONNECT_S)
        except OSError as error:
            silent_s = time.monotonic() - self._answered_s
            if isinstance(error, TimeoutError) or error.errno in UNREACHABLE:
                if silent_s < HEAD_SILENCE_S:
                    return False
                error = OSError(f"silent for {silent_s:.0f} s")
            gone = f"the head of the cluster at {self.address} is gone ({error}); "
            raise ClusterError(gone + self._how_to_go_on()) from None
        self._answered_s = time.monotonic()
        return True

    def _how_to_go_on(self) -> str:
        then = "" if self.is_local else " once the cluster is back"
        return f"nothing that finished is lost: `sweep resume` goes on{then}."


def connect(
    address: str | None = None,
    *,
    num_cpus: int | None = None,
    num_gpus: int | None = None,
    gpus: Sequence[str] | None = None,
    verbose: bool = False,
) -> Cluster:
    """Connect this process to Ray. Call it in the main thread: a local Ray ends with the thread that started it.

    Args:
        address: ``host:port``, ``auto`` (the cluster on this machine) or ``local``; None for RAY_ADDRESS, else local.
        num_cpus: CPUs of a local Ray; None for all.
        num_gpus: GPUs of a local Ray; None for those that are there.
        gpus: Which they are, as CUDA_VISIBLE_DEVICES names them; None for the first.
        verbose: Let Ray log to stderr.

    Raises:
        ClusterError: The cluster cannot be used from here, or the local Ray does not start.
    """
    environ = dict(os.environ)
    address = address or environ.get("RAY_ADDRESS") or "local"
    if address.startswith("ray://"):
        raise ClusterError(
            f"{address}: a Ray client's connection would end the sweep with every hiccup of the network. "
            "Run `sweep` on a node of the cluster, with --address auto."
        )
    if _is_connected():
        return Cluster(environ=environ, ours=False)
    with contextlib.ExitStack() as undo, _own_signals():
        undo.callback(_restore, environ)
        if not verbose:
            undo.callback(_hush())
        if address == "local":
            authenticate(private_token())
            temp_dir = TempDir()
            with _visible(gpus):
                n_gpus = num_gpus if gpus is None else len(gpus)
                start(temp_dir, num_cpus=num_cpus, num_gpus=n_gpus, verbose=verbose)
            undo.callback(temp_dir.remove)
        else:
            found = probe(address)
            authenticate({"RAY_AUTH_MODE": found.auth_mode, **SAME_PYTHON})
            _join(found.address, verbose=verbose)
        return Cluster(environ=environ, is_local=address == "local", undo=undo.pop_all())


def _place(actor: Any) -> str | None:
    """Ask Ray about an actor. A node is named for one that waits, too: it is where its request lies; a port is a process's."""
    from ray._private.state import state

    address = state.actor_table(actor._actor_id.hex()).get("Address", {})  # noqa: SLF001  actors have no public id
    return address["NodeID"] if address.get("Port") else None


def _left_s(deadline_ms: int) -> float | None:
    """Seconds until a node leaves, by when that is in milliseconds since 1970; 0 is Ray's word for no time."""
    return max(0.0, deadline_ms / 1000 - time.time()) if deadline_ms > 0 else None


@contextlib.contextmanager
def _visible(gpus: Sequence[str] | None) -> Iterator[None]:
    """Let processes that start now, and what Ray asks of this one, see these GPUs alone."""
    if gpus is None:
        yield
        return
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    try:
        yield
    finally:
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Put this process's signal handlers back in their places: Ray takes SIGTERM, to abort the process with a stack trace."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None:
                signal.signal(number, handler)


def _refusing(addresses: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
    """Return which of these refuse a connection, all asked at once: nobody listens there any more."""
    refused: set[tuple[str, int]] = set()
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as open_sockets:
        for address in addresses:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            connection = open_sockets.enter_context(socket.socket(family))
            connection.setblocking(False)
            if connection.connect_ex(address) == errno.ECONNREFUSED:
                refused.add(address)
            else:
                selector.register(connection, selectors.EVENT_WRITE, address)
        end_s = time.monotonic() + NODE_CONNECT_S
        while selector.get_map() and (left_s := end_s - time.monotonic()) > 0:
            for key, _ in selector.select(left_s):
                failed = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # type: ignore[union-attr]
                if failed == errno.ECONNREFUSED:
                    refused.add(key.data)
                selector.unregister(key.fileobj)
    return refused


def _is_connected() -> bool:
    import ray

    return bool(ray.is_initialized())


def _join(address: str, *, verbose: bool) -> None:
    import ray

    try:
        ray.init(address=address, **logging_of(verbose=verbose))
    except Exception as error:
        raise ClusterError(f"the Ray cluster at {address} cannot be joined: {error}") from error


def _hush() -> Callable[[], None]:
    """Keep Ray off the terminal: its loggers, and the raylet's messages that it prints to stdout; return what undoes it."""
    from ray._private import worker

    logger = logging.getLogger("ray")
    level, printer = logger.level, worker.print_to_stdstream
    logger.setLevel(logging.CRITICAL)
    worker.print_to_stdstream = lambda *_, **__: None

    def undo() -> None:
        logger.setLevel(level)
        worker.print_to_stdstream = printer

    return undo


def _is_running(kind: str) -> bool:
    from ray._private import worker

    node: Any = worker._global_node  # noqa: SLF001  Ray has no public way to its own processes
    return node is not None and all(info.process.poll() is None for info in node.all_processes.get(kind, ()))


def _restore(environ: Mapping[str, str]) -> None:
    """Restore the environment variables that Ray changed in this process."""
    for name in set(os.environ) - set(environ):
        if name.startswith("RAY_") or name == "PYTHONBREAKPOINT":
            del os.environ[name]
    for name, value in environ.items():
        if name.startswith("RAY_") or name == "PYTHONBREAKPOINT":
            os.environ[name] = value
    read_environment_again()
