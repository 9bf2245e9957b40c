"""Real trials on a real runner: scripts written by a test, forked from warm servers, read back from what they left."""

import functools
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from orchestrator.arguments.command import param_file
from orchestrator.trial.contract.events import Ended, Reported, Started
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind, WandbRun
from orchestrator.trial.contract.scalars import as_float32
from orchestrator.trial.formats.wandb_log import WandbLog
from orchestrator.trial.runner import warm_servers
from orchestrator.trial.runner.runner import Runner

PATIENCE_S = 180.0
WITHOUT_TORCH = 'import sys; sys.modules["torch"] = None'
"""A program's first line: tensorboardX as where there is no torch, which it would import for seconds."""

PROGRAMS = Path(__file__).parent / "programs"


@dataclass
class Trial:
    """An attempt and all that was heard of it."""

    bench: "Bench"
    launch: Launch
    events: list = field(default_factory=list)

    @property
    def dir(self) -> Path:
        return Path(self.launch.trial_dir)

    @property
    def log(self) -> str:
        return (self.dir / "output.log").read_text()

    @property
    def reports(self) -> list:
        return [report for event in self.events if isinstance(event, Reported) for report in event.reports]

    @property
    def lines(self) -> list[dict]:
        """The lines of reports.jsonl."""
        path = self.dir / "reports.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def series(self, name: str) -> list[float]:
        return [report.metrics[name] for report in self.reports if name in report.metrics]

    def started(self) -> Started:
        return self.until(lambda: next((e for e in self.events if isinstance(e, Started)), None))

    def ended(self) -> Ended:
        return self.until(lambda: next((e for e in self.events if isinstance(e, Ended)), None))

    def printed(self, text: str) -> str:
        """Wait until the trial has printed something; return its whole log."""
        self.until(lambda: (self.dir / "output.log").exists() and text in self.log)
        return self.log

    def until(self, condition):
        return self.bench.until(condition, self)

    def stop(self, *, kill: bool = False) -> None:
        self.bench.runner.stop(self.launch.trial, self.launch.attempt, kill=kill)


class Bench:
    """A runner, a directory for the scripts, and the trials that were launched.

    With `preload` its servers import these modules, whatever a program imports.
    """

    def __init__(self, directory: Path, preload: tuple[str, ...] | None = None) -> None:
        self.dir = directory
        self.preload = preload
        self.runner = Runner()
        self.trials: dict[tuple[int, int], Trial] = {}

    def script(self, text: str, name: str = "train.py") -> Path:
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start(self, target, *args, kind=ProgramKind.SCRIPT, flags=(), wandb=None, **fields) -> Trial:
        """Launch an attempt: `target` is a path or an object's name, or for a command its argv."""
        number = fields.pop("trial", len(self.trials))
        argv = tuple(map(str, target)) if kind is ProgramKind.COMMAND else (sys.executable, *flags, str(target), *args)
        program = Program(
            kind=kind,
            target=argv[0] if kind is ProgramKind.COMMAND else str(target),
            interpreter_args=tuple(flags),
            args=tuple(args),
            reason="a test's command" if kind is ProgramKind.COMMAND else "",
        )
        trial_dir = self.dir / "trials" / f"{number:04d}"
        trial_dir.mkdir(parents=True, exist_ok=True)
        config = fields.pop("config", {})
        (trial_dir / "config.yaml").write_text(param_file(config))
        defaults = {
            "sweep_id": "k3x9w2ab",
            "sweep_name": "digits",
            "attempt": 0,
            "cwd": str(self.dir),
            "grace_s": 5.0,
            "gradients": "off",
            "preload": self.preload,
            "wandb": a_wandb_run(number) if wandb is True else wandb,
        }
        launch = Launch(
            trial=number, trial_dir=str(trial_dir), program=program, argv=argv, config=config, **(defaults | fields)
        )
        trial = self.trials[number, launch.attempt] = Trial(self, launch)
        self.runner.launch(launch)
        return trial

    def run(self, target, *args, **fields) -> Trial:
        """Launch an attempt and wait for its end."""
        trial = self.start(target, *args, **fields)
        trial.ended()
        return trial

    def until(self, condition, trial=None):
        deadline = time.monotonic() + PATIENCE_S
        while not (value := condition()):
            log = trial.log if trial is not None and (trial.dir / "output.log").exists() else ""
            assert time.monotonic() < deadline, f"still waiting; so far: {trial and trial.events}\n{log}"
            for event in self.runner.poll(0.1):
                self.trials[event.trial, event.attempt].events.append(event)
        return value


def a_wandb_run(number: int = 0, **changes) -> WandbRun:
    fields = {
        "mode": "offline",
        "project": "p",
        "run_id": f"k3x9w2ab-{number:04d}",
        "name": f"digits-{number}",
        "group": "digits",
    }
    return WandbRun(**(fields | changes))


