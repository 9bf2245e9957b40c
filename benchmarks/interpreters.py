"""What another Python costs: asking it, and starting trials in it, against its own `python script.py`.

Each pyenv Python that is here gets a bare environment and a script that writes down when its first line runs.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from orchestrator.interpreters.probe import OLDEST, own, probe
from orchestrator.trial.contract.events import Ended
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind
from orchestrator.trial.runner.runner import Runner

N = 10
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
SCRIPT = "import argparse, json, math, random, time\nprint(time.time(), flush=True)\n"


def ms(action, n=N):
    times = []
    for _ in range(n):
        begun = time.perf_counter()
        action()
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


def warm_ms(runner, directory, python, first):
    found = []
    for number in range(first, first + N + 1):
        trial_dir = directory / f"trial-{number}"
        asked = time.time()
        runner.launch(
            Launch(
                sweep_id="benchmark",
                sweep_name="benchmark",
                trial=number,
                attempt=0,
                trial_dir=str(trial_dir),
                cwd=str(directory),
                program=Program(kind=ProgramKind.SCRIPT, target="script.py"),
                argv=("python", "script.py"),
                config={},
                python=None if python == sys.executable else python,
                gradients="off",
            )
        )
        while not any(isinstance(event, Ended) for event in runner.poll(1.0)):
            pass
        log = [line for line in (trial_dir / "output.log").read_text().splitlines() if line[:1].isdigit()]
        found.append(1000 * (float(log[0]) - asked))
    return statistics.median(found[1:])  # the first waits for the server


def cold_ms(directory, python):
    found = []
    for _ in range(N):
        asked = time.time()
        done = subprocess.run([python, "script.py"], cwd=directory, capture_output=True, text=True, check=True)
        found.append(1000 * (float(done.stdout) - asked))
    return statistics.median(found)


def main():
    pythons = [str(path) for path in sorted(PYENV.glob("3.*/bin/python"))]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "script.py").write_text(SCRIPT)
        environ = {**os.environ, "XDG_CACHE_HOME": name}
        runner = Runner()
        print("median ms       asked  asked again  first line warm  first line cold")
        rows = [("this one", sys.executable)]
        for python in pythons:
            version = Path(python).parents[1].name
            if tuple(map(int, version.split(".")[:2])) >= OLDEST:
                subprocess.run([python, "-m", "venv", "--without-pip", directory / version], check=True)
                rows.append((version, str(directory / version / "bin" / "python")))
        for n, (label, python) in enumerate(rows):
            asked = ms(lambda p=python: probe(p, cwd=name, environ=environ), 1)
            again = ms(lambda p=python: probe(p, cwd=name, environ=environ))
            warm, cold = warm_ms(runner, directory, python, 100 * n), cold_ms(directory, python)
            print(f"{label:12} {asked:8.1f} {again:12.2f} {warm:16.1f} {cold:16.1f}")
        runner.close()
    own.cache_clear()
    print(f"own interpreter looked at: {ms(own, 1):.1f} ms")


if __name__ == "__main__":
    main()
