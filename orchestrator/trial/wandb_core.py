"""A wandb core of our own: `wandb.init` on it takes milliseconds instead of starting one, and it dies with its owner."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from orchestrator.trial.processes import die_with_parent

START_S = 30.0
"""How long a core may take to listen."""

ATTACH_TRIES = 2
"""A core leaves a question about a run unanswered that it does not know, yet: its program was killed as it began it."""

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
        from wandb.sdk.lib.service import service_port_file
        from wandb.util import get_core_path

        owner = os.getpid()
        with tempfile.TemporaryDirectory() as directory:
            port_file = Path(directory, "port")
            command = [get_core_path(), "--no-observability", "--port-filename", str(port_file), "--pid", str(owner)]
            process = subprocess.Popen(
                [*command, "--detached", "--idle-timeout", "0"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=lambda: die_with_parent(owner),  # noqa: PLW1509 - one system call, from a process without threads
            )
            token = service_port_file.poll_for_token(port_file, process, timeout=START_S)
        return cls(str(token.env_value), process.pid)

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
                return


def has_died(token: str) -> bool:
    """Return whether the core of a token is dead, or is dying: asked after it closed a connection, this is certain."""
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
