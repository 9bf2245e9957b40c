"""Processes of a trial: dying with a parent, and killing everything a trial started."""

import ctypes
import os
import signal
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent process dies; exit at once if that has happened already."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def session_members(session: int) -> list[int]:
    """Return the pids of every process of a session: a trial's process leads one, whatever it starts belongs to it."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _session(int(entry)) == session]


def signal_session(session: int, number: signal.Signals) -> None:
    """Send a signal to every process of a session, process groups of their own included."""
    for pid in session_members(session):
        _signal(pid, number)


def end_session(session: int) -> None:
    """Kill every process of a session, until none is left: one may be starting another meanwhile."""
    for _ in range(20):
        members = session_members(session)
        if not members:
            return
        for pid in members:
            _signal(pid, signal.SIGKILL)


def _session(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[3]) if fields[0] not in {b"Z", b"X"} else None


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
    """Kill every such process, until none is left."""
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
