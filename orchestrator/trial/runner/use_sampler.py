"""Looks at what the trials of this worker use: CPU, memory and GPUs, every few seconds, in a thread of its own.

A driver that hangs holds up nothing but this. What is seen goes into each trial's directory, as a line and as scalars for
TensorBoard under W&B's names of such things.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from orchestrator.trial.contract.launch import Launch
from orchestrator.trial.contract.resource_use import GpuUse, Look, Use
from orchestrator.trial.formats.eventfile import OWN, PREFIX, EventFile
from orchestrator.trial.runner.gpus import GpuMeter
from orchestrator.trial.runner.process_tree import ProcessTree, TreeReading

FIRST_S = 1.0
"""When is looked first: most mistakes show at once."""

EVERY_S = 10.0
"""How often is looked then."""

MOST_AT_ONCE = 360
"""The interval grows with a trial's age, so that a trial of a month has 2,700 lines: 360, and as many per e-fold of its time."""

Key = tuple[int, int]
"""(trial, attempt)"""


@dataclass(slots=True, kw_only=True)
class _Watched:
    launch: Launch
    tree: ProcessTree
    began_s: float
    looked_s: float
    next_s: float
    so_far: Use | None = None
    events: EventFile | None = None


class UseSampler:
    """Looks at attempts from their begin to their end. Methods may be called from any thread.

    Args:
        meter: Opens NVML; called once, when a trial has a GPU.
    """

    def __init__(self, meter: Callable[[], GpuMeter] = GpuMeter) -> None:
        self._open_meter = meter
        self._meter: GpuMeter | None = None
        self._problem: str | None = None
        self._pids_match = False
        self._watched: dict[Key, _Watched] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def begin(self, launch: Launch, pid: int) -> None:
        """Look at an attempt from now on; `pid` leads its processes."""
        now_s = time.monotonic()
        with self._changed:
            self._watched[launch.trial, launch.attempt] = _Watched(
                launch=launch, tree=ProcessTree(pid), began_s=now_s, looked_s=now_s, next_s=now_s + FIRST_S
            )
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="use", daemon=True)
                self._thread.start()
            self._changed.notify()

    def end(self, trial: int, attempt: int) -> None:
        """Look at an attempt no more: once this returns, nothing is written for it."""
        with self._changed:
            watched = self._watched.pop((trial, attempt), None)
            if watched is not None and watched.events is not None:
                watched.events.close()

    def close(self) -> None:
        """Look at nothing any more."""
        with self._changed:
            self._closed = True
            keys = list(self._watched)
            self._changed.notify()
        for key in keys:
            self.end(*key)

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    break
                next_s = min((watched.next_s for watched in self._watched.values()), default=None)
                left_s = None if next_s is None else next_s - time.monotonic()
                if left_s is None or left_s > 0:
                    self._changed.wait(left_s)
                    continue
                due = [(k, watched) for k, watched in self._watched.items() if watched.next_s <= time.monotonic()]
            for key, watched in due:
                self._look(key, watched)
        if self._meter is not None:
            self._meter.close()

    def _look(self, key: Key, watched: _Watched) -> None:
        now_s, moment = time.monotonic(), time.time()
        tree = watched.tree.look()
        found = None if tree is None else self._use(watched, tree, now_s, moment)
        with self._changed:
            age_s = now_s - watched.began_s
            watched.next_s = now_s + max(EVERY_S - (FIRST_S if watched.so_far is None else 0), age_s / MOST_AT_ONCE)
            if found is None or self._watched.get(key) is not watched:  # it has ended meanwhile
                return
            since_s, watched.looked_s = now_s - watched.looked_s, now_s
            watched.so_far = found if watched.so_far is None else summed(watched.so_far, found, since_s)
            look = Look(attempt=watched.launch.attempt, time=moment, now=found, so_far=watched.so_far)
            with suppress(OSError):  # a disk that is full: the trial has worse to tell
                _write(watched, look)

    def _use(self, watched: _Watched, tree: TreeReading, now_s: float, moment: float) -> Use:
        gpus, problem = self._gpus(watched.launch, tree.pids, moment - (now_s - watched.looked_s))
        return Use(
            n_looks=1 if watched.so_far is None else watched.so_far.n_looks + 1,
            seconds=round(now_s - watched.began_s, 3),
            cpus=round(tree.cpu_s / max(now_s - watched.looked_s, 1e-3), 4),
            rss_bytes=tree.rss_bytes,
            n_processes=len(tree.pids),
            gpu_share=watched.launch.gpu_share,
            gpus=gpus,
            problem=problem,
        )

    def _gpus(self, launch: Launch, pids: frozenset[int], since_s: float) -> tuple[tuple[GpuUse, ...], str | None]:
        """What an attempt's GPUs do, or why nobody can tell."""
        found: list[GpuUse] = []
        try:
            for gpu in launch.gpu_ids or ():
                if self._meter is None:
                    if self._problem is not None:
                        break
                    self._meter = self._open_meter()
                found.append(self._gpu(self._meter, gpu, launch, pids, since_s))
        except Exception as error:  # noqa: BLE001 - each of NVML's modules has errors of its own
            problem = str(error) or type(error).__name__
            self._problem = problem if self._meter is None else None
            return (), problem
        return tuple(found), self._problem if launch.gpu_ids else None

    def _gpu(self, meter: GpuMeter, gpu: str, launch: Launch, pids: frozenset[int], since_s: float) -> GpuUse:
        reading, held = meter.read(gpu), meter.held(gpu)
        own = pids & held.keys()
        self._pids_match = self._pids_match or bool(own)  # else they may be those of the machine, this a container
        own_busy = reading.busy
        if launch.gpu_share < 1:
            own_busy = meter.busy_by(gpu, own, since_s) if self._pids_match else None
        return GpuUse(
            gpu=gpu,
            busy=reading.busy,
            own_busy=own_busy,
            used_bytes=reading.used_bytes,
            own_bytes=sum(held[pid] for pid in own) if self._pids_match else None,
            total_bytes=reading.total_bytes,
            power_w=reading.power_w,
        )


