"""A controller in a process and session of its own: for `-d`, and beside the application that `sweep run` opens.

The command divides in two before it does anything. The child does what the command does in the foreground, and says it
where the command would, until the sweep has a directory; from then on into the log there. The parent shows that log until
a trial runs, or the child ends: then it ends as the child did. From there on `-d` is the child alone; else the parent is
who watches, and a child that loses it unasked takes that as the loss of its terminal.
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
    from collections.abc import Callable

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


LET_GO = b"let go"
"""What a parent says that is not needed any more."""


def leave(*, as_json: bool, quiet: bool) -> "Departure":
    """Divide the process: return in the child, which goes on as the command; the parent ends with what became of it.

    To be called before there are threads.

    Args:
        as_json: The parent says in JSON that the sweep has begun.
        quiet: It says the directory alone.

    Raises:
        typer.Exit: In the parent, in the end.
    """

    def begun(child: "Child") -> int:
        child.say_begun(as_json=as_json, quiet=quiet)
        return 0

    return divide(begun, is_watched=False)


def divide(begun: "Callable[[Child], int | None]", *, is_watched: bool) -> "Departure":
    """Divide the process: return in the child, which goes on as the command; the parent ends.

    To be called before there are threads.

    Args:
        begun: What the parent does once the sweep has begun; returns what to end with, None for whatever the child does.
        is_watched: Whether the child stops softly when it loses its parent, unless that has let it go.

    Raises:
        typer.Exit: In the parent, in the end.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    parents, childs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    terminal = _terminal()
    child = os.fork()
    if child:
        childs.close()
        raise typer.Exit(Child(child, parents).see_off(begun))
    parents.close()
    os.setsid()
    if not is_watched:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return Departure(childs, is_watched=is_watched, terminal=terminal if is_watched else None)


def _terminal() -> str | None:
    try:
        return os.ttyname(2)
    except OSError:
        return None


class Departure:
    """The child's side, and a view: it tells the parent when the sweep has surely begun, and when all is shown of it.

    Attributes:
        is_watched: Whether the parent stays.
        terminal: The parent's, where a bell is to ring; None for none.
    """

    def __init__(self, parent: socket.socket, *, is_watched: bool, terminal: str | None) -> None:
        self._parent: socket.socket | None = parent
        self.is_watched = is_watched
        self._sweep_dir: SweepDir | None = None
        self._sure_s: float | None = None
        self._has_begun = False
        self.terminal = terminal

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
                socket.send_fds(self._parent, [b"%d" % os.fstat(log).st_size], [log])
        if self.is_watched and self._parent is not None:
            threading.Thread(target=_heed, args=(self._parent,), name="parent", daemon=True).start()

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
        """Tell a parent that watches from where on in the log the end is told; who begins no more tells so by its exit code."""
        if self.is_watched and self._parent is not None and self._has_begun:
            with contextlib.suppress(OSError):
                self._parent.send(json.dumps({"end": os.fstat(2).st_size}).encode(), socket.MSG_DONTWAIT)

    def _begun(self) -> None:
        if self._parent is None or self._sweep_dir is None or self._has_begun:
            return
        self._has_begun = True
        with contextlib.suppress(OSError):
            self._parent.send(json.dumps(_facts(self._sweep_dir)).encode(), socket.MSG_DONTWAIT)
        if not self.is_watched:
            self._parent.close()
            self._parent = None


def _heed(parent: socket.socket) -> None:
    """Wait for the parent's word; where it dies without one, its terminal is gone, or it was killed."""
    with contextlib.suppress(OSError):
        if parent.recv(LONGEST) == LET_GO:
            return
    os.kill(os.getpid(), signal.SIGHUP)


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


class Child:
    """The parent's side.

    Attributes:
        pid: The controller's process.
        facts: What it has said of itself; nothing before it has begun.
    """

    def __init__(self, pid: int, link: socket.socket) -> None:
        self.pid = pid
        self.link = link
        self.facts: dict[str, object] = {}
        self._log: int | None = None
        self._shown = 0

    def see_off(self, begun: "Callable[[Child], int | None]") -> int:
        """Show what it says until the sweep has begun or it ends; return what to end with."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: self.signal(number))
        while True:
            ready, _, _ = select.select([self.link], [], [], RELAY_S)
            self._show_more()
            if not ready:
                continue
            words, descriptors, _, _ = socket.recv_fds(self.link, LONGEST, 1)
            if descriptors:
                self._log, self._shown = descriptors[0], int(words)
            elif not words:
                return self.waited()
            elif not self.facts:
                self._show_more()
                self.facts = json.loads(words)
                if (code := begun(self)) is not None:
                    return code

    def signal(self, number: int) -> None:
        """Pass a signal on to it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def let_go(self) -> None:
        """Let it go on by itself."""
        with contextlib.suppress(OSError):
            self.link.send(LET_GO)

    def waited(self) -> int:
        """Wait for its end, show the rest of what it said, and return its exit code, as a shell would."""
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self._show_more()
        return code if code >= 0 else 128 - code

    def show_from(self, place: int) -> None:
        """Show of the log only what stands behind a place; all that is left of it where it was cut meanwhile."""
        size = 0 if self._log is None else os.fstat(self._log).st_size
        self._shown = place if place <= size else 0

    def show_from_here(self) -> None:
        """Show of the log only what it does not hold yet."""
        self._shown = 0 if self._log is None else os.fstat(self._log).st_size

    def show_last_line(self) -> None:
        """Show of the log its last line, and what follows."""
        self.show_from_here()
        if self._log is not None:
            place = max(0, self._shown - LONGEST)
            end = os.pread(self._log, LONGEST, place)
            self._shown = place + end.rstrip(b"\n").rfind(b"\n") + 1

    def say_begun(self, *, as_json: bool, quiet: bool) -> None:
        """Say that the sweep runs without this terminal, and how to come back."""
        _say_begun(self.facts, as_json=as_json, quiet=quiet)

    def _show_more(self) -> None:
        while self._log is not None and (data := os.pread(self._log, LONGEST, self._shown)):
            self._shown += len(data)
            sys.stderr.write(data.decode("utf-8", "replace"))
        sys.stderr.flush()


def _say_begun(facts: dict[str, object], *, as_json: bool, quiet: bool) -> None:
    from orchestrator.printable import clean

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
