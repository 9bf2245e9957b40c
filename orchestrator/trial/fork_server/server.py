"""The warm fork server: a fresh Python that has imported a program's libraries and forks a child per attempt.

`main` is run with the descriptor of a socket as the only argument. It speaks JSON lines over the socket: first it is told what to
import, then which attempts to start; it answers with each child's start and end. It has one thread, never touches CUDA,
and when the socket closes (its runner died, however) it kills every child with all they started, and exits.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.trial.contract.launch import Launch, ProgramKind
from orchestrator.trial.contract.lines import Lines
from orchestrator.trial.contract.messages import (
    Begun,
    Finish,
    Importing,
    News,
    Order,
    Over,
    Ready,
    Start,
    Warm,
    order_of,
)
from orchestrator.trial.fork_server import rehearsal
from orchestrator.trial.fork_server.cuda import has_cuda
from orchestrator.trial.fork_server.preload import modules_for
from orchestrator.trial.formats.eventfile import end_session
from orchestrator.trial.processes import adopt_orphans, end_family, end_orphans, family
from orchestrator.trial.program import bootstrap
from orchestrator.trial.wandb_core import version_of

FINISH_S = 5.0
"""How long the W&B runs of killed trials may take to finish when the server itself is to end."""

_CUDA = "CUDA was initialised by an import, and a forked process cannot use it"
"""Looked for before every fork: it may also come late, from a thread that nobody sees."""

LISTED = (0, 26)
"""The wandb since which `preload.WANDB` names what it imports late."""

GARBAGE = 1_000_000
"""Of so many new objects none is looked at for cycles while modules are imported: what they make stays."""

LINGER_TICK_S = 0.05
"""How often it is looked whether what a stopped command started has ended as well."""


@dataclass
class _Child:
    launch: Launch
    stopping: bool = False


class Server:
    """The server's loop and its children."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = Lines(connection)
        self._children: dict[int, _Child] = {}
        self._lingering: dict[int, int] = {}
        self._finishers: dict[int, str] = {}
        self._core: Any = None
        self._wants_core = False
        self._coreless: set[int] = set()
        self._wake, wake = os.pipe()
        for descriptor in (self._wake, wake):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        adopt_orphans()
        self._descriptors = [self._wake, wake, connection.fileno()]

    def serve(self) -> None:
        """Serve until the other side closes the socket."""
        selector = selectors.EpollSelector()
        selector.register(self._connection, selectors.EVENT_READ)
        selector.register(self._wake, selectors.EVENT_READ)
        self._descriptors.append(selector.fileno())
        while True:
            ready = [key.fd for key, _ in selector.select(LINGER_TICK_S if self._lingering else None)]
            if self._connection.fileno() in ready:
                lines = self._lines.read()
                if lines is None:
                    self._leave()
                    return
                for line in lines:
                    self._obey(order_of(line))
            if self._wake in ready:
                os.read(self._wake, 4096)
                self._reap()
            self._end_lingering()

    def _obey(self, order: Order) -> None:
        if isinstance(order, Warm):
            self._tell(self._warm(order))
        elif isinstance(order, Start):
            self._start(order)
        elif isinstance(order, Finish):
            self._finish(order)
        elif order.pid in self._children:
            self._children[order.pid].stopping = True

    def _warm(self, order: Warm) -> Ready:
        """Import what the program will import; say why forking is not safe, if it is not."""
        failed = {}
        modules = () if order.bare else modules_for(order.launch)
        self._tell(Importing(modules=modules))
        with _keeping():
            for name in modules:
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        importlib.import_module(name)
                except Exception as error:  # noqa: BLE001 - a library of the user's may fail in any way; the trial will say so
                    failed[name] = f"{type(error).__name__}: {error}"
        is_command = order.launch.program.kind is ProgramKind.COMMAND
        self._wants_core = order.launch.wandb is not None and not (is_command or order.bare)
        if self._wants_core:
            self._start_core()
        if self._core is not None and version_of(sys.modules["wandb"]) < LISTED:
            self._rehearse()
        gc.collect()
        gc.freeze()
        return Ready(failed=failed, unsafe=_unsafe())

    def _start_core(self) -> None:
        from orchestrator.trial.wandb_core import Core

        try:
            self._core = Core.start()
        except Exception:  # noqa: BLE001 - wandb's own trouble never keeps a trial from running, which starts a core itself
            self._core = None

    def _rehearse(self) -> None:
        """Import what wandb imports late, which every version does of its own: a child opens and finishes a run and tells."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._become_child()
            rehearsal.play(self._core.token, writer)
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8") as file:
            names = file.read().split()
        os.waitpid(pid, 0)
        for name in names:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    importlib.import_module(name)
            except Exception:  # noqa: BLE001, S112 - it was to save time
                continue

    def _start(self, order: Start) -> None:
        launch = order.launch
        if self._wants_core and self._core is None:
            self._start_core()
        self._await_finisher(launch)
        token = self._core.token if self._core is not None else None
        cuda = _CUDA if not order.cold and has_cuda() else None
        pid = os.fork()
        if pid == 0:
            self._become_child()
            bootstrap.become(launch, service=token, cold=order.cold or cuda is not None)
        self._children[pid] = _Child(launch)
        self._tell(Begun(trial=launch.trial, attempt=launch.attempt, pid=pid, time=time.time(), unsafe=cuda))

    def _finish(self, order: Finish) -> None:
        """Do what an ended attempt left to do; a killed one's W&B run from a child: talking to the core may take a moment."""
        try:
            end_session(Path(order.dir), succeeded=order.succeeded)
        except OSError:
            pass  # its directory is gone: nobody can be told
        if self._core is None or order.run_id is None:
            return
        pid = os.fork()
        if pid:
            self._finishers[pid] = order.run_id
            return
        self._become_child()
        try:
            self._core.finish_run(order.run_id, order.exit_code)
        finally:
            os._exit(0)

    def _await_finisher(self, launch: Launch) -> None:
        """A further attempt has the run id of the one before it: that run must be over."""
        run_id = launch.wandb.run_id if launch.wandb is not None else None
        for pid in [pid for pid, finished in self._finishers.items() if finished == run_id]:
            del self._finishers[pid]
            os.waitpid(pid, 0)

    def _become_child(self) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for descriptor in self._descriptors:
            os.close(descriptor)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._core is not None and pid == self._core.pid:
                self._core = None  # the next trial starts another
                self._coreless |= set(self._children)
            self._finishers.pop(pid, None)
            if pid not in self._children:
                continue
            code = os.waitstatus_to_exitcode(status)
            if self._children[pid].stopping:
                self._lingering[pid] = code
            else:
                self._end_child(pid, code)

    def _end_lingering(self) -> None:
        """End the stopped commands of which no process is left: a shell dies at once, what it runs finishes its W&B run.

        Their grace period is the runner's: when it is over, it kills them.
        """
        for pid in [pid for pid in self._lingering if not family(pid)]:
            self._end_child(pid, self._lingering.pop(pid))

    def _end_child(self, pid: int, code: int) -> None:
        child = self._children.pop(pid)
        self._end_orphans(child)
        core_lost = pid in self._coreless or (code != 0 and self._is_core_dying())
        trial, attempt = child.launch.trial, child.launch.attempt
        self._tell(Over(trial=trial, attempt=attempt, pid=pid, code=code, core_lost=core_lost, time=time.time()))
        self._coreless.discard(pid)

    def _is_core_dying(self) -> bool:
        """Whether the core has died and is only waited for later than those who lost it."""
        from orchestrator.trial.wandb_core import has_died

        return self._core is not None and has_died(self._core.token)

    def _end_orphans(self, child: _Child) -> None:
        """Kill what an ended trial left; beside other trials only what is known to be its own."""
        own = {*self._children, *self._finishers, *([self._core.pid] if self._core is not None else [])}
        end_orphans(own, f"SWEEP_TRIAL_DIR={child.launch.trial_dir}" if self._children else None)

    def _leave(self) -> None:
        for pid in list(self._children):
            end_family(pid)
        until_s = time.monotonic() + FINISH_S
        while self._finishers and time.monotonic() < until_s:
            self._reap()
            time.sleep(0.01)
        end_orphans({self._core.pid} if self._core is not None else set(), None)
        if self._core is not None:
            self._core.stop()

    def _tell(self, news: News) -> None:
        try:
            self._connection.sendall(news.encode())
        except OSError:
            self._leave()
            os._exit(1)


@contextlib.contextmanager
def _keeping() -> Iterator[None]:
    """Look for no garbage meanwhile. A threshold that an import sets is the program's own, and stays."""
    before = gc.get_threshold()
    keeping = (GARBAGE, *before[1:])
    gc.set_threshold(*keeping)
    yield
    if gc.get_threshold() == keeping:
        gc.set_threshold(*before)


def _unsafe() -> str | None:
    """Why children of this process would not be sound; None when they are."""
    torch = sys.modules.get("torch")
    if has_cuda() or (torch is not None and torch.cuda.is_initialized()):
        return _CUDA
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if threads:
        return f"an import started threads ({', '.join(threads)}), which a forked process would lack"
    return None


def main() -> None:
    """Serve on the socket whose descriptor is the first argument."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    Server(connection).serve()