def summed(so_far: Use, now: Use, since_s: float) -> Use:
    """Return what it comes to: means over the time, the most of memory and processes.

    Args:
        so_far: As of the look before.
        now: This look.
        since_s: Seconds between them, for which it stands.
    """
    before = {gpu.gpu: gpu for gpu in so_far.gpus}
    share = since_s / max(now.seconds, since_s, 1e-9)
    gpus = {gpu.gpu: _summed_gpu(before[gpu.gpu], gpu, share) if gpu.gpu in before else gpu for gpu in now.gpus}
    return replace(
        now,
        cpus=round(_mean(so_far.cpus, now.cpus, share), 4),
        rss_bytes=max(so_far.rss_bytes, now.rss_bytes),
        n_processes=max(so_far.n_processes, now.n_processes),
        gpus=tuple({**before, **gpus}.values()),
        problem=None if before or gpus else now.problem,
    )


def _summed_gpu(so_far: GpuUse, now: GpuUse, share: float) -> GpuUse:
    owned = [each.own_bytes for each in (so_far, now) if each.own_bytes is not None]
    return replace(
        now,
        busy=_known_mean(so_far.busy, now.busy, share),
        own_busy=_known_mean(so_far.own_busy, now.own_busy, share),
        used_bytes=max(so_far.used_bytes, now.used_bytes),
        own_bytes=max(owned, default=None),
        power_w=_known_mean(so_far.power_w, now.power_w, share),
    )


def _mean(so_far: float, now: float, share: float) -> float:
    return so_far + (now - so_far) * share


def _known_mean(so_far: float | None, now: float | None, share: float) -> float | None:
    if so_far is None or now is None:
        return so_far if now is None else now
    return round(_mean(so_far, now, share), 4)


def _write(watched: _Watched, look: Look) -> None:
    place, launch = watched.launch.dir, watched.launch
    with place.use_path.open("a", encoding="utf-8") as file:
        file.write(look.encode())
    if watched.events is None:  # its name comes before those of the program's: TensorBoard goes back to none
        name = f"{PREFIX}{launch.attempt:010d}.{socket.gethostname()}.use{OWN}"
        watched.events = EventFile(place.path, name)
    watched.events.scalars(scalars_of(look.now), round(look.now.seconds))


def scalars_of(use: Use) -> dict[str, float]:
    """Return what TensorBoard shows, by the names that W&B has for it; its own for what W&B counts otherwise."""
    found = {"system/cpu.cores": use.cpus, "system/proc.memory.rssMB": use.rss_bytes / 1e6}
    for place, gpu in enumerate(use.gpus):
        name = gpu.gpu if gpu.gpu.isdecimal() else str(place)
        values = {
            f"system/gpu.{name}.gpu": None if gpu.busy is None else 100 * gpu.busy,
            f"system/gpu.{name}.memoryAllocatedBytes": gpu.used_bytes,
            f"system/gpu.process.{name}.memoryAllocatedBytes": gpu.own_bytes,
            f"system/gpu.{name}.powerWatts": gpu.power_w,
        }
        found |= {tag: value for tag, value in values.items() if value is not None}
    return found
