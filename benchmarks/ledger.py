"""The ledger at 10,000 trials of 20 reports: how long `sweep best` and the start of `sweep resume` take, as real commands.

Aims: `sweep best` below 0.5 s; loading for `sweep resume` below 3 s.
"""

import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from orchestrator.layout import SweepDir
from orchestrator.ledger.curves import Objective
from orchestrator.ledger.paths import create_sweep_dir
from orchestrator.ledger.records import SweepRecord, SweepState, TrialState
from orchestrator.ledger.store import Ledger
from orchestrator.trial.contract.events import Cause, Ended, Report, Reported, Started

N_TRIALS = 10_000
N_REPORTS = 20
BATCH = 100
REPEATS = 5
SWEEP = Path(sysconfig.get_path("scripts")) / "sweep"
SPEC = f"""
program: train.py
method: random
run_cap: {N_TRIALS}
metric: {{name: loss, goal: minimize}}
parameters:
  lr: {{min: 0.0, max: 1.0}}
  width: {{values: [16, 32, 64]}}
"""
LOSS = (Objective(name="loss", sign=1.0, last=False),)


def fill(sweep_dir: SweepDir) -> float:
    """Write the sweep as its controller would; return the seconds it took."""
    sweep_dir.spec_path.write_text(SPEC)
    ledger = Ledger(sweep_dir.ledger_path)
    fields = {"name": "bench", "spec_text": SPEC, "seed": 1, "created": time.time(), "cwd": str(sweep_dir.path)}
    ledger.sweep.create(SweepRecord(sweep_id=sweep_dir.sweep_id, state=SweepState.FINISHED, **fields))
    ledger.load(LOSS)
    start = time.perf_counter()
    for first in range(0, N_TRIALS, BATCH):
        with ledger.transaction("bench"):
            for number in range(first, first + BATCH):
                run_trial(ledger, number)
    took_s = time.perf_counter() - start
    ledger.close()
    return took_s


def run_trial(ledger: Ledger, number: int) -> None:
    ledger.add_trial({"lr": (number * 7919 % N_TRIALS) / N_TRIALS, "width": 16})
    ledger.begin_attempt(number)
    reports = tuple(
        Report(index=i, time=float(i), step=i, metrics={"loss": (number * 31 % 997) / (i + 1), "accuracy": i / 20})
        for i in range(N_REPORTS)
    )
    started = Started(trial=number, attempt=0, time=0.0, pid=1, host="box")
    ended = Ended(trial=number, attempt=0, time=21.0, cause=Cause.FINISHED, exit_code=0)
    events = [started, Reported(trial=number, attempt=0, reports=reports), ended]
    ledger.record(events, {number: (TrialState.FINISHED, None)})


def command_s(*words: str) -> float:
    """Return the median seconds of a command."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run([SWEEP, *words], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return sorted(times)[REPEATS // 2]


def load_s(sweep_dir: SweepDir) -> float:
    """Return the median seconds that a fresh interpreter needs to have the whole ledger in memory, its start included."""
    code = (
        "import sys, pathlib\n"
        "from orchestrator.ledger.store import Ledger\n"
        "from orchestrator.ledger.curves import Objective\n"
        "ledger = Ledger(pathlib.Path(sys.argv[1]))\n"
        "ledger.load((Objective(name='loss', sign=1.0, last=False),))\n"
        f"assert len(ledger.trials()) == {N_TRIALS}\n"
    )
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, str(sweep_dir.ledger_path)], check=True)
        times.append(time.perf_counter() - start)
    return sorted(times)[REPEATS // 2]


def main() -> None:
    with tempfile.TemporaryDirectory() as runs:
        sweep_dir = create_sweep_dir(Path(runs), "bench", "bench123")
        took_s = fill(sweep_dir)
        size_mib = sweep_dir.ledger_path.stat().st_size / 2**20
        print(f"{N_TRIALS} trials of {N_REPORTS} reports: written in {took_s:.1f} s, {size_mib:.0f} MiB")
        none_s = command_s("--version")
        rows = {
            "sweep best -k 5": (command_s("best", "last", "--runs-dir", runs), 0.5),
            "sweep best --json": (command_s("best", "last", "--runs-dir", runs, "--json"), 0.5),
            "sweep ls": (command_s("ls", "--runs-dir", runs), 0.5),
            "loading for resume": (load_s(sweep_dir), 3.0),
        }
        print(f"{'sweep --version':20} {none_s:6.2f} s")
        for what, (seconds, aim_s) in rows.items():
            print(f"{what:20} {seconds:6.2f} s, aim {aim_s:g} s: {seconds / aim_s:4.2f} of it")


if __name__ == "__main__":
    main()
