"""Trials for the checks: on a runner, as a worker starts them, or as whole sweeps by the `sweep` command."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import orchestrator
from orchestrator.arguments.command import param_file
from orchestrator.trial.contract.events import Ended, Reported, Started
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind, WandbRun
from orchestrator.trial.runner.runner import Runner
from tests.gpu.check import PATIENCE, PROGRAMS, ROOT

SWEEP = Path(sys.executable).with_name("sweep")
PATIENCE_S = 60.0 * PATIENCE
GPU = ("--num-gpus", "1") if os.environ.get("GPU_CHECK_DEVICE") == "cpu" else ("--gpus", "0")
"""The GPU of every sweep, whoever holds it; without one, one that Ray believes in."""
NO_CLUSTER = 3
"""Exit code of `sweep run` when Ray does not start."""


@dataclass
class Trial:
    """An attempt and all that was heard of it."""

    launch: Launch
    asked: float = 0.0
    events: list = field(default_factory=list)

    def first(self, kind):
        return next((event for event in self.events if isinstance(event, kind)), None)

    @property
    def started(self) -> Started | None:
        return self.first(Started)

    @property
    def ended(self) -> Ended | None:
        return self.first(Ended)

    @property
    def reports(self) -> list[dict]:
        return [dict(r.metrics) for event in self.events if isinstance(event, Reported) for r in event.reports]

    @property
    def log(self) -> str:
        path = Path(self.launch.trial_dir) / "output.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def outcome(self) -> dict:
        ended = self.ended
        return {"cause": str(ended.cause), "error": ended.error, "signal": ended.signal, "exit_code": ended.exit_code}


class Bench:
    """A runner in a directory of the check's own; all its trials are given GPU 0."""

    def __init__(self, directory: Path) -> None:
        self.dir = directory / "trials"
        self.runner = Runner()
        self.trials: dict[tuple[int, int], Trial] = {}

    def start(self, program: str, *args: str, wandb: bool = False, grace_s: float = 5.0) -> Trial:
        number = len(self.trials)
        trial_dir = self.dir / f"{number:04d}"
        trial_dir.mkdir(parents=True)
        (trial_dir / "config.yaml").write_text(param_file({}))
        path = str(PROGRAMS / program)
        run = WandbRun(mode="offline", project="gpu", run_id=f"gpu-{number:04d}", name=f"gpu-{number}", group="gpu")
        launch = Launch(
            sweep_id="gpucheck",
            sweep_name="gpu",
            trial=number,
            attempt=0,
            trial_dir=str(trial_dir),
            cwd=str(ROOT),
            program=Program(kind=ProgramKind.SCRIPT, target=path, args=args),
            argv=(sys.executable, path, *args),
            config={},
            wandb=run if wandb else None,
            gpu_ids=("0",),
            grace_s=grace_s,
            gradients="off",
        )
        trial = self.trials[number, 0] = Trial(launch)
        trial.asked = time.time()
        self.runner.launch(launch)
        return trial

    def run(self, program: str, *args: str, **options) -> Trial:
        trial = self.start(program, *args, **options)
        self.until(lambda: trial.ended)
        return trial

    def stop(self, trial: Trial, *, kill: bool = False) -> None:
        self.runner.stop(trial.launch.trial, 0, kill=kill)

    def until(self, condition, patience_s: float = PATIENCE_S):
        """Hear of the trials until a condition holds; return its value."""
        deadline = time.monotonic() + patience_s
        while not (value := condition()):
            assert time.monotonic() < deadline, "\n".join(t.log[-500:] for t in self.trials.values() if not t.ended)
            self.hear(0.02)
        return value

    def hear(self, seconds: float) -> None:
        for event in self.runner.poll(seconds):
            self.trials[event.trial, event.attempt].events.append(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.runner.close()


@dataclass(frozen=True)
class Swept:
    """A sweep that was run: its directory, and a dict for each attempt in the order of their starts."""

    dir: Path
    attempts: list[dict]
    exit_code: int

    @property
    def causes(self) -> list[str]:
        return [str(attempt["cause"]) for attempt in self.attempts]

    @property
    def seconds(self) -> float:
        """From the first start to the last end."""
        starts = [attempt["started"] for attempt in self.attempts if attempt["started"]]
        ends = [attempt["ended"] for attempt in self.attempts if attempt["ended"]]
        return max(ends, default=0.0) - min(starts, default=0.0)

    def values(self, metric: str) -> list[float]:
        """The last value of a metric in each trial that reported it, in order of their numbers."""
        every = [self.series(number, metric)[1] for number in sorted({a["trial"] for a in self.attempts})]
        return [values[-1] for values in every if values]

    def series(self, number: int, metric: str) -> tuple[list[float], list[float]]:
        """When a trial reported a metric, and its values."""
        trial = orchestrator.load(str(self.dir))[number]
        rows = [(report.time, report.metrics[metric]) for report in trial.reports() if metric in report.metrics]
        return [time for time, _ in rows], [value for _, value in rows]


def sweep_command(work: Path, spec: Path, *options: str, name: str, gpu: float) -> list[str]:
    """Return the command that runs a sweep as its user would."""
    command = [
        SWEEP,
        "run",
        spec,
        "--name",
        name,
        "--runs-dir",
        work / "runs",
        "--gpus-per-trial",
        f"{gpu:g}",
        *options,
    ]
    return [str(word) for word in command]


def sweep(work: Path, spec: Path, *options: str, name: str, gpu: float, again: bool = False, **environ) -> Swept:
    """Run a sweep as its user would, with the GPU that is there (or none, and one that Ray believes in).

    It takes no turns with the sweeps of other checks: they run beside each other on one GPU.
    """
    process = _begin(work, spec, *options, name=name, gpu=gpu, **environ)
    try:
        exit_code = process.wait(110 * PATIENCE)
    finally:
        process.kill()
    found = sorted((work / "runs").glob(f"{name}-*/ledger.sqlite"))
    if exit_code == NO_CLUSTER and not again:  # several start at once: on a busy machine a Ray may not make it in time
        return sweep(work, spec, *options, name=f"{name}-again", gpu=gpu, again=True, **environ)
    assert found, f"sweep run left no sweep: {(work / f'{name}.log').read_text()[-2000:]}"
    return Swept(found[0].parent, attempts_in(found[0]), exit_code)


@contextmanager
def sweeping(work: Path, spec: Path, *options: str, name: str, gpu: float, **environ) -> Iterator[Path]:
    """Run a sweep as its user would, while entered, and interrupt it then; its ledger, once it is there."""
    process = _begin(work, spec, *options, name=name, gpu=gpu, **environ)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not (found := list((work / "runs").glob(f"{name}-*/ledger.sqlite"))):
            assert process.poll() is None, (work / f"{name}.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "sweep run made no ledger"
            time.sleep(0.1)
        yield found[0]
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)
    finally:
        process.kill()


def _begin(work: Path, spec: Path, *options: str, name: str, gpu: float, **environ) -> subprocess.Popen:
    environ = {"SWEEP_LOCK_DIR": work, **environ}
    with (work / f"{name}.log").open("a") as log:
        return subprocess.Popen(
            sweep_command(work, spec, *GPU, *options, name=name, gpu=gpu),
            cwd=ROOT,
            env={**os.environ, **{key: str(value) for key, value in environ.items()}},
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )


def attempts_in(ledger: Path) -> list[dict]:
    """Every attempt of a sweep, in the order of their starts."""
    connection = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        rows = connection.execute("SELECT * FROM attempts ORDER BY started").fetchall()
    finally:
        connection.close()
    return [dict(row) for row in rows]
