"""What watching gradients costs, with ours and with W&B's run.watch, in a trial and in a plain Python."""

import json
import os
import statistics
import subprocess
import sys
from math import sqrt

from tests.gpu.bench import Bench
from tests.gpu.check import PATIENCE, PROGRAMS, ROOT, Check


def watching(check: Check) -> None:
    """Measure blocks of training steps that alternate; run.watch's own cost is known from a plain Python."""
    os.environ |= {
        "GPU_CHECK_TRAINING_S": "4" if check.is_dry else "18",  # a third of it watched: long enough for a first sample
        "GPU_CHECK_TRAINABLES": str(ROOT / "trainables"),
        "WANDB_DIR": str(check.work),
    }
    with Bench(check.work) as bench:
        trial = bench.run("watching.py", wandb=True)
    found = _read(trial.log)
    check.found(**{key: value for key, value in found.items() if key != "blocks"})
    check.found(step_s=statistics.median(found["blocks"]["off"]))
    check.found(gradients=overhead(found["blocks"], "gradients"), run_watch=overhead(found["blocks"], "run.watch"))
    command = [sys.executable, str(PROGRAMS / "watching.py")]
    os.environ["GPU_CHECK_TRAINING_S"] = "4" if check.is_dry else "8"
    plain = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60 * PATIENCE)
    check.found(run_watch_in_plain_python=overhead(_read(plain.stdout + plain.stderr)["blocks"], "run.watch"))


def overhead(blocks: dict[str, list[float]], side: str) -> dict:
    """Return what a side costs more than the one without, as a share, with its standard error."""
    ratios = [watched / off - 1 for watched, off in zip(blocks[side], blocks["off"], strict=True)]
    share = statistics.median(ratios)
    deviation = 1.4826 * statistics.median(abs(ratio - share) for ratio in ratios)  # the block of a sample is no noise
    return {"share": share, "error": 1.2533 * deviation / sqrt(len(ratios)), "n": len(ratios)}


def _read(output: str) -> dict:
    assert "found {" in output, output[-2000:]
    return json.loads(output.rpartition("found ")[2].splitlines()[0])
