"""Whether the GPU's memory comes back after trials, however they end."""

import os
import signal
import time

from orchestrator.trial.runner.gpus import GpuMeter
from tests.gpu.bench import Bench, Trial
from tests.gpu.check import Check

WAYS = ("finished", "stopped", "killed", "crashed", "oom")
EXPECTED = {
    "finished": "finished",
    "stopped": "stopped",
    "killed": "killed",
    "crashed": "killed",
    "oom": "out_of_gpu_memory",
}
SLACK_BYTES = 32 << 20
PATIENCE_S = 10.0
ROUNDS = 40


def memory(check: Check) -> None:
    """Run rounds of five trials, one for each way to end; after each round wait for the memory that was used before."""
    meter = GpuMeter()
    rounds = 3 if check.is_dry else ROUNDS
    waits, wrong, peak = [], [], 0
    with Bench(check.work) as bench:
        bench.run("end.py", "finished")  # what the driver keeps from its first use on is there from here on
        time.sleep(1.0)
        before = meter.read("0").used_bytes
        for n in range(1, rounds + 1):
            if check.left_s < 0 and n > 1:
                break
            trials, used = _round(bench, meter)
            peak = max(peak, used - before)
            waits.append(_wait(meter, before))
            wrong += [f"{way}: {t.outcome}" for way, t in trials.items() if t.outcome["cause"] != EXPECTED[way]]
            check.found(
                n_trials=n * len(WAYS),
                before_mib=before >> 20,
                peak_mib=peak >> 20,
                longest_wait_s=max(waits),
                late=sum(wait > 2 for wait in waits),
                rounds=n,
                wrong_causes=len(wrong),
                first_wrong=wrong[:3],
                after_mib=meter.read("0").used_bytes >> 20,
            )


def _round(bench: Bench, meter: GpuMeter) -> tuple[dict[str, Trial], int]:
    """Run one trial for each way to end; return them, and the most memory that was seen in use."""
    trials = {way: bench.start("end.py", way) for way in WAYS}
    used = 0

    def all_hold() -> bool:
        nonlocal used
        used = max(used, meter.read("0").used_bytes)
        return all(trial.reports or trial.ended for trial in trials.values())

    bench.until(all_hold)
    bench.stop(trials["stopped"])
    if trials["killed"].started is not None and not trials["killed"].ended:
        os.kill(trials["killed"].started.pid, signal.SIGKILL)
    bench.until(lambda: all(trial.ended for trial in trials.values()))
    return trials, used


def _wait(meter: GpuMeter, before: int) -> float:
    """Return the seconds until the memory in use is what it was before."""
    began = time.monotonic()
    while meter.read("0").used_bytes > before + SLACK_BYTES and time.monotonic() - began < PATIENCE_S:
        time.sleep(0.02)
    return time.monotonic() - began
