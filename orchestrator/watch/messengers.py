"""How a message reaches a recipient: the terminal's bell, a command, or apprise in a process of its own.

What is secret of a URL passes through pipes alone: it is in no file of ours, no argument, no message, and not in what a
process of ours leaves behind.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator import extras
from orchestrator.printable import clean
from orchestrator.spec.model import Recipient
from orchestrator.watch.text import cut

PATIENCE_S = 30.0
"""How long telling one recipient may take."""

LONGEST = 200
"""Characters of what a command says of its failure."""

TERMINAL = "SWEEP_BELL_TERMINAL"
"""Names the terminal that a bell rings on, where it is not that of the process."""

MOST_BYTES = 65536
"""Of a file with URLs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is told.

    Attributes:
        topic: What it is about: end, best, budget, node, alert or test.
    """

    topic: str
    title: str
    text: str


class NotToldError(Exception):
    """Somebody could not be told; the message says why, and no secret."""


def deliver(
    recipient: Recipient,
    message: Message,
    environ: Mapping[str, str],
    *,
    began: Callable[["subprocess.Popen[bytes]"], object] = lambda _: None,
    patience_s: float = PATIENCE_S,
) -> None:
    """Tell one recipient, within `patience_s` seconds.

    Args:
        recipient: Who.
        message: What.
        environ: Where `${NAME}` is looked up.
        began: Is given the process that tells it.
        patience_s: After which that is killed.

    Raises:
        NotToldError: It could not be told.
    """
    if recipient.command:
        told = {"SWEEP_NOTIFY_TOPIC": message.topic, "SWEEP_NOTIFY_TITLE": message.title}
        text = f"{message.title}\n{message.text}\n"
        _run(recipient.command, text, {**environ, **told}, began, patience_s)
    elif recipient.url is not None:
        urls = _urls_of(recipient, environ)
        order = json.dumps({"urls": urls, "title": message.title, "text": message.text})
        argv = [sys.executable, "-P", "-m", "orchestrator.watch.apprise_child"]
        _run(argv, order, environ, began, patience_s)
    else:
        _ring(environ)


def check(recipient: Recipient, environ: Mapping[str, str]) -> None:
    """Look whether a recipient can be told, without telling it.

    Raises:
        NotToldError: It cannot: there is no such program, no URL, no apprise, or no terminal.
    """
    if recipient.command:
        if shutil.which(recipient.command[0], path=os.pathsep.join(os.get_exec_path(environ))) is None:
            raise NotToldError("there is no such program here")
    elif recipient.url is not None:
        _urls_of(recipient, environ)
    else:
        os.close(_terminal(environ))


def _urls_of(recipient: Recipient, environ: Mapping[str, str]) -> list[str]:
    """Return the URLs that a reference means.

    Raises:
        NotToldError: There are none, or there is no apprise to take them.
    """
    assert recipient.url is not None
    if recipient.url.startswith("@"):
        try:
            with Path(recipient.url[1:]).expanduser().open("rb") as file:
                text = file.read(MOST_BYTES).decode()
        except OSError as error:
            raise NotToldError(f"{error.strerror}") from error
        except UnicodeDecodeError as error:
            raise NotToldError("it is no text") from error
        except (RuntimeError, ValueError) as error:  # a `~user` who is not there, a NUL in the name
            raise NotToldError(clean(f"{error}")) from error
    else:
        text = environ.get(recipient.url[2:-1], "")
    lines = (line.strip() for line in text.splitlines())
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise NotToldError("it is empty" if recipient.url.startswith("@") else "this variable is not set here")
    if lacking := extras.lacking("apprise"):
        raise NotToldError(f"it {lacking}")
    return found


def _run(
    argv: Sequence[str],
    text: str,
    environ: Mapping[str, str],
    began: Callable[["subprocess.Popen[bytes]"], object],
    patience_s: float,
) -> None:
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=dict(environ),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise NotToldError(clean(getattr(error, "strerror", None) or str(error))) from error
    began(process)
    try:
        _, said = process.communicate(text.encode(), timeout=patience_s)
    except subprocess.TimeoutExpired:
        kill(process)
        process.wait()
        raise NotToldError(f"it took longer than {patience_s:g} s") from None
    if process.returncode:
        last = said.decode(errors="replace").strip().splitlines()[-1:]
        raise NotToldError(cut(clean("".join(last) or f"it exited with {process.returncode}"), LONGEST))


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process that tells somebody, and what it started."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _terminal(environ: Mapping[str, str]) -> int:
    try:
        return os.open(environ.get(TERMINAL, "/dev/tty"), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        raise NotToldError("there is no terminal here") from None


def _ring(environ: Mapping[str, str]) -> None:
    descriptor = _terminal(environ)
    try:
        os.write(descriptor, b"\a")
    except BlockingIOError:
        raise NotToldError("the terminal stands still") from None
    finally:
        os.close(descriptor)
