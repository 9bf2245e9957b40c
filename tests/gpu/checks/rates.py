"""Trials per hour: with one to eight on the GPU, and against other ways to run the same script."""

import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

from orchestrator.layout import SweepDir
from orchestrator.trial.contract.resource_use import last_look
from tests.gpu.bench import SWEEP, attempts_in, sweep, sweeping
from tests.gpu.check import PATIENCE, PROGRAMS, ROOT, Check

SPEC = """
program: {program}
method: random
run_cap: {n}
metric: {{name: loss, goal: minimize}}
parameters: {{lr: {{min: 0.0001, max: 0.1}}}}
orchestrator: {{gradients: "off"}}
"""
SCRIPT_S = 20.0
"""What the script of the table would train for; here it trains for less, and the rest of a trial stays as it is."""


def packing(check: Check) -> None:
    """Run the same small trials with one, two, four and eight at once."""
    steps, first, *fewer = (20, 2, 1) if check.is_dry else (400, 8, 4, 2, 1)
    spec = check.work / "packing.yaml"
    spec.write_text(SPEC.format(program=PROGRAMS / "packed.py", n=1000))
    options = ("--concurrency", str(first))
    rates: dict[str, float] = {}
    with sweeping(check.work, spec, *options, name="packing", gpu=1 / first, GPU_CHECK_STEPS=steps) as ledger:
        for k in (first, *fewer):
            if k != first:
                command = [SWEEP, "set", str(ledger.parent), f"concurrency={k}", "--quiet"]
                subprocess.run(command, cwd=ROOT, check=True, timeout=30 * PATIENCE)
            asked, ends = time.time(), []
            while len(ends) <= 4 * k:  # trials that began together end together: few of them say little
                time.sleep(0.2)
                attempts = attempts_in(ledger)
                ends = ends_with(k, attempts, asked)
            causes = {str(attempt["cause"]) for attempt in attempts if attempt["ended"]}
            assert causes == {"finished"}, [a["error"] for a in attempts]
            rates[str(k)] = 3600 * (len(ends) - 1) / (ends[-1] - ends[0])
            check.found(per_hour=dict(sorted(rates.items(), key=lambda pair: int(pair[0]))))
        if not check.is_dry:
            check.found(**use(ledger.parent))


def ends_with(k: int, attempts: list[dict], since: float) -> list[float]:
    """Return when attempts ended from the moment that `k` of them run at once.

    Args:
        k: How many run at once, once those that were more have ended.
        attempts: Every attempt so far, with the times of its start and end.
        since: When `k` was asked for, in seconds since the epoch.

    Returns:
        The first end after which no more than `k` run, and with which the first `k` are through; then all later ends.
    """
    ends = sorted(a["ended"] for a in attempts if a["ended"] and a["ended"] > since)
    begun = [attempt for attempt in attempts if attempt["started"]]
    running = [sum(a["started"] <= end and not (a["ended"] and a["ended"] <= end) for a in begun) for end in ends]
    steady = next((i for i, n in enumerate(running) if n <= k and i >= k - 1), len(ends))
    return ends[steady:]


def use(directory: Path) -> dict:
    """Return what is known of each trial's own part in the GPU that all of them share, of those that were looked at."""
    looks = [last_look(trial) for trial in SweepDir(directory).trials()]
    gpus = [gpu for look in looks if look is not None for gpu in look.so_far.gpus]
    problems = sorted({look.so_far.problem for look in looks if look is not None and look.so_far.problem})
    return {
        "looks": len(gpus),
        "own_mib": [round(gpu.own_bytes / 2**20) for gpu in gpus if gpu.own_bytes is not None],
        "own_busy": [gpu.own_busy for gpu in gpus if gpu.own_busy is not None],
        "use_problems": problems,
    }


def throughput(check: Check) -> None:
    """Run a script that trains for a fixed time one after the other, in three ways; take what each adds to a trial."""
    training_s = 1.0
    check.found(training_s=training_s, script_s=SCRIPT_S)
    sides = {"ours": (_ours, 3 if check.is_dry else 5), "cold": (_cold, 3), "tune": (_tune, 3)}
    for name, (side, n) in sides.items():
        ends = check.work / f"{name}.ends"
        environ = {"GPU_CHECK_TRAINING_S": str(training_s), "GPU_CHECK_ENDS": str(ends)}
        side(check, n, environ)
        check.found(**{name: per_trial([float(line) for line in ends.read_text().split()], training_s)})


def per_trial(ends: list[float], training_s: float) -> dict:
    """Return what a trial takes beyond its training, in seconds, and the trials per hour of the script of the table."""
    cycle_s = statistics.median(b - a for a, b in pairwise(sorted(ends)))
    added_s = cycle_s - training_s
    return {"n": len(ends), "added_s": added_s, "per_hour": 3600 / (SCRIPT_S + added_s)}


def _ours(check: Check, n: int, environ: dict[str, str]) -> None:
    spec = check.work / "throughput.yaml"
    spec.write_text(SPEC.format(program=PROGRAMS / "timed.py", n=n))
    sweep(check.work, spec, "--concurrency", "1", name="ours", gpu=1, **environ)


def _cold(check: Check, n: int, environ: dict[str, str]) -> None:
    """What `wandb agent` does for each run, without what it asks its server in between."""
    command = [sys.executable, str(PROGRAMS / "timed.py"), "--lr=0.01"]
    for _ in range(n):
        subprocess.run(
            command, cwd=ROOT, env=_environ(check.work, environ), check=True, capture_output=True, timeout=60 * PATIENCE
        )


def _tune(check: Check, n: int, environ: dict[str, str]) -> None:
    environ = {**_environ(check.work, environ), "GPU_CHECK_TUNE_DIR": str(check.work / "tune")}
    command = [sys.executable, str(PROGRAMS / "timed_tune.py"), str(n)]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, check=False, capture_output=True, text=True, timeout=100 * PATIENCE
    )
    assert done.returncode == 0, done.stderr[-2000:]


def _environ(work: Path, environ: dict[str, str]) -> dict[str, str]:
    return {**os.environ, **environ, "WANDB_MODE": "offline", "WANDB_DIR": str(work), "CUDA_VISIBLE_DEVICES": "0"}
