"""`-d`: the controller in a process and session of its own, which nothing that happens to the terminal reaches.

The command divides in two before it does anything. The child does what the command does in the foreground, and says it
where the command would, until the sweep has a directory; from then on into the log there. The parent shows that log until
a trial runs, or the child ends: then it ends as the child did.
"""

import contextlib
import json
import os
import select
import signal
import socket
import stat
import sys
import threading
import time
from typing import TYPE_CHECKING

import typer

from orchestrator.errors import LedgerError
from orchestrator.watch.progress import Progress, SweepEvent, TrialStarted

if TYPE_CHECKING:
    from orchestrator.layout import SweepDir

SURE_S = 10.0
"""A sweep that has no room for a trial yet, but has not been refused one for so long, has begun as well."""

MOST_LOG = 4 << 20
"""Bytes of a log from which on only the last `KEPT_LOG` are kept."""

KEPT_LOG = 1 << 20

LOOK_S = 5.0
"""How often the log's size is looked at."""

RELAY_S = 0.1
"""How often the parent looks for more in the log."""

LONGEST = 1 << 16
"""Bytes of the child's last words to its parent."""


def leave(*, as_json: bool, quiet: bool) -> "Departure":
    """Divide the process: return in the child, which goes on as the command; the parent ends with what became of it.

    To be called before there are threads.

    Args:
        as_json: The parent says in JSON that the sweep has begun.
        quiet: It says the directory alone.

    Raises:
        typer.Exit: In the parent, in the end.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    parents, childs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child:
        childs.close()
        raise typer.Exit(_see_off(child, parents, as_json=as_json, quiet=quiet))
    parents.close()
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return Departure(childs)


class Departure:
    """The child's side of `leave`, and a view: it tells the parent when the sweep has surely begun."""

    def __init__(self, parent: socket.socket) -> None:
        self._parent: socket.socket | None = parent
        self._sweep_dir: SweepDir | None = None
        self._sure_s: float | None = None

    def settle(self, sweep_dir: "SweepDir") -> None:
        """Write all that this process and those that it starts say into the sweep's log from now on.

        Raises:
            LedgerError: The log cannot be written.
        """
        log = _opened(sweep_dir)
        sys.stdout.flush()
        sys.stderr.flush()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, stream in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, stream)
        os.close(nothing)
        threading.Thread(target=_keep_bounded, args=(log,), name="log", daemon=True).start()
        self._sweep_dir = sweep_dir
        with contextlib.suppress(OSError):  # the parent's terminal is gone, and so is the parent
            if self._parent is not None:
                socket.send_fds(self._parent, [b"log"], [log])

    def event(self, event: SweepEvent) -> None:
        """The first trial that runs is a sure sign."""
        if isinstance(event, TrialStarted):
            self._begun()

    def refresh(self, _progress: Progress) -> None:
        """So is a controller that waits for room for a while."""
        now_s = time.monotonic()
        self._sure_s = now_s + SURE_S if self._sure_s is None else self._sure_s
        if now_s >= self._sure_s:
            self._begun()

    def close(self) -> None:
        """A sweep that ends before it has begun tells so by its exit code."""

    def _begun(self) -> None:
        if self._parent is None or self._sweep_dir is None:
            return
        with contextlib.suppress(OSError), self._parent as parent:
            parent.send(json.dumps(_facts(self._sweep_dir)).encode())
        self._parent = None


def _facts(sweep_dir: "SweepDir") -> dict[str, object]:
    """What is said of a sweep that has begun."""
    from orchestrator.watch.ending import on_sweep

    return {
        "sweep_id": sweep_dir.sweep_id,
        "path": str(sweep_dir.path),
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "log": str(sweep_dir.controller_log_path),
        "attach": on_sweep("attach", sweep_dir),
        "stop": on_sweep("stop", sweep_dir),
    }


def _opened(sweep_dir: "SweepDir") -> int:
    """Open the log for writing behind what is in it; only a file of the directory itself is written to.

    Raises:
        LedgerError: It cannot be written.
    """
    path = sweep_dir.controller_log_path
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        log = os.open(path, flags, 0o666)
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror}; a controller without a terminal has to write it") from error
    if not stat.S_ISREG(os.fstat(log).st_mode):
        os.close(log)
        raise LedgerError(f"{path}: this is no log of a controller. See what it is, then remove it.")
    return log


def _keep_bounded(log: int) -> None:
    """Keep the log small for as long as the process lives, whoever writes into it."""
    while True:
        with contextlib.suppress(OSError):
            bound(log)
        time.sleep(LOOK_S)


def bound(log: int) -> None:
    """Leave only the end of a log that has become too long; everybody who appends to it goes on doing so."""
    size = os.fstat(log).st_size
    if size <= MOST_LOG:
        return
    _, _, kept = os.pread(log, KEPT_LOG, size - KEPT_LOG).partition(b"\n")
    os.ftruncate(log, 0)
    os.write(log, b"(earlier lines were dropped)\n" + kept)


def _see_off(child: int, link: socket.socket, *, as_json: bool, quiet: bool) -> int:
    """Show what the child says until the sweep has begun; return what to end with."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(child, number))
    log, shown = None, 0
    while True:
        ready, _, _ = select.select([link], [], [], RELAY_S)
        shown = _show_more(log, shown)
        if not ready:
            continue
        words, descriptors, _, _ = socket.recv_fds(link, LONGEST, 1)
        if descriptors:
            log, shown = descriptors[0], os.fstat(descriptors[0]).st_size
        elif words:
            _show_more(log, shown)
            _say_begun(json.loads(words), as_json=as_json, quiet=quiet)
            return 0
        else:
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            _show_more(log, shown)
            return code if code >= 0 else 128 - code


def _show_more(log: int | None, shown: int) -> int:
    """Show what of the log was not shown yet; return how much was."""
    if log is None:
        return shown
    while data := os.pread(log, LONGEST, shown):
        shown += len(data)
        sys.stderr.write(data.decode("utf-8", "replace"))
    sys.stderr.flush()
    return shown


def _say_begun(facts: dict[str, object], *, as_json: bool, quiet: bool) -> None:
    from orchestrator.watch.text import clean

    if as_json:
        print(json.dumps(facts))
    elif quiet:
        print(clean(str(facts["path"])))
    else:
        print(facts["sweep_id"])
        runs = f"sweep {facts['sweep_id']} runs without this terminal (pid {facts['pid']} on {facts['host']})"
        for line in (
            runs,
            f"watch it          {facts['attach']}",
            f"stop it           {facts['stop']}",
            f"what it says      {facts['log']}",
        ):
            print(clean(line), file=sys.stderr)
