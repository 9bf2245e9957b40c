"""Processes of a trial: dying with a parent, and killing everything a trial started."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

SERVER_MARK = "SWEEP_SERVER"
"""Variable in the environment of a warm server and of what it starts: how they are found when it was killed."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class _Process:
    parent: int
    session: int


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent process dies; exit at once if that has happened already."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies: a daemon that a trial started does not get away."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def command_line() -> list[str]:
    """Return the words that this process was started with, those of the interpreter included."""
    return Path("/proc/self/cmdline").read_text(encoding="utf-8", errors="surrogateescape").split("\0")[:-1]


def flush_c_streams() -> None:
    """Write out what C code printed: leaving by `os._exit` does not."""
    _libc.fflush(None)


def family(leader: int) -> list[int]:
    """Return the pids of a trial: its session, which its process leads, and all they started, in sessions of their own too."""
    processes = _processes()
    return _with_descendants({pid for pid, process in processes.items() if process.session == leader}, processes)


def end_orphans(own: set[int], marker: str | None) -> None:
    """Kill the children of this process that it did not start: what a trial left behind, and this process was given.

    Args:
        own: Children that it did start.
        marker: ``NAME=value`` in the environment of those to kill; None for all.
    """
    if _children() <= own:
        return
    me = os.getpid()
    for _ in range(20):
        processes = _processes()
        orphans = {pid for pid, process in processes.items() if process.parent == me and pid not in own}
        if marker is not None:
            orphans = {pid for pid in orphans if marker.encode() in _environment(pid)}
        if not orphans:
            return
        for pid in _with_descendants(orphans, processes):
            _signal(pid, signal.SIGKILL)


def _children() -> set[int]:
    """Return the children of this process, dead ones included: the kernel knows them without a look at every process."""
    found: set[int] = set()
    for thread in os.listdir("/proc/self/task"):
        try:
            found.update(map(int, Path(f"/proc/self/task/{thread}/children").read_bytes().split()))
        except FileNotFoundError:
            return {0}  # this kernel does not tell
    return found


def _with_descendants(found: set[int], processes: dict[int, _Process]) -> list[int]:
    while more := {pid for pid, process in processes.items() if process.parent in found} - found:
        found |= more
    return sorted(found)


def signal_session(leader: int, number: signal.Signals) -> None:
    """Send a signal to the processes of a trial's session; what left it, such as W&B's service, ends with whom it serves."""
    for pid in [pid for pid, process in _processes().items() if process.session == leader]:
        _signal(pid, number)


def end_family(leader: int) -> None:
    """Kill every process of a trial, until none is left: one may be starting another meanwhile."""
    for _ in range(20):
        members = family(leader)
        if not members:
            return
        for pid in members:
            _signal(pid, signal.SIGKILL)


def _processes() -> dict[int, _Process]:
    found = {int(entry): _read(entry) for entry in os.listdir("/proc") if entry.isdigit()}
    return {pid: process for pid, process in found.items() if process is not None}


def _read(pid: str) -> _Process | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, parent, _, session, *_ = file.read().rpartition(b")")[2].split(maxsplit=4)
    except (OSError, ValueError):
        return None
    return None if state in {b"Z", b"X"} else _Process(int(parent), int(session))


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def marked(marker: str) -> list[int]:
    """Return the pids of this machine's processes, this one aside, that were started with ``NAME=value`` in their environment."""
    wanted = marker.encode()
    return [
        int(entry)
        for entry in os.listdir("/proc")
        if entry.isdigit() and int(entry) != os.getpid() and wanted in _environment(int(entry))
    ]


def end_marked(marker: str) -> None:
    """Kill every process that `marked` finds, until none is left."""
    for _ in range(100):
        pids = marked(marker)
        if not pids:
            return
        for pid in pids:
            _signal(pid, signal.SIGKILL)
        time.sleep(0.02)  # a killed process is there until its parent, or init, has seen it


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
