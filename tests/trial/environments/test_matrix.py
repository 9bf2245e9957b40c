"""Trials in environments of their own: Pythons, wandb and TensorBoard old and new, or none. Nothing of ours is there."""

import functools
import secrets
import types
from pathlib import Path

import pytest

from orchestrator.trial.contract.events import Cause
from orchestrator.trial.contract.launch import ProgramKind
from orchestrator.trial.formats.eventfile import ended_well
from orchestrator.trial.formats.wandb_log import WandbLog
from tests.trial.conftest import a_wandb_run, finished_run, scalars
from tests.trial.environments.pythons import made
from tests.trial_runs import tensorboard_run

SAMPLE = [("3.9", ("wandb==0.25.1", "tensorboard")), ("3.13", ())]
PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13")
WANDBS = ("0.18.7", "0.19.11", "0.21.4", "0.23.1", "0.25.1", "0.27.0", "0.29.0", "0.31.0")
WRITERS = (("tensorboardX",), ("tensorboard",), ())
"""Beside wandb, in turn: each Python and each wandb meets all of them."""

MATRIX = [
    *SAMPLE,
    *(
        pair
        for m, version in enumerate(WANDBS)
        for n, python in enumerate(PYTHONS)
        if (pair := (python, (f"wandb=={version}", *WRITERS[(m + n) % len(WRITERS)]))) not in SAMPLE
    ),
    *((python, ()) for python in PYTHONS if (python, ()) not in SAMPLE),
    *((python, ("tensorboardX",)) for python in PYTHONS),
    ("3.9", ("wandb==0.16.6",)),  # as far as they go
    ("3.10", ("wandb==0.17.9",)),
]
N_QUICK = 60

QUICK_WITH_WANDB = """
import wandb
run = wandb.init()
for i in range(5):
    wandb.log({"loss": 1 / (i + 1)})
run.finish()
"""

QUICK_WITH_NOTHING = """
import orchestrator
for i in range(5):
    orchestrator.report(loss=1 / (i + 1))
"""

WITH_WANDB = """
import os, sys, time
import wandb
run = wandb.init(config={"lr": 5, "other": 2, "opt": {"momentum": 0.9}})
run.config.update({"lr": 7}, allow_val_change=True)
print("config", run.config["lr"], run.config["other"], dict(run.config["opt"]))
for i in range(3):
    wandb.log({"loss": 1 / (i + 1), "nested": {"a": i}})
run.summary["best"] = 0.25
if sys.argv[1] == "hang":
    dict(run.summary)  # W&B's core answers: it has all before; a client of 0.20 to 0.22 sends later, and may be killed first
print("logged", flush=True)
if sys.argv[1] == "hang":
    time.sleep(1000)
if sys.argv[1] == "fail":
    raise ValueError("on purpose")
if sys.argv[1] != "open":
    run.finish()
"""

WITH_WRITER = """
import sys, time
from {module} import SummaryWriter
with SummaryWriter() as writer:
    for i in range(3):
        writer.add_scalar("loss", 1 / (i + 1), i)
    writer.add_scalars("both", {{"a": 1.0, "b": 2.0}}, 2)
print("logged")
"""

WITH_NOTHING = """
import sys, time
import orchestrator
for i in range(3):
    orchestrator.report({"loss": 1 / (i + 1)}, step=i)
print("logged", flush=True)
if sys.argv[1] == "hang":
    time.sleep(1000)
if sys.argv[1] == "fail":
    raise ValueError("on purpose")
"""


def named(environment):
    version, packages = environment
    return "-".join([version, *packages]).replace("==", "-")


def param(environment):
    return pytest.param(environment, id=named(environment), marks=[] if environment in SAMPLE else pytest.mark.soak)


@pytest.fixture(params=map(param, MATRIX))
def place(request, monkeypatch, bench):
    """A bench whose trials run in an environment, and what is in there."""
    version, packages = request.param
    python = made(version, packages)
    if isinstance(python, str):
        pytest.skip(python)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    names = [package.partition("=")[0] for package in packages]
    start, run = (functools.partial(call, python=str(python)) for call in (bench.start, bench.run))
    return types.SimpleNamespace(bench=bench, python=python, packages=names, all=packages, start=start, run=run)


def logs(trial):
    return sorted(trial.dir.glob("wandb/*run-*/run-*.wandb"))


def kinds(path):
    return [record.WhichOneof("record_type") for record in WandbLog(path).read()]


