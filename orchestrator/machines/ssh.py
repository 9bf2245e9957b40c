"""Asks a Python on another machine through the system's ssh: the question by standard input, nothing of it in a command line."""

import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from orchestrator.machines.hosts import Host

CONNECT_S = 10
PATIENCE_S = 60.0
"""How long a machine may take to answer."""

PERSIST_S = 60
"""How long a connection stays open that nobody closes."""

MARK = "sweep-cluster "

BOOT = (
    "import sys; sys.path[0] or sys.path.pop(0); import json; "
    "question = json.loads(sys.stdin.readline()); scope = {'__name__': 'keeper'}; "
    "exec(question['source'], scope); print('\\nsweep-cluster ' + json.dumps(scope['answer'](question)))"
)

REASONS = {
    # what ssh says: what it means, and what to do
    "permission denied": ("ssh is not let in", "`ssh-copy-id {login}`, and `ssh-add` where the key has a passphrase"),
    "host key verification failed": ("its host key is not known, or another than before", "`ssh {login}` once by hand"),
    "could not resolve": ("nobody knows that name", "mend `host:`, or name it in ~/.ssh/config"),
    "connection refused": ("no ssh server answers there", "start one, or mend `port:`"),
    "timed out": ("it does not answer", "is it on, and is the network between open for ssh?"),
    "no route": ("the network does not lead there", "is it on, and is the network between open for ssh?"),
    "unreachable": ("the network does not lead there", "is it on, and is the network between open for ssh?"),
}


class HostError(Exception):
    """A machine that cannot be used.

    Attributes:
        mend: What to do about it.
    """

    def __init__(self, problem: str, mend: str) -> None:
        super().__init__(problem)
        self.mend = mend


def options(wanted: Mapping[str, str]) -> list[str]:
    """Return the words by which ssh is given options of its configuration."""
    return [word for name, value in wanted.items() for word in ("-o", f"{name}={value}")]


def kept_open(sockets: str | os.PathLike[str], *, persist_s: int) -> list[str]:
    """Return the words by which ssh keeps a connection for the next command, which needs no login then.

    Args:
        sockets: A directory of this user's alone, with a short path.
        persist_s: How long one stays open that is not used, in seconds.
    """
    wanted = {"ControlMaster": "auto", "ControlPath": f"{os.fspath(sockets)}/%C", "ControlPersist": f"{persist_s}s"}
    return options(wanted)


class Ssh:
    """Connections to machines; each is kept for a further question, and closed with this."""

    def __enter__(self) -> Self:
        self._sockets = tempfile.TemporaryDirectory(prefix="sw-")
        self._ssh = [
            "ssh",
            *kept_open(self._sockets.name, persist_s=PERSIST_S),
            *options({"BatchMode": "yes", "ConnectTimeout": str(CONNECT_S)}),
        ]
        self._asked: set[Host] = set()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for host in self._asked:
            with suppress(OSError, subprocess.TimeoutExpired):  # a connection that nobody uses ends by itself
                subprocess.run(
                    [*self._ssh, "-O", "exit", *host.login],
                    check=False,
                    capture_output=True,
                    timeout=CONNECT_S,
                )
        self._sockets.cleanup()

    def ask(self, host: Host, question: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `keeper.answer` says there.

        Raises:
            HostError: It cannot be asked; why, and how to mend that.
        """
        source = Path(__file__).with_name("keeper.py").read_text(encoding="utf-8")
        text = json.dumps({**question, "source": source}) + "\n"
        command = [
            *self._ssh,
            "-T",
            *host.login,
            "--",
            f"exec {shlex.quote(host.python)} -c {shlex.quote(BOOT)}",
        ]
        self._asked.add(host)
        try:
            done = subprocess.run(
                command, input=text, capture_output=True, text=True, errors="replace", timeout=PATIENCE_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise HostError(f"it does not answer within {PATIENCE_S:.0f} s", "look at it there by hand") from None
        except OSError as error:
            raise HostError(f"ssh does not start: {error.strerror}", "install an OpenSSH client here") from error
        marked = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
        if done.returncode or not marked:
            raise _refusal(host, done)
        answer: dict[str, Any] = json.loads(marked[-1][len(MARK) :])
        return answer


def _refusal(host: Host, done: "subprocess.CompletedProcess[str]") -> HostError:
    login = " ".join(host.login)
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    last = said[-1] if said else f"exit code {done.returncode}"
    if done.returncode == 255:  # ssh's own
        for sign, (what, mend) in REASONS.items():
            if sign in done.stderr.lower():
                return HostError(f"{what} ({last})", mend.format(login=login))
        return HostError(f"ssh cannot connect ({last})", f"`ssh {login}` by hand says more")
    if done.returncode in {126, 127}:
        return HostError(f"there is no Python {host.python} ({last})", "name one that has Ray with `python:`")
    return HostError(f"{host.python} fails there: {last}", f"`ssh {login} {host.python} --version` by hand")
