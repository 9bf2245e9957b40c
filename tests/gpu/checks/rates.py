"""Trials per hour: with one to eight on the GPU, and against other ways to run the same script."""

import os
import statistics
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from orchestrator.layout import SweepDir
from orchestrator.trial.contract.resource_use import last_look
from tests.gpu.bench import Swept, sweep
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
    steps = 20 if check.is_dry else 400
    rates: dict[str, float] = {}
    for k in (1, 2) if check.is_dry else (1, 2, 4, 8):
        spec = check.work / f"packing-{k}.yaml"
        spec.write_text(SPEC.format(program=PROGRAMS / "packed.py", n=max(3, 2 * k)))
        swept = sweep(check.work, spec, "--concurrency", str(k), name=f"pack{k}", gpu=1 / k, GPU_CHECK_STEPS=steps)
        assert set(swept.causes) == {"finished"}, [a["error"] for a in swept.attempts]
        rates[str(k)] = rate(swept)
        check.found(per_hour=rates)
        if not check.is_dry:
            check.found(**use(swept))


def use(swept: Swept) -> dict:
    """Return what is known of each trial's own part in the GPU that all of them share, of those that were looked at."""
    looks = [last_look(trial) for trial in SweepDir(swept.dir).trials()]
    gpus = [gpu for look in looks if look is not None for gpu in look.so_far.gpus]
    problems = sorted({look.so_far.problem for look in looks if look is not None and look.so_far.problem})
    return {
        "looks": len(gpus),
        "own_mib": [round(gpu.own_bytes / 2**20) for gpu in gpus if gpu.own_bytes is not None],
        "own_busy": [gpu.own_busy for gpu in gpus if gpu.own_busy is not None],
        "use_problems": problems,
    }


def rate(swept: Swept) -> float:
    """Trials per hour from the first one's start to the last one's end."""
    return 3600 * len(swept.attempts) / swept.seconds


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
