"""Two example sweeps at full size: how good the best digits CNN is, and what early termination saves a character GPT.

Both sides of a ratio are measured here, one after the other. It takes a quarter of an hour on two cores.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orchestrator

ROOT = Path(__file__).parents[1]
SWEEP = Path(sys.executable).with_name("sweep")


def main() -> None:
    with tempfile.TemporaryDirectory() as runs:
        found, took_s = run("digits-bayes", runs)
        print(f"digits-bayes: best validation accuracy {found.best.value:.4f} of {len(found)} trials in {took_s:.0f} s")
        assert found.best.value >= 0.98
        early, early_s = run("gpt-asha", runs, "--seed=1")
        full, full_s = run("gpt-asha", runs, "--seed=1", "--set=early_terminate.min_iter=1000")
        spent, whole = epochs(early), epochs(full)
        print(f"gpt-asha: {spent} epochs in {early_s:.0f} s, best loss {early.best.value:.4f}")
        print(f"without early termination: {whole} epochs in {full_s:.0f} s, best loss {full.best.value:.4f}")
        print(f"epochs spent with early termination: {spent / whole:.2f} of those without")
        assert spent <= whole / 2


def run(name, runs, *options):
    began_s = time.monotonic()
    command = [SWEEP, "run", f"sweeps/{name}.yaml", "--runs-dir", runs, *options]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return orchestrator.load(runs_dir=runs), time.monotonic() - began_s


def epochs(found):
    return sum(int(trial.history[found.metric].count()) for trial in found)


if __name__ == "__main__":
    main()
