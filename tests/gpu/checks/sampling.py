"""Whether what we read from NVML is what nvidia-smi says."""

import statistics
import subprocess
import time

from orchestrator.trial.runner.gpus import GpuMeter, GpuReading
from tests.gpu.bench import Bench
from tests.gpu.check import PATIENCE, Check

QUERY = ["nvidia-smi", "--id=0", "--query-gpu=utilization.gpu,memory.used,power.draw", "--format=csv,noheader,nounits"]


def sampling(check: Check) -> None:
    """Read both while a trial multiplies matrices, one right after the other."""
    meter = GpuMeter()
    with Bench(check.work) as bench:
        idle = meter.read("0")
        trial = bench.start("busy.py", grace_s=1.0)
        bench.until(lambda: trial.reports)
        _rest(bench, 1.5)  # the driver's utilisation is that of the last second
        pairs = [_both(meter, bench) for _ in range(3 if check.is_dry else 10)]
        if not check.is_dry:
            check.found(**by_process(meter, trial.started.pid, time.time() - 3))
        bench.stop(trial, kill=True)
        bench.until(lambda: trial.ended)
    check.found(idle_mib=idle.used_bytes >> 20, n=len(pairs), **agreement(pairs))


def agreement(pairs: list[tuple[GpuReading, tuple[float, float, float | None]]]) -> dict:
    """Return the medians of both sides."""
    ours, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    powers = [
        (o.power_w, t[2]) for o, t in zip(ours, theirs, strict=True) if o.power_w is not None and t[2] is not None
    ]
    return {
        "busy": [statistics.median(o.busy * 100 for o in ours), statistics.median(t[0] for t in theirs)],
        "used_mib": [statistics.median(o.used_bytes / 2**20 for o in ours), statistics.median(t[1] for t in theirs)],
        "power_w": [statistics.median(p[0] for p in powers), statistics.median(p[1] for p in powers)]
        if powers
        else None,
    }


def _both(meter: GpuMeter, bench: Bench) -> tuple[GpuReading, tuple[float, float, float | None]]:
    ours = meter.read("0")
    line = subprocess.run(QUERY, capture_output=True, text=True, check=True, timeout=20 * PATIENCE).stdout
    _rest(bench, 0.3)
    return ours, read(line)


def read(line: str) -> tuple[float, float, float | None]:
    """Return utilisation (%), memory (MiB) and power (W) of nvidia-smi's answer; it has words for what it does not know."""
    busy, used, power = (field.strip() for field in line.strip().splitlines()[0].split(","))
    return float(busy), float(used), float(power) if power.replace(".", "", 1).isdecimal() else None


def _rest(bench: Bench, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        bench.hear(left)


def by_process(meter: GpuMeter, pid: int, since_s: float) -> dict:
    """Return what we read of single processes: the MiB that each holds, and a trial's share of the time since then."""
    held = {each: n_bytes >> 20 for each, n_bytes in meter.held("0").items()}
    return {"pid": pid, "held_mib": held, "own_busy": meter.busy_by("0", [pid], since_s)}
