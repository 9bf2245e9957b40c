"""What a trial uses of its machine, a line per look in its directory: CPU, memory, and its GPUs.

Beside its metrics, not among them: nothing here is reported, counted or optimised. Every line also says what it comes to so
far, so that whoever wants no curve reads the last one alone. A program may write into the file as well, and a directory may
come from elsewhere: a line that cannot be right is left out.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orchestrator import confined
from orchestrator.layout import TrialDir
from orchestrator.trial.contract.bounds import LATEST_S, as_object, valid_text

MOST_BYTES = 16 << 20
"""The end of a file that is read of a longer one."""

LAST_BYTES = 64 << 10
"""Where the last line is looked for."""

LONGEST_WORDS = 300
"""Characters of a GPU's name and of a problem."""

MOST_GPUS = 64
LARGEST = 2.0**60

LEAST_SHARE = 1e-3
"""Of a GPU: nobody runs more trials on one."""


@dataclass(frozen=True)
class GpuUse:
    """One GPU of a trial: at a moment, or so far (the mean of what varies, the most of memory).

    Attributes:
        gpu: Index or UUID, as `CUDA_VISIBLE_DEVICES` has it.
        busy: Share of the time in which it worked, in [0, 1], for whatever runs on it; None where it does not tell.
        own_busy: The same for the trial's processes; None where others run there as well and it does not tell whose.
        used_bytes: Memory in use, by whatever runs on it.
        own_bytes: Memory of the trial's processes; None where it cannot be told which they are (some containers).
        total_bytes: Memory there is.
        power_w: Watts that the GPU draws; None where it does not tell.
    """

    gpu: str
    busy: float | None
    own_busy: float | None
    used_bytes: float
    own_bytes: float | None
    total_bytes: float
    power_w: float | None

    @property
    def memory_bytes(self) -> float:
        """Memory of the trial where that is known, else of whatever runs on the GPU."""
        return self.used_bytes if self.own_bytes is None else self.own_bytes


@dataclass(frozen=True)
class Use:
    """What a trial uses, at a moment or so far.

    Attributes:
        n_looks: How often was looked so far.
        seconds: Since its attempt began.
        cpus: CPU cores that its processes keep busy: since the look before, or on average.
        rss_bytes: Resident memory (RSS) of its processes, at this moment or the most; what they share counts once for each.
        n_processes: How many they are, or were at most.
        gpu_share: Share of each of its GPUs that is its own; below 1 others run there as well.
        gpus: Its GPUs; empty where it has none, or they could not be read.
        problem: Why its GPUs could not be read; None where they could, or it has none.
    """

    n_looks: int
    seconds: float
    cpus: float
    rss_bytes: float
    n_processes: int
    gpu_share: float = 1.0
    gpus: tuple[GpuUse, ...] = ()
    problem: str | None = None

    @property
    def busy(self) -> float | None:
        """Share of the time in which its GPUs worked, over all of them; None where none tells."""
        known = [gpu.busy for gpu in self.gpus if gpu.busy is not None]
        return sum(known) / len(known) if known else None

    @property
    def own_busy(self) -> float | None:
        """The same for its processes alone where that is known, else for whatever runs there."""
        known = [busy for gpu in self.gpus if (busy := gpu.busy if gpu.own_busy is None else gpu.own_busy) is not None]
        return sum(known) / len(known) if known else None

    @property
    def fullest(self) -> GpuUse | None:
        """The one of its GPUs on which most memory is in use; None where none was read."""
        return max(self.gpus, key=lambda gpu: gpu.memory_bytes, default=None)


@dataclass(frozen=True)
class Look:
    """A line: what an attempt uses at a moment (Unix time in seconds), and so far."""

    attempt: int
    time: float
    now: Use
    so_far: Use

    def encode(self) -> str:
        """Return the line."""
        return json.dumps(asdict(self), separators=(",", ":")) + "\n"


def looks(trial_dir: TrialDir) -> list[Look]:
    """Return what was seen of a trial, in order; nothing where nobody looked, or the file cannot be read."""
    return _looks(trial_dir, MOST_BYTES)


def last_look(trial_dir: TrialDir) -> Look | None:
    """Return what was seen of a trial last; None as above."""
    return next(reversed(_looks(trial_dir, LAST_BYTES, last=True)), None)


def _looks(trial_dir: TrialDir, most: int, *, last: bool = False) -> list[Look]:
    try:
        with confined.open_file(trial_dir.use_path, trial_dir.sweep.path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - most))
            lines = file.read(most).split(b"\n")[size > most : -1]
    except OSError:
        return []
    found: list[Look] = []
    for line in reversed(lines):
        look = look_of(line)
        if look is not None:
            found.append(look)
            if last:
                break
    return found[::-1]


def look_of(line: bytes) -> Look | None:
    """Return what a line says; None for one that cannot be right."""
    data = as_object(line)
    if data is None:
        return None
    try:
        return Look(
            attempt=int(_number(data["attempt"])),
            time=_number(data["time"], LATEST_S),
            now=_use(data["now"]),
            so_far=_use(data["so_far"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _use(data: Mapping[str, Any]) -> Use:
    gpus: Sequence[Mapping[str, Any]] = data["gpus"]
    problem = data["problem"]
    return Use(
        n_looks=int(_number(data["n_looks"])),
        seconds=_number(data["seconds"]),
        cpus=_number(data["cpus"]),
        rss_bytes=_number(data["rss_bytes"]),
        n_processes=int(_number(data["n_processes"])),
        gpu_share=_number(data["gpu_share"], 1.0, least=LEAST_SHARE),
        gpus=tuple(_gpu(gpu) for gpu in gpus[:MOST_GPUS]),
        problem=None if problem is None else _words(problem),
    )


def _gpu(data: Mapping[str, Any]) -> GpuUse:
    return GpuUse(
        gpu=_words(data["gpu"]),
        busy=_optional(data["busy"], 1.0),
        own_busy=_optional(data["own_busy"], 1.0),
        used_bytes=_number(data["used_bytes"]),
        own_bytes=_optional(data["own_bytes"]),
        total_bytes=_number(data["total_bytes"]),
        power_w=_optional(data["power_w"]),
    )


def _optional(value: Any, most: float = LARGEST) -> float | None:
    return None if value is None else _number(value, most)


def _number(value: Any, most: float = LARGEST, *, least: float = 0.0) -> float:
    """Return a number from the least to the most it can be.

    Raises:
        TypeError, ValueError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(value)
    if not least <= value <= most or math.isnan(value):
        raise ValueError(value)
    return value


def _words(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return valid_text(value, LONGEST_WORDS)
