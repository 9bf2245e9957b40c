"""How long the command line takes to answer, beside the interpreter alone: `sweep --help`, `sweep check` of 20 parameters.

Prints the medians of ten runs of each, taken in turn so that a noisy machine is equally noisy for all: the time that a
person waits, and the processor time, which other programs on the machine change little.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 10
LIMITS_S = {"sweep --help": 0.150, "sweep check": 0.350}


def spec_text(n_parameters: int) -> str:
    """A spec with as many parameters, of several kinds."""
    kinds = [
        "{min: 1.0e-5, max: 0.1, distribution: log_uniform_values}",
        "{values: [16, 32, 64]}",
        "{min: 0.0, max: 0.5}",
    ]
    lines = ["program: train.py", "method: bayes", "metric: {name: loss, goal: minimize}", "parameters:"]
    lines += [f"  p{i}: {kinds[i % len(kinds)]}" for i in range(n_parameters)]
    return "\n".join(lines) + "\n"


def seconds(command: list[str], folder: str) -> tuple[float, float]:
    """Wall and processor time of a whole process, in seconds."""
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    wall, after = time.perf_counter() - start, os.times()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Time the commands in turn and print medians."""
    sweep = str(Path(sys.executable).with_name("sweep"))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "train.py").write_text("import sys\nprint(sys.argv)\n")
        spec = Path(folder, "sweep.yaml")
        spec.write_text(spec_text(20))
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "sweep --help": [sweep, "--help"],
            "sweep check": [sweep, "check", str(spec)],
        }
        for command in commands.values():
            seconds(command, folder)
        times = {name: [] for name in commands}
        for _ in range(RUNS):
            for name, command in commands.items():
                times[name].append(seconds(command, folder))
    base = statistics.median(wall for wall, _ in times["python -c pass"])
    for name, taken in times.items():
        wall, cpu = (statistics.median(column) for column in zip(*taken, strict=True))
        aim = f"  (aim: under {LIMITS_S[name] * 1e3:.0f} ms)" if name in LIMITS_S else ""
        ratio = f"{wall / base:5.1f} x the interpreter alone"
        print(f"{name:16} {wall * 1e3:6.0f} ms, processor {cpu * 1e3:5.0f} ms  {ratio}{aim}")


if __name__ == "__main__":
    main()