def test_a_trial_is_captured_whatever_its_environment_has(place):
    """Config, lock, rows, summary, exit codes, stop and kill; the TensorBoard run, HParams included; no warning."""
    has_wandb = "wandb" in place.packages
    script = place.bench.script(WITH_WANDB if has_wandb else WITH_NOTHING)
    config = {"lr": 0.1, "opt": {"name": "adam"}}
    expected = {"ok": (Cause.FINISHED, 0), "open": (Cause.FINISHED, 0), "fail": (Cause.FAILED, 1)}
    expected |= {"stop": (Cause.STOPPED, 143), "kill": (Cause.STOPPED, 137)}
    for mode, (cause, code) in expected.items():
        argument = "hang" if mode in {"stop", "kill"} else mode
        trial = place.start(script, argument, wandb=True, config=config)
        if argument == "hang":
            trial.printed("logged")
            trial.until(lambda trial=trial: len(trial.reports) >= 3)
            trial.stop(kill=mode == "kill")
        end = trial.ended()
        assert "sweep:" not in trial.log, trial.log
        assert (trial.started().cold_reason, end.cause) == (None, cause), trial.log
        assert trial.series("loss") == [1.0, 1 / 2, 1 / 3], mode
        curves = scalars(trial.dir)
        assert [step for step, _ in curves["loss"]] == [0, 1, 2], mode
        assert tensorboard_run(trial.dir).hparams == {"lr": 0.1, "opt.name": "adam"}, mode
        place.bench.until(lambda trial=trial: ended_well(trial.dir) is not None)  # written after the end
        assert ended_well(trial.dir) is (cause is not Cause.FAILED), mode
        if has_wandb:
            assert "config 0.1 2 {'momentum': 0.9, 'name': 'adam'}" in trial.log
        logged = finished_run(trial)  # written by the worker where there is no wandb
        assert logged.config["lr"] == 0.1, mode
        is_lossy = mode == "kill" and has_wandb and place.all[0] < "wandb==0.17"
        assert logged.exit_code == (0 if is_lossy else code), mode
        if not is_lossy:
            assert [row["loss"] for row in logged.rows] == [1.0, 1 / 2, 1 / 3], mode
            name, value = ("best", 0.25) if has_wandb else ("loss", 1 / 3)
            assert logged.summary.get(name) == value, mode


@pytest.mark.soak
def test_a_run_that_is_switched_off_is_captured_too(place):
    """`wandb: off`: the same config and reports, and nothing is recorded."""
    if "wandb" not in place.packages or "wandb==0.16.6" in place.all:
        pytest.skip("no wandb here, or one whose runs that are switched off are nothing to see")
    trial = place.run(place.bench.script(WITH_WANDB), "ok", config={"lr": 0.1, "opt": {"name": "adam"}})
    assert "config 0.1 2 {'momentum': 0.9, 'name': 'adam'}" in trial.log
    assert "sweep:" not in trial.log
    assert (trial.ended().cause, trial.series("loss"), logs(trial)) == (Cause.FINISHED, [1.0, 1 / 2, 1 / 3], [])


@pytest.mark.soak
def test_a_writer_is_captured_and_mirrored(place):
    """`SummaryWriter` of TensorBoard's format without W&B in the program: its W&B run has it, with a wandb and without."""
    if "tensorboardX" not in place.packages:
        pytest.skip("no SummaryWriter here")
    trial = place.run(place.bench.script(WITH_WRITER.format(module="tensorboardX")), wandb=True, config={"lr": 0.1})
    assert (trial.ended().cause, trial.series("loss")) == (Cause.FINISHED, pytest.approx([1.0, 1 / 2, 1 / 3]))
    assert "sweep:" not in trial.log
    assert [row["loss"] for row in finished_run(trial).rows if "loss" in row] == pytest.approx([1.0, 1 / 2, 1 / 3])


@pytest.mark.soak
def test_a_command_is_captured_from_inside(place):
    """A program that a shell starts there, cold: its reports come at once, with its own steps, and once."""
    has_wandb = "wandb" in place.packages
    script = place.bench.script(WITH_WANDB if has_wandb else WITH_NOTHING)
    trial = place.start(
        ("bash", "-c", f"{place.python} {script} open"),
        kind=ProgramKind.COMMAND,
        wandb=has_wandb or None,
        config={"lr": 0.1, "opt": {}},
    )
    trial.ended()
    assert (trial.ended().cause, trial.series("loss")) == (Cause.FINISHED, [1.0, 1 / 2, 1 / 3]), trial.log
    assert "sweep:" not in trial.log


@pytest.mark.soak
def test_quick_trials_two_at_once_lose_no_run(place):
    """On one core, or written by the worker: each W&B run has its rows and its end; no process is left at the end."""
    script = place.bench.script(QUICK_WITH_WANDB if "wandb" in place.packages else QUICK_WITH_NOTHING)
    sweep_id, waiting, running, done = secrets.token_hex(4), list(range(N_QUICK)), [], []
    while waiting or running:
        while waiting and len(running) < 2:
            running.append(place.start(script, wandb=a_wandb_run(waiting.pop()), sweep_id=sweep_id))
        running[0].ended()
        done.append(running.pop(0))
    place.bench.runner.close()
    lost = [
        trial.dir.name
        for trial in done
        if [(kinds(p).count("history"), kinds(p).count("exit")) for p in logs(trial)] != [(5, 1)]
    ]
    assert lost == []
    assert processes_of(sweep_id) == []


def processes_of(sweep_id: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"SWEEP_ID={sweep_id}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return [words for words in found if words]
