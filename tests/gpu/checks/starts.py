"""How long it takes from the request of a trial to its first operation on the GPU, warm and by `python script.py`."""

import os
import statistics
import subprocess
import sys
import time

from tests.gpu.bench import Bench
from tests.gpu.check import PROGRAMS, ROOT, Check

PROGRAM = {"torch": "first_op.py", "torch+wandb": "first_op_wandb.py"}
N = 20


def starts(check: Check) -> None:
    """Start 20 of each, a few at a time on both sides alike; fewer when time is short, which is then said."""
    lanes = 1 if check.is_dry else 10
    with Bench(check.work) as bench:
        for share, (name, program) in zip((0.45, 1.0), PROGRAM.items(), strict=True):
            with_wandb = "wandb" in name
            bench.run(program, wandb=with_wandb)  # the server's own start, once per worker
            _cold(program, 1)  # files are read from memory from now on
            warm, cold = [], []
            while len(warm) < (2 if check.is_dry else N) and (check.left_s > check.aim_s * (1 - share) or not warm):
                warm += _warm(bench, program, lanes, with_wandb=with_wandb)
                cold += _cold(program, lanes)
                check.found(**{name: summary(warm, cold), "lanes": lanes})


Times = tuple[float, float]
"""Seconds from the request to a program's first line, and to the end of its first operation."""


def summary(warm: list[Times], cold: list[Times]) -> dict:
    """Return medians in seconds of the whole and of what came before the first line, and the ratio of the whole."""
    (warm_line, warm_op), (cold_line, cold_op) = (
        map(statistics.median, zip(*side, strict=True)) for side in (warm, cold)
    )
    lines = {"warm_line_s": warm_line, "cold_line_s": cold_line}
    return {"n": len(warm), "warm_s": warm_op, "cold_s": cold_op, "ratio": cold_op / warm_op, **lines}


def _warm(bench: Bench, program: str, n: int, *, with_wandb: bool) -> list[Times]:
    trials = [bench.start(program, wandb=with_wandb) for _ in range(n)]
    bench.until(lambda: all(trial.ended for trial in trials))
    return [_times(trial.log, trial.asked) for trial in trials]


def _cold(program: str, n: int) -> list[Times]:
    asked, processes = [], []
    for _ in range(n):
        asked.append(time.time())
        command = [sys.executable, str(PROGRAMS / program)]
        environ = {**os.environ, "WANDB_MODE": "offline", "CUDA_VISIBLE_DEVICES": "0"}
        environ["WANDB_DIR"] = os.environ["GPU_CHECK_WORK"]
        processes.append(subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True))
    return [_times(process.communicate()[0], began) for process, began in zip(processes, asked, strict=True)]


def _times(output: str, asked: float) -> Times:
    assert "first op " in output, output[-2000:]
    line, op = (float(output.rpartition(f"first {what} ")[2].split()[0]) for what in ("line", "op"))
    return line - asked, op - asked
