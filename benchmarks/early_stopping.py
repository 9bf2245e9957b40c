"""What early termination saves, and how fast it acts.

1. A random sweep of 60 small networks on digits, two, four and eight at a time: epochs of compute until the best trial
   reaches a fixed accuracy, without a rule, with hyperband and with asha, on the same configs. The learning curves are
   real and computed once; controller, ledger and rules are the real ones, on a pool in virtual time. Aim: 3x less
   compute. The more run at once, the more others train beside the winner on its way to the target.
2. The time from a trial's report that ends it to SIGTERM in its process, through the real command, Ray, worker and
   controller. Aim: below 100 ms at the median.
"""

import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from search_tasks import MLP, MLP_EPOCHS, mlp_table

from tests.execution.fake_pool import FakePool, Log
from tests.sweeps import Sweep

N_SWEEPS = 10
N_TRIALS = 60
AT_ONCE = (2, 4, 8)
QUANTILE = 0.04
"""The accuracy to reach is that of the best four in a hundred configs."""

RULES = {
    "none": "",
    "hyperband": "early_terminate: {type: hyperband, min_iter: 3, eta: 3}",
    "hyperband, not strict": "early_terminate: {type: hyperband, min_iter: 2, eta: 3, strict: false}",
    "asha": "early_terminate: {type: asha, min_iter: 3, eta: 2}",
}

SPEC = """
program: train.py
method: random
run_cap: {n_trials}
metric: {{name: error, goal: minimize}}
parameters: {parameters}
orchestrator: {{seed: {seed}, wandb: "off"}}
{rule}
"""


def compute(at_once: int) -> None:
    curves = {values: table.mean(axis=0) for values, table in mlp_table().items()}
    target = float(np.quantile([curve.min() for curve in curves.values()], QUANTILE))
    print(f"epochs until an error of {target:.4f}, {N_TRIALS} trials, {at_once} at once, {N_SWEEPS} sweeps")
    spent = {
        name: [epochs(curves, target, rule, seed, at_once) for seed in range(N_SWEEPS)] for name, rule in RULES.items()
    }
    for name, runs in spent.items():
        # A sweep that never got there counts as if all its trials had run to their end.
        needed = [N_TRIALS * MLP_EPOCHS if first is None else first for first, _ in runs]
        everything = [N_TRIALS * MLP_EPOCHS if first is None else first for first, _ in spent["none"]]
        print(
            f"  {name:21} {statistics.mean(needed):6.0f} epochs ({sum(everything) / sum(needed):.1f}x less), "
            f"reached in {sum(first is not None for first, _ in runs)} of {len(runs)} sweeps; "
            f"whole sweep {statistics.mean(total for _, total in runs):.0f} epochs"
        )


def epochs(curves, target, rule, seed, at_once):
    """Return the epochs spent when `target` was first reached (None: never), and in the whole sweep."""
    spent = 0
    reached = None

    def train(launch):
        nonlocal spent, reached
        for error in curves[tuple(launch.config[name] for name in MLP)]:
            yield Log({"error": float(error)}, after_s=1.0)
            spent += 1
            if error <= target and reached is None:
                reached = spent

    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        parameters = {name: {"values": values} for name, values in MLP.items()}
        text = SPEC.format(n_trials=N_TRIALS, parameters=parameters, seed=seed, rule=rule)
        Sweep(Path(directory), text).run(FakePool(at_once, train))
    assert spent <= N_TRIALS * MLP_EPOCHS
    return reached, spent


N_REACTIONS = 40
SWEEP = Path(sysconfig.get_path("scripts")) / "sweep"
REACTION = f"""
program: train.py
method: random
run_cap: {N_REACTIONS}
metric: {{name: loss, goal: minimize}}
parameters: {{lr: {{min: 0.0, max: 1.0}}}}
orchestrator: {{seed: 1, wandb: "off", resources: {{cpu: 1}}}}
"""
PROGRAM = """
import os, sys, time
from orchestrator import report
time.sleep(0.3)  # a trial under way, not one that starts
try:
    said = time.monotonic()
    report(loss=float("nan"))
    time.sleep(30)
finally:
    with open(os.environ["REACTIONS"], "a") as file:
        file.write(f"{time.monotonic() - said}\\n")
"""


def reaction() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        (path / "train.py").write_text(PROGRAM)
        (path / "sweep.yaml").write_text(REACTION)
        environ = os.environ | {"REACTIONS": str(path / "reactions")}
        command = [str(SWEEP), "run", "sweep.yaml", "--num-cpus", "2"]
        subprocess.run(command, cwd=path, env=environ, check=True, capture_output=True)
        taken_ms = sorted(1e3 * float(line) for line in (path / "reactions").read_text().split())
    print(
        f"from a report of NaN to SIGTERM, {len(taken_ms)} trials: median {statistics.median(taken_ms):.0f} ms, "
        f"90 % below {taken_ms[int(0.9 * len(taken_ms))]:.0f} ms, longest {taken_ms[-1]:.0f} ms"
    )


if __name__ == "__main__":
    for at_once in AT_ONCE:
        compute(at_once)
    reaction()
