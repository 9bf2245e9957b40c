"""What a trial's processes use together: CPU time and memory, from /proc."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.trial.processes import family

TELLS_CHILDREN = Path("/proc/thread-self/children")
"""Whether this kernel knows a process's children; else every process is looked at."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PARENT, _SESSION, _OWN, _CHILDREN, _BEGAN, _RSS = 1, 3, slice(11, 13), slice(13, 15), 19, 21
"""Fields of /proc/PID/stat behind the program's name, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeReading:
    """The processes of a trial at a moment.

    Attributes:
        pids: Those that run.
        cpu_s: CPU seconds since the last look, those of processes that have ended meanwhile included.
        rss_bytes: Resident memory (RSS). What processes share counts once for each of them.
    """

    pids: frozenset[int]
    cpu_s: float
    rss_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stat:
    """A process: `began` tells it from another with the same pid; `children` is of those that ended, `own` its own ticks."""

    began: int
    parent: int
    session: int
    own: int
    children: int
    rss: int


class ProcessTree:
    """The process that leads a trial and what it started, also what lost its parent or left its session since.

    Args:
        leader: The trial's process.
    """

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self._known: dict[int, _Stat] = {}
        self._looked = 0

    def look(self) -> TreeReading | None:
        """Return what they use; None once there is none."""
        began = int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS)
        now = self._members()
        if not now:
            return None
        before = {pid: self._before(pid, stat) for pid, stat in now.items()}
        own = sum(stat.own - (known.own if (known := before[pid]) else 0) for pid, stat in now.items())
        inherited = sum(stat.children - (known.children if (known := before[pid]) else 0) for pid, stat in now.items())
        counted = sum(stat.own + stat.children for pid, stat in self._known.items() if pid not in now)
        self._known, self._looked = now, began
        return TreeReading(
            pids=frozenset(now),
            cpu_s=(own + max(0, inherited - counted)) / _TICKS,  # what ended is in its parent's record, if that waited
            rss_bytes=sum(stat.rss for stat in now.values()) * _PAGE,
        )

    def _before(self, pid: int, stat: _Stat) -> _Stat | None:
        """A process at the last look; None for one that began since. One that was overlooked then counts from now on."""
        known = self._known.get(pid)
        if known is not None and known.began == stat.began:
            return known
        return stat if stat.began < self._looked else None

    def _members(self) -> dict[int, _Stat]:
        """Walk down from the leader, and from what of it was given to the leader's parent: no look at every process."""
        if not TELLS_CHILDREN.exists():
            return {pid: stat for pid in family(self._leader) if (stat := _stat(pid)) is not None}
        leader = _stat(self._leader)
        others = {*self._known, *(children(leader.parent) if leader is not None else ())}
        todo = [(self._leader, leader)]
        todo += [(pid, stat) for pid in others if (stat := _stat(pid)) is not None and self._is_ours(pid, stat)]
        found: dict[int, _Stat] = {}
        while todo:
            pid, stat = todo.pop()
            if pid not in found and stat is not None:
                found[pid] = stat
                todo += [(child, _stat(child)) for child in children(pid) if child not in found]
        return found

    def _is_ours(self, pid: int, stat: _Stat) -> bool:
        known = self._known.get(pid)
        return stat.session == self._leader or (known is not None and known.began == stat.began)


def children(pid: int) -> list[int]:
    """Return the children of a process; those of a thread that ends meanwhile are left out."""
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


def _stat(pid: int) -> _Stat | None:
    """A process that runs; None for one that is dead, or gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if not fields or fields[0] in {b"Z", b"X"}:
        return None
    return _Stat(
        began=int(fields[_BEGAN]),
        parent=int(fields[_PARENT]),
        session=int(fields[_SESSION]),
        own=sum(map(int, fields[_OWN])),
        children=sum(map(int, fields[_CHILDREN])),
        rss=int(fields[_RSS]),
    )
