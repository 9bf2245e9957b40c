"""A head that is reached by ssh: a command there is a command of ssh, which asks for passwords and knows hosts as always."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestrator.errors import ClusterError, SweepError
from orchestrator.machines.ssh import kept_open, options
from orchestrator.remote.address import Address
from orchestrator.remote.entrypoint import NOT_FOUND, not_there, of_ssh
from orchestrator.remote.request import Request

PERSIST_S = 30
"""How long a connection stays open for the next command, which needs no login then."""

LOST = 255
"""What ssh exits with by itself."""

TAKEN = 98
"""What `sweep serve` exits with there where its port is taken: it is started anew with another."""

PORTS_THERE = range(20_000, 32_000)
"""Where that is drawn from: below the ports that systems give to whoever asks for any."""

MOST_TRIED = 5

BLOCK = 1 << 16


class SshHead:
    """A machine with `sweep` that has an sshd.

    Args:
        address: Where it is.
    """

    def __init__(self, address: Address) -> None:
        self._address = address

    def interact(self, request: Request, *, has_terminal: bool) -> int:
        """Run a command there with the terminal here, and return its exit code.

        Raises:
            SweepError: It cannot be run.
        """
        return self._checked(subprocess.call(self._command(request, has_terminal=has_terminal)))

    def serve(self, request: Callable[[int], Request], port: int) -> int:
        """Run a command that listens there on a port of its loopback, which is meanwhile one of this machine's loopback, too.

        It has a terminal there in any case, by whose end it ends when the connection is lost; and a connection of its own,
        by whose end the port does.

        Args:
            request: What to do, by the port there, which nobody knows to be free before; it ends with `TAKEN` if it is not.
            port: The one here.

        Raises:
            SweepError: It cannot be run.
        """
        for _ in range(MOST_TRIED):
            there = secrets.choice(PORTS_THERE)
            joined = f"127.0.0.1:{port}:127.0.0.1:{there}"
            words = [*options({"ControlPath": "none", "ExitOnForwardFailure": "yes"}), "-tt", "-L", joined]
            code = subprocess.call(self._ssh(words, request(there)))
            if code != TAKEN:
                return self._checked(code)
        raise ClusterError(f"{self._address}: each of {MOST_TRIED} ports that were tried there is taken; try again")

    def call(self, request: Request, *, stdin: bytes | None = None, out: Callable[[bytes], None]) -> int:
        """Run a command to its end and return its exit code; what it says to standard error is said here.

        Args:
            request: What to do.
            stdin: What it reads.
            out: Takes what it prints.

        Raises:
            SweepError: It cannot be run.
        """
        with tempfile.TemporaryFile() as file:  # a pipe would have to be filled beside reading
            file.write(stdin or b"")
            file.seek(0)
            command = self._command(request, has_terminal=False)
            with subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE) as running:
                assert running.stdout is not None
                try:
                    while data := running.stdout.read1(BLOCK):  # type: ignore[attr-defined]
                        out(data)
                except BaseException:
                    running.terminate()
                    raise
            return self._checked(running.returncode)

    def _checked(self, code: int) -> int:
        if code == LOST:
            raise ClusterError(
                f"ssh does not reach {self._address}, or the connection was lost (it says why above).\n"
                f"  Try: ssh {'' if self._address.port is None else f'-p {self._address.port} '}{self._destination()} true"
            )
        if code == NOT_FOUND:
            raise not_there(self._address, [])
        return code if code >= 0 else 128 - code

    def _command(self, request: Request, *, has_terminal: bool) -> list[str]:
        return self._ssh([*kept_open(_sockets(), persist_s=PERSIST_S), "-t" if has_terminal else "-T"], request)

    def _ssh(self, words: Sequence[str], request: Request) -> list[str]:
        ssh = shutil.which("ssh")
        if ssh is None:
            raise SweepError("there is no `ssh` on this machine: install an OpenSSH client")
        alive = options({"ServerAliveInterval": "15", "ServerAliveCountMax": "4"})
        port = [] if self._address.port is None else ["-p", str(self._address.port)]
        return [ssh, *words, *alive, *port, "--", self._destination(), of_ssh(self._address.place, request)]

    def _destination(self) -> str:
        return self._address.host if self._address.user is None else f"{self._address.user}@{self._address.host}"


def _sockets() -> Path:
    """A directory of this user's alone, with a short path, for connections that stay open for a while.

    Raises:
        SweepError: Somebody else has it, or it cannot be made.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")  # also named where nobody is logged in, and it is not there
    above = runtime if runtime and Path(runtime).is_dir() else tempfile.gettempdir()
    path = Path(above, f"sweep-ssh-{os.getuid()}")
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise SweepError(f"{path}: no directory for ssh's connections can be made there: {error.strerror}") from None
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or path.is_symlink():
        raise SweepError(f"{path} is not yours alone; remove it")
    return path
