"""The warm servers that attempts are forked from: which one a launch starts from, and what follows when one dies."""

import math
import os
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.trial.contract.launch import Launch
from orchestrator.trial.contract.lines import Lines
from orchestrator.trial.contract.messages import Order, Ready, Warm
from orchestrator.trial.processes import SERVER_MARK, end_marked
from orchestrator.trial.runner.endings import signal_name
from orchestrator.trial.side import TOOL, boot

READY_S = 600.0
"""How long a warm server may take to import a program's libraries; then trials start cold."""

WARM_AGAIN_S = 30.0
"""How long trials start cold after somebody killed a server that was warming; twice as long each further time."""

WARM_TRIES = 3
"""How often a killed server is warmed again: what kills it may be the memory that its imports take."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Set to a trial's share of CPUs, as its neighbours use theirs, unless the user has set one of them."""

Key = tuple[int, int]
"""(trial, attempt)"""

Surroundings = tuple[Any, ...]
"""What launches have in common that are forked from one server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unfit:
    """Why trials of a kind start cold, until when (monotonic), and how often their server died while it was warming."""

    reason: str
    until_s: float
    deaths: int


class Server:
    """The runner's side of one warm fork server; of one that imports nothing if there is a reason to start cold.

    Attributes:
        key: What its launches have in common.
        attempts: Those that are, or will be, forked from it.
    """

    def __init__(self, key: Surroundings, launch: Launch, *, unfit: str | None) -> None:
        ours, theirs = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the server
        self._mark = f"{SERVER_MARK}={secrets.token_hex(8)}"
        command = [
            launch.python or sys.executable,
            *launch.program.interpreter_args,
            "-c",
            boot("orchestrator.trial.fork_server.server", "main"),
            str(theirs.fileno()),
        ]
        try:
            self.process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                cwd=launch.cwd,
                env=_server_environment(launch, self._mark),
                start_new_session=True,
            )
        except OSError:
            for opened in (ours, theirs, self._stderr):
                opened.close()
            raise
        theirs.close()
        self.key = key
        self.connection = ours
        self.modules: tuple[str, ...] = ()
        self.ready = False
        self.ready_by_s = time.monotonic() + READY_S
        self.unfit = unfit
        self.unsafe = unfit
        self.failed: Mapping[str, str] = {}
        self.attempts: set[Key] = set()
        self.lines = Lines(ours)
        self.send(Warm(launch=launch, bare=unfit is not None))

    def send(self, order: Order) -> None:
        """Give it an order; one that died hears it no more."""
        try:
            self.connection.sendall(order.encode())
        except OSError:
            pass  # its end is noticed by the next read

    def heard_ready(self, news: Ready) -> None:
        """Take in that it has imported what it was to import."""
        self.ready = True
        self.unsafe = self.unsafe or news.unsafe
        self.failed = news.failed

    def last_words(self) -> str:
        """Return the last line it wrote to standard error."""
        self._stderr.seek(0)
        lines = self._stderr.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def close(self) -> int:
        """Close the connection: the server kills its children and exits; wait for that, then insist. Return its exit code."""
        self.connection.close()
        self._stderr.close()
        try:
            return self.process.wait(timeout=10 if self.ready else 0.5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def clean_up(self) -> int:
        """End what a server that died left behind, its W&B core included. Return its exit code."""
        code = self.close()
        end_marked(self._mark)
        return code


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """What follows for the attempts of a server that died.

    Attributes:
        is_again: Whether they start from another one; else they are over.
        problem: Why none can start.
        by_sigterm: Whether somebody asked the server to end, and so, it may be, all of this machine.
    """

    is_again: bool = False
    problem: str | None = None
    by_sigterm: bool = False


class WarmServers:
    """The servers of a runner.

    Args:
        selector: Is given each server's connection, with the server.
    """

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._servers: dict[Surroundings, Server] = {}
        self._unfit: dict[Surroundings, _Unfit] = {}

    def of_launch(self, launch: Launch) -> Server:
        """Return the server to start a launch from: a warm one, and beside it a cold one while warming is left alone.

        Raises:
            OSError: There is none, and none can be started.
        """
        key = _surroundings(launch)
        unfit = self._unfit.get(key)
        if unfit is None or time.monotonic() >= unfit.until_s:
            return self._servers.get(key) or self._open(key, launch)
        key = (*key, "cold")
        return self._servers.get(key) or self._open(key, launch, unfit.reason)

    def of_attempt(self, key: Key) -> Server | None:
        """Return the server that an attempt was, or will be, forked from."""
        return next((server for server in self._servers.values() if key in server.attempts), None)

    def has(self, server: Server) -> bool:
        """Whether a server has not been closed, nor found dead."""
        return self._servers.get(server.key) is server

    def lost(self, server: Server) -> Aftermath:
        """Let go of a server that died: its children are dying with it, and the next launch starts another."""
        self._selector.unregister(server.connection)
        del self._servers[server.key]
        words = server.last_words()
        code = server.clean_up()
        killed_cold = code == -signal.SIGKILL and server.unfit is not None  # it imported nothing: that was from outside
        if server.ready or killed_cold:
            return Aftermath(by_sigterm=code == -signal.SIGTERM)
        return self._without_preload(server, code, words)

    def end_late(self, now_s: float) -> None:
        """End servers that take too long to import; their deaths are noticed by the next read."""
        for server in self._servers.values():
            if not server.ready and now_s >= server.ready_by_s:
                server.process.terminate()

    def close(self) -> None:
        """Close every server."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    def _open(self, key: Surroundings, launch: Launch, unfit: str | None = None) -> Server:
        server = self._servers[key] = Server(key, launch, unfit=unfit)
        self._selector.register(server.connection, selectors.EVENT_READ, server)
        return server

    def _without_preload(self, server: Server, code: int, words: str) -> Aftermath:
        """A server that died of what it imported: its trials start cold, and say so themselves if that is their end too.

        One that was killed was not at fault: it is warmed again after a while, a few times.
        """
        what = ", ".join(server.modules) or "nothing"
        how = f"was killed by {signal_name(-code)}" if code < 0 else f"exited with code {code}"
        reason = f"the warm server {how} while it imported {what}{words}"
        if server.unfit is not None:
            return Aftermath(problem=f"Python does not start: {reason}")
        deaths = self._unfit[server.key].deaths + 1 if server.key in self._unfit else 1
        is_curable = code == -signal.SIGKILL and deaths <= WARM_TRIES
        pause_s = WARM_AGAIN_S * 2 ** (deaths - 1) if is_curable else math.inf
        self._unfit[server.key] = _Unfit(reason=reason, until_s=time.monotonic() + pause_s, deaths=deaths)
        return Aftermath(is_again=True)


def _surroundings(launch: Launch) -> Surroundings:
    """What two launches must have in common to be forked from one server: a program, and what it runs in."""
    program = launch.program
    environment = tuple(sorted(launch.env.items()))
    has_wandb = launch.wandb is not None
    of_program = (program.kind, program.target, launch.preload, has_wandb, program.interpreter_args)
    return *of_program, launch.python, launch.cwd, launch.cpus, environment


def _server_environment(launch: Launch, mark: str) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSTARTUP"}
    environment.update(launch.env)
    environment["SWEEP_ID"] = launch.sweep_id  # whoever looks for what a sweep left behind finds it in /proc
    name, _, value = mark.partition("=")
    environment[name] = value
    if launch.python is not None:
        environment[TOOL] = sys.executable
    if launch.cpus is not None and not any(name in environment for name in THREADS):
        environment |= dict.fromkeys(THREADS, str(max(1, int(launch.cpus))))
    return environment
