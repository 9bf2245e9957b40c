"""What another Python costs: asking it, and trials in it from start to first line and to reaped, against `python script.py`.

Environments as the tests make them, of pyenv's Pythons that are here: wandb of other times, or none. The script writes down when
its first line after the imports runs; where there is a wandb, it then logs a run, offline.
"""

import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from orchestrator.interpreters.probe import own, probe
from orchestrator.trial.contract.events import Ended
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind, WandbRun
from orchestrator.trial.runner.runner import Runner

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.trial.environments.pythons import made

N, N_COLD = 10, 5
ENVIRONMENTS = (
    ("3.9", ("wandb==0.25.1", "tensorboard")),
    ("3.12", ("wandb==0.19.11", "tensorboard")),
    ("3.13", ()),
)
PLAIN = "import argparse, json, math, random, time\nprint(time.time(), flush=True)\n"
WANDB = """import time, wandb
print(time.time(), flush=True)
with wandb.init() as run:
    run.log({"loss": 1.0})
"""
OFFLINE = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}


def ms(action, n=N):
    times = []
    for _ in range(n):
        begun = time.perf_counter()
        action()
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


def warm_ms(runner, directory, python, script, first):
    """Milliseconds to the first line and to reaped, medians."""
    found = []
    run = WandbRun(mode="offline", project="p", run_id="", name="n", group="g") if script == "wandb_run.py" else None
    for number in range(first, first + N + 1):
        trial_dir = directory / f"trial-{number}"
        asked, begun = time.time(), time.perf_counter()
        runner.launch(
            Launch(
                sweep_id="benchmark",
                sweep_name="benchmark",
                trial=number,
                attempt=0,
                trial_dir=str(trial_dir),
                cwd=str(directory),
                program=Program(kind=ProgramKind.SCRIPT, target=script),
                argv=("python", script),
                config={},
                python=None if python == sys.executable else python,
                gradients="off",
                wandb=None if run is None else dataclasses.replace(run, run_id=f"run{number}"),
            )
        )
        while not any(isinstance(event, Ended) for event in runner.poll(1.0)):
            pass
        reaped_ms = 1000 * (time.perf_counter() - begun)
        found.append((1000 * (first_line_s((trial_dir / "output.log").read_text()) - asked), reaped_ms))
    return medians(found[1:])  # the first waits for the server


def cold_ms(directory, python, script):
    """The same of a process of its own."""
    found = []
    for _ in range(N_COLD):
        asked, begun = time.time(), time.perf_counter()
        words, environ = [python, script], os.environ | OFFLINE
        done = subprocess.run(words, cwd=directory, capture_output=True, text=True, check=True, env=environ)
        reaped_ms = 1000 * (time.perf_counter() - begun)
        found.append((1000 * (first_line_s(done.stdout) - asked), reaped_ms))
    return medians(found)


def first_line_s(text):
    return float(next(line for line in text.splitlines() if line[:1].isdigit()))


def medians(found):
    return [statistics.median(column) for column in zip(*found, strict=True)]


def main():
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "plain.py").write_text(PLAIN)
        (directory / "wandb_run.py").write_text(WANDB)
        environ = {**os.environ, "XDG_CACHE_HOME": name}
        runner = Runner()
        print("                                                        first line        reaped")
        print("median ms                           asked  asked again  warm    cold    warm    cold")
        rows = [("this one", sys.executable, "plain.py")]
        for version, packages in ENVIRONMENTS:
            label, python = " ".join([version, *packages]), made(version, packages)
            if isinstance(python, str):
                print(f"{label:34} left out: {python}")
                continue
            rows.append((label, str(python), "wandb_run.py" if packages else "plain.py"))
        for n, (label, python, script) in enumerate(rows):
            asked = ms(lambda p=python: probe(p, cwd=name, environ=environ), 1)
            again = ms(lambda p=python: probe(p, cwd=name, environ=environ))
            warm, cold = warm_ms(runner, directory, python, script, 100 * n), cold_ms(directory, python, script)
            print(f"{label:34} {asked:6.1f} {again:12.2f} {warm[0]:5.1f} {cold[0]:7.1f} {warm[1]:7.1f} {cold[1]:7.1f}")
        runner.close()
    own.cache_clear()
    print(f"own interpreter looked at: {ms(own, 1):.1f} ms")


if __name__ == "__main__":
    main()
