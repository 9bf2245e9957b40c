"""A wandb core of our own: `wandb.init` on it takes milliseconds instead of starting one, and it dies with its owner."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.trial.processes import die_with_parent

START_S = 30.0
"""How long a core may take to listen."""

ATTACH_TRIES = 2
"""A core leaves a question about a run unanswered that it does not know, yet: its program was killed as it began it."""

GO_CORE = (0, 18)
"""The wandb since which its core is a program of its own; a process of Python before."""

PF_EXITING = 0x4
"""The kernel's flag of a process that has begun to end, which it has before its sockets are closed."""


@dataclass(frozen=True)
class Core:
    """A running core: the token that clients find it by, and its pid."""

    token: str
    pid: int

    @classmethod
    def start(cls) -> Core:
        """Start a core that the kernel kills when the calling thread ends. Needs wandb, and imports it.

        wandb's own detached start would leave it behind when its owner is killed: online it goes on trying to reach its
        server, whatever signal but SIGKILL it gets.
        """
        owner = os.getpid()
        with tempfile.TemporaryDirectory() as directory:
            port_file = Path(directory, "port")
            process = subprocess.Popen(
                [*_command(), "--port-filename", str(port_file), "--pid", str(owner)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(owner),  # noqa: PLW1509 - one system call, from a process without threads
            )
            token = _token(port_file, process, owner)
        return cls(token, process.pid)

    def stop(self) -> None:
        """End the core at once: what it has not written by now is what a killed trial loses."""
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def finish_run(self, run_id: str, exit_code: int) -> None:
        """Finish the run of a trial that was killed: its pending rows are written, and how it ended."""
        os.environ["WANDB_SERVICE"] = self.token
        os.environ["WANDB_MODE"] = "offline"
        from wandb.errors import UsageError
        from wandb.sdk import wandb_init

        for _ in range(ATTACH_TRIES):
            with contextlib.suppress(UsageError):
                run = wandb_init._attach(attach_id=run_id)  # noqa: SLF001 - the only way to a run whose process is gone
                if run is not None:
                    run.finish(exit_code=exit_code)
                drain()
                return


def version_of(module: Any) -> tuple[int, int]:
    """Return the version of wandb, as far as versions differ for us."""
    found = re.match(r"(\d+)\.(\d+)", str(getattr(module, "__version__", "")))
    return (int(found[1]), int(found[2])) if found else (sys.maxsize, 0)


def _command() -> list[str]:
    """How the core of this wandb is started; one that outlives its clients where there is a choice."""
    import wandb
    from wandb import util

    if version_of(wandb) < GO_CORE:
        return [sys.executable, "-m", "wandb", "service", "--serve-sock"]
    command = [util.get_core_path(), "--no-observability"]
    try:
        from wandb.sdk.lib.service.service_process import start_detached  # noqa: F401
    except ImportError:
        return command
    return [*command, "--detached", "--idle-timeout", "0"]


def _token(port_file: Path, process: subprocess.Popen[bytes], owner: int) -> str:
    """Wait until the core listens; return what its clients look for in WANDB_SERVICE.

    Raises:
        RuntimeError: It ended, or is not there in time.
    """
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s and process.poll() is None:
        text = port_file.read_text(encoding="utf-8") if port_file.exists() else ""
        if text.rstrip().endswith("EOF"):
            places = dict(line.partition("=")[::2] for line in text.splitlines())
            version = _token_version()
            path = places.get("unix")
            return f"{version}-{owner}-unix-{path}" if path else f"{version}-{owner}-tcp-localhost-{places['sock']}"
        time.sleep(0.01)
    process.kill()
    raise RuntimeError(f"wandb's core does not listen (exit code {process.wait()})")


def _token_version() -> str:
    """The version of tokens that this wandb reads."""
    for name in ("wandb.sdk.lib.service.service_token", "wandb.sdk.lib.service_token"):
        try:
            found = getattr(importlib.import_module(name), "_CURRENT_VERSION", None)
        except ImportError:
            continue
        if found is not None:
            return str(found)
    return "2"


def drain() -> None:
    """Let the client's own thread send what it was only told to: in 0.20 to 0.22 that a run has ended is among it."""
    setup = sys.modules.get("wandb.sdk.wandb_setup")
    asyncer = getattr(getattr(setup, "singleton", lambda: None)(), "_asyncer", None)
    if asyncer is not None:
        import asyncio

        asyncer.run(lambda: asyncio.sleep(0.001))


def connected(token: str) -> socket.socket:
    """Return a connection to the core of a token.

    Raises:
        OSError: There is none that listens.
    """
    port = token.partition("-tcp-localhost-")[2]
    if port:
        return socket.create_connection(("localhost", int(port)))
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(token.partition("-unix-")[2])
    except OSError:
        connection.close()
        raise
    return connection


def has_died(token: str) -> bool:
    """Return whether the core of a token is dead, or is dying: asked after it closed a connection, this is certain."""
    port = token.partition("-tcp-localhost-")[2]
    if port:
        with socket.socket() as connection:
            return connection.connect_ex(("localhost", int(port))) == errno.ECONNREFUSED
    path = token.partition("-unix-")[2]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.setblocking(False)
        try:
            connection.connect(path)
            peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except (ConnectionRefusedError, FileNotFoundError):
            return bool(path)
        except OSError:
            return False  # it is there, and busy
    return _is_ending(struct.unpack("3i", peer)[0])


def _is_ending(pid: int) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return True
    return bool(int(fields[6]) & PF_EXITING)
