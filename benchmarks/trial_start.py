"""What a warm start saves, and what capture costs: both sides of every comparison in one run.

Start: from the request to the first line after the imports (and `wandb.init()`), forked warm against `python script.py`.
Capture: the CPU time, of all threads, of a call that logs in a trial, mirrors included, against the same call by itself: where
it is mirrored to W&B, with a `run.log` beside it, which a program that wants both would call. What the worker's process takes
to read the report stands beside it. W&B's core has the same calls on both sides, and is not counted. Of a run's hundreds of
calls at a time the fastest tenth counts, and of its runs the fastest: the CPU time of the same work doubles where others use
the machine's other threads and caches.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from orchestrator.arguments.command import param_file
from orchestrator.trial.contract.events import Ended
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind, WandbRun
from orchestrator.trial.runner.runner import Runner

N_WARM = 15
N_COLD = 5
N_CALLS = 3000
N_PART = 50
N_RUNS = 3

FIRST_LINES = {
    "plain": "import argparse, json, math, random, time\n",
    "torch": "import time, torch\n",
    "torch + an optimizer": "import time, torch\ntorch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)\n",
    "torch + wandb.init()": "import time, torch, wandb\nwandb.init()\n",
}
AIMS = {"plain": 1, "torch": 50, "torch + an optimizer": 50, "torch + wandb.init()": 10}

CALLS = {
    "run.log": ("import wandb\nrun = wandb.init()", "run.log({'loss': 1.0 / (i + 1), 'acc': 0.5, 'lr': 0.1})"),
    "add_scalar": (
        "from torch.utils.tensorboard import SummaryWriter\nwriter = SummaryWriter('runs/b')",
        "writer.add_scalar('loss', 1.0 / (i + 1), i)",
    ),
    "report": ("from orchestrator import report", "report({'loss': 1.0 / (i + 1), 'acc': 0.5, 'lr': 0.1}, step=i)"),
}
TIMED = """
import statistics, time
{setup}
i = 0
{call}
parts = []
for first in range(1, {n}, {part}):
    began = time.process_time()
    for i in range(first, first + {part}):
        {call}
    parts.append((time.process_time() - began) / {part})
print("each", statistics.quantiles(parts, n=10)[0], flush=True)
"""
OFFLINE = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}


class Bench:
    """Runs scripts both ways in a directory of its own."""

    def __init__(self, directory):
        self.dir = Path(directory)
        self.runner = Runner()
        self.n = 0

    def script(self, text):
        path = self.dir / f"script{abs(hash(text))}.py"
        path.write_text(text)
        return path

    def warm(self, script, *, with_wandb):
        """Return (time of the request, what it printed)."""
        trial_dir = self.dir / f"trial{self.n:04d}"
        trial_dir.mkdir()
        (trial_dir / "config.yaml").write_text(param_file({"lr": 0.1}))
        run = (
            WandbRun(mode="offline", project="p", run_id=f"bench-{self.n}", name="n", group="g") if with_wandb else None
        )
        launch = Launch(
            sweep_id="benchmark",
            sweep_name="benchmark",
            trial=self.n,
            attempt=0,
            trial_dir=str(trial_dir),
            cwd=str(self.dir),
            program=Program(kind=ProgramKind.SCRIPT, target=str(script)),
            argv=(sys.executable, str(script)),
            config={"lr": 0.1},
            wandb=run,
            env=OFFLINE if with_wandb else {},
            gradients="off",
        )
        self.n += 1
        asked = time.time()
        self.runner.launch(launch)
        while not any(isinstance(event, Ended) for event in self.runner.poll(1.0)):
            pass
        return asked, (trial_dir / "output.log").read_text()

    def cold(self, script):
        """The same by `python script.py`."""
        asked = time.time()
        done = subprocess.run(
            [sys.executable, str(script)],
            capture_output=True,
            text=True,
            check=True,
            cwd=self.dir,
            env={**os.environ, **OFFLINE},
        )
        return asked, done.stdout


def first_line(asked, output):
    """Seconds from the request to the first line of the program's own."""
    return float(output.rpartition("first line ")[2].split()[0]) - asked


def starts(bench):
    print(f"{'start to first line':24}{'python':>10}{'warm':>10}{'ratio':>8}{'aim':>6}")
    for name, lines in FIRST_LINES.items():
        script = bench.script(lines + "print('first line', time.time())\n")
        with_wandb = "wandb" in name
        bench.warm(script, with_wandb=with_wandb)  # the server's own start, once per worker
        cold, warm = [], []
        for i in range(N_WARM):
            warm.append(first_line(*bench.warm(script, with_wandb=with_wandb)))
            if i < N_COLD:
                cold.append(first_line(*bench.cold(script)))
        a, b = statistics.median(cold), statistics.median(warm)
        print(f"{name:24}{a * 1e3:8.0f}ms{b * 1e3:8.1f}ms{a / b:7.0f}x{AIMS[name]:5}x")


def calls(bench):
    print(f"\n{'CPU time of one call':28}{'alone':>10}{'captured':>10}{'added':>10}{'worker':>10}")
    of_wandb = 0.0
    for name, (setup, call) in CALLS.items():
        script = bench.script(TIMED.format(setup=setup, call=call, n=N_CALLS, part=N_PART))
        kinds = (True,) if name == "run.log" else (False, True)
        runs = [(each(bench.cold(script)[1]), [captured(bench, script, kind) for kind in kinds]) for _ in range(N_RUNS)]
        alone = min(found for found, _ in runs)
        of_wandb = of_wandb or alone
        for place, with_wandb in enumerate(kinds):
            in_trial, in_worker = (min(found) for found in zip(*(found[place] for _, found in runs), strict=True))
            is_mirrored = with_wandb and name != "run.log"
            label = f"{name}, and to W&B" if is_mirrored else name
            by_itself = alone + (of_wandb if is_mirrored else 0)
            note = f"  alone: {alone * 1e6:.0f}us, and run.log" if is_mirrored else ""
            times = (by_itself, in_trial, in_trial - by_itself, in_worker)
            print(f"{label:28}" + "".join(f"{s * 1e6:8.0f}us" for s in times) + note)
    print("aim: below 100us added")


def captured(bench, script, with_wandb):
    """CPU seconds of a call: in the trial, and in the worker's process, whose launch of the trial is part of it."""
    began = time.process_time()
    found = each(bench.warm(script, with_wandb=with_wandb)[1])
    return found, (time.process_time() - began) / N_CALLS


def each(output):
    """Seconds of a call, as the script measured them."""
    return float(output.rpartition("each ")[2].split()[0])


def main():
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(directory)
        try:
            starts(bench)
            calls(bench)
        finally:
            bench.runner.close()
    print(json.dumps({"cpus": os.cpu_count(), "load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