def _clean(patch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("WANDB_", "SWEEP_"))]:
        patch.delenv(name)
    patch.setenv("WANDB_ERROR_REPORTING", "false")


@pytest.fixture(autouse=True)
def _patience_of_a_soak(request, monkeypatch):
    """A long run on a machine that others load may take long."""
    if request.node.get_closest_marker("soak"):
        monkeypatch.setitem(globals(), "PATIENCE_S", 20 * PATIENCE_S)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A `Bench` in a directory of the test's own."""
    _clean(monkeypatch)
    found = Bench(tmp_path)
    yield found
    found.runner.close()


@pytest.fixture(scope="module")
def shared(request, tmp_path_factory):
    """A `Bench` for all tests of a module; where it has a `PRELOAD`, one server starts whatever is no command."""
    preload = getattr(request.module, "PRELOAD", None)
    with pytest.MonkeyPatch.context() as patch:
        _clean(patch)
        if preload is not None:
            patch.setattr(warm_servers, "_surroundings", functools.partial(_of_any, warm_servers._surroundings))
        found = Bench(tmp_path_factory.mktemp("shared"), preload)
        yield found
        found.runner.close()


def _of_any(surroundings, launch):
    """What a launch must have in common with others, their programs aside: a server's imports take longer than most tests."""
    if launch.program.kind is ProgramKind.COMMAND:
        return surroundings(launch)
    return surroundings(replace(launch, program=Program(kind=ProgramKind.SCRIPT, target="")))


@pytest.fixture
def gone():
    """Wait until a process is no more."""

    def wait(pid: int) -> bool:
        deadline = time.monotonic() + 10
        while is_alive(pid):
            assert time.monotonic() < deadline, f"process {pid} is still there"
            time.sleep(0.01)
        return True

    return wait


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def scalars(directory: Path, *, use: bool = False) -> dict[str, list[tuple[int, float]]]:
    """Every scalar of a TensorBoard run, read by TensorBoard: (step, value) by tag.

    What a trial uses of its machine is there once it has run for a second; it is left out if not asked for.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = EventAccumulator(str(directory), size_guidance={"scalars": 0, "tensors": 0})
    run.Reload()
    found = {tag: [(e.step, e.value) for e in run.Scalars(tag)] for tag in run.Tags()["scalars"]}
    tensors = {tag: [(e.step, *e.tensor_proto.float_val) for e in run.Tensors(tag)] for tag in run.Tags()["tensors"]}
    found |= {tag: rows for tag, rows in tensors.items() if all(len(row) == 2 for row in rows)}
    return {tag: rows for tag, rows in found.items() if use or not tag.startswith("system/")}


@dataclass
class WandbLogged:
    """An offline W&B run, read from its log."""

    rows: list[dict]
    config: dict
    exit_code: int | None
    run: object
    summary: dict

    def series(self, name: str) -> list[tuple[int, float]]:
        return [(row["_step"], row[name]) for row in self.rows if name in row]


def finished_run(trial: Trial) -> WandbLogged:
    """The trial's W&B run, once it is finished: wandb's core writes that a moment after the program has gone on."""
    return trial.until(lambda: next((run for run in wandb_runs(trial) if run.exit_code is not None), None))


def wandb_runs(trial: Trial) -> list[WandbLogged]:
    """Every W&B run of a trial, in the order they were made."""
    paths = sorted(trial.dir.glob("wandb/offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_ctime_ns)
    return [_wandb_logged(path) for path in paths]


def _wandb_logged(path: Path) -> WandbLogged:
    found = WandbLogged(rows=[], config={}, exit_code=None, run=None, summary={})
    for record in WandbLog(path).read():
        kind = record.WhichOneof("record_type")
        if kind == "history":
            items = record.history.item
            found.rows.append({".".join(i.nested_key) or i.key: json.loads(i.value_json) for i in items})
        elif kind in {"run", "config"}:
            updates = record.run.config.update if kind == "run" else record.config.update
            found.config |= {u.key: json.loads(u.value_json) for u in updates if u.key}
            found.run = record.run if kind == "run" else found.run
        elif kind == "summary":
            found.summary |= {".".join(u.nested_key) or u.key: json.loads(u.value_json) for u in record.summary.update}
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
    return found


def single(values):
    """Values as event files keep them."""
    return [as_float32(value) for value in values]


def same(one, other) -> bool:
    """Equality of numbers for which NaN is one."""
    return [repr(float(value)) for value in one] == [repr(float(value)) for value in other]


def python(script: Path, *args: str, flags=(), cwd: Path, stdin=subprocess.DEVNULL):
    """Run a script as a shell would: the other side of every comparison. Returns (exit code, stdout with stderr in order)."""
    done = subprocess.run(
        [sys.executable, *flags, str(script), *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=stdin,
        text=True,
        cwd=cwd,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    return done.returncode, done.stdout
