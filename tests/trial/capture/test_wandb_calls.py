"""The hooks on W&B's runs: what counts, what does not, how a run ends, and that no failure of ours reaches a program."""

import time

import pytest

from orchestrator.trial.capture.wandb_lines import _nulls
from orchestrator.trial.contract.events import Cause, Reported
from orchestrator.trial.contract.launch import ProgramKind
from tests.trial.conftest import WITHOUT_TORCH, scalars, wandb_runs

PRELOAD = ("torch", "torch.utils.tensorboard", "wandb")

BROKEN = """
import importlib, sys
module, _, name = sys.argv[1].rpartition(".")
def broken(*args, **kwargs):
    raise RuntimeError("broken")
setattr(importlib.import_module(f"orchestrator.trial.{module}"), name, broken)
import orchestrator, wandb
from torch.utils.tensorboard import SummaryWriter
with wandb.init(config={"a": 1}) as run:
    run.define_metric("loss", summary="min")
    for step in range(3):
        run.log({"loss": 3.0 - step, "deep": {"er": 1}}, step=step)
    run.summary["best"] = 1.0
    run.mark_preempting()
with SummaryWriter("runs/x") as writer:
    writer.add_scalar("acc", 0.5, 0)
    writer.add_scalars("group", {"a": 1.0}, 0)
orchestrator.report(own=1.0, step=3)
print("went on")
"""


@pytest.mark.parametrize(
    "internal",
    [
        *(f"capture.wandb_opening.{name}" for name in ("kind_of", "_asked", "_troubles", "_is_online")),
        *(f"capture.wandb_mirror.{name}" for name in ("next_step", "_with_step")),
        *(f"capture.wandb_lines.{name}" for name in ("flat_row", "_single", "WandbRows", "next_step", "_flag")),
        *(f"capture.hub.{name}" for name in ("valid_step", "step_after", "scalars", "trial_file")),
        *(f"capture.tensorboard_calls.{name}" for name in ("event_scalar", "scalar")),
        "capture.mirroring.as_float32",
        "contract.reports.json",
    ],
)
def test_a_failure_of_ours_never_reaches_a_program(shared, internal):
    """Each of our functions that runs inside a program's call fails in turn: the program and its W&B run are as without us."""
    trial = shared.run(shared.script(BROKEN), internal, wandb=True)
    assert trial.ended().exit_code == 0, trial.log
    assert "went on" in trial.log
    assert "Traceback" not in trial.log
    logged = wandb_runs(trial)[0]
    assert logged.series("loss") == [(0, 3.0), (1, 2.0), (2, 1.0)]
    assert (logged.summary["best"], logged.exit_code) == (1, 0)


HOSTILE = """
import wandb
class Value:
    def __float__(self): raise ValueError("no float")
    def __eq__(self, other): raise ValueError("no eq")
    def item(self): raise ValueError("no item")
    shape = ()
    __hash__ = None
run = wandb.init()
run.log({"odd": Value(), "loss": 1.0})
run.summary["odd"] = Value()
run.log({"loss": 0.5})
print("went on")
"""


def test_a_value_that_raises_is_no_metric(shared):
    """Its row's other values count, where W&B is switched off and takes it; else W&B raises itself, with us as without."""
    trial = shared.run(shared.script(HOSTILE), wandb=None)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert trial.log.endswith("went on\n")
    assert trial.series("loss") == [1.0, 0.5]


THREADS = """
import os, threading, wandb, orchestrator
from torch.utils.tensorboard import SummaryWriter
run, writer = wandb.init(), SummaryWriter("runs/x")
calls = [
    lambda i: run.log({"a": i}),
    lambda i: orchestrator.report(b=i),
    lambda i: writer.add_scalar("c", i, i),
    lambda i: run.summary.update({"d": i}),
]
threads = [threading.Thread(target=lambda c=call: [c(i) for i in range(100)], daemon=True) for call in calls]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(60)
if any(thread.is_alive() for thread in threads):
    os._exit(3)
"""


def test_threads_that_log_in_different_ways_do_not_wait_for_each_other(shared):
    """What one logs to W&B and what of another's is mirrored there need the same two places, in one order."""
    trial = shared.run(shared.script(THREADS), wandb=True)
    assert trial.ended().exit_code == 0, trial.log
    every = [float(i) for i in range(100)]
    assert [trial.series(name) for name in "abc"] == [every] * 3
    assert wandb_runs(trial)[0].summary["d"] == 99


def summary_of(trial):
    return dict([event for event in trial.events if isinstance(event, Reported)][-1].summary)


SUMMARY = """
import wandb
run = wandb.init()
run.define_metric("loss", summary="min")
for loss in (3.0, 1.0, 2.0):
    run.log({"loss": loss})
run.summary["best"] = 7
run.summary.update({"deep": {"er": 8}})
run.summary["word"] = "text"
"""


@pytest.mark.parametrize("wandb", [True, None])
def test_a_summary_is_reported_at_the_end(shared, wandb):
    """Set, updated, nested, and what define_metric keeps; with W&B switched off as well."""
    trial = shared.run(shared.script(SUMMARY), wandb=wandb, metric="deep.er")
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert summary_of(trial) == {"loss.min": 1.0, "best": 7.0, "deep.er": 8.0}
    assert trial.series("loss") == [3.0, 1.0, 2.0]


ENDS = """
import sys, wandb
run = wandb.init()
run.log({"loss": 1.0})
exec(sys.argv[1])
"""


@pytest.mark.parametrize("wandb", [True, None])
@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("wandb.finish(exit_code=1)", Cause.FAILED),
        ("run.finish(1)", Cause.FAILED),
        ("run.finish()", Cause.FINISHED),
        ("run.finish(exit_code=1); wandb.init().finish()", Cause.FINISHED),
        ("run.mark_preempting(); sys.exit(3)", Cause.PREEMPTED),
        ("run.mark_preempting(); import os; os.kill(os.getpid(), 9)", Cause.PREEMPTED),
        ("run.mark_preempting(); run.finish(exit_code=2)", Cause.PREEMPTED),
        ("run.mark_preempting()", Cause.FINISHED),
        ("sys.exit(3)", Cause.FAILED),
    ],
)
def test_a_run_ends_as_its_program_says(shared, wandb, text, cause):
    """The exit code of the run counts beside the process's; a trial that expects to be preempted runs again if it fails."""
    trial = shared.run(shared.script(ENDS), text, wandb=wandb)
    assert trial.ended().cause is cause, (trial.log, trial.ended())


ALERTS = """
import wandb
run = wandb.init()
run.log({"loss": 1.0})
run.alert("hot", "very", level="WARN", wait_duration=1)
wandb.alert(title="cold\\x1b[31m", text="a bit")
run.log({"loss": 0.5})
"""


@pytest.mark.parametrize("wandb", [True, None])
def test_alerts_are_passed_on_and_are_no_rows(shared, wandb):
    """With and without W&B; nothing of their text can drive a terminal."""
    trial = shared.run(shared.script(ALERTS), wandb=wandb)
    told = [event for event in trial.events if isinstance(event, Reported)]
    assert [alert for event in told for alert in event.alerts] == ["WARN: hot: very", "cold\\x1b[31m: a bit"], trial.log
    assert [report.metrics for event in told for report in event.reports] == [{"loss": 1.0}, {"loss": 0.5}]


OTHERS = """
import multiprocessing, os, wandb
def fold(number):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        del os.environ[name]
    with wandb.init(name=f"fold {number}") as run:
        run.log({"acc": 0.9})
def rank(number):
    with wandb.init(mode="disabled") as run:
        run.log({"acc": 0.8})
if __name__ == "__main__":
    for target in (rank, fold):
        process = multiprocessing.get_context("fork").Process(target=target, args=(1,))
        process.start()
        process.join()
    with wandb.init() as run:
        with wandb.init(reinit="create_new", id="beside") as other:
            other.log({"acc": 0.7})
        run.log({"acc": 0.5})
"""


@pytest.mark.parametrize("wandb", [True, None])
def test_only_the_trials_own_run_counts(shared, wandb):
    """Folds, other ranks and a run beside it: not reported, not mirrored, said once."""
    trial = shared.run(shared.script(OTHERS), wandb=wandb)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert trial.series("acc") == [0.5]
    assert [value for _, value in scalars(trial.dir)["acc"]] == [0.5]
    assert trial.log.count("do not count") == 2


COMMAND = (
    WITHOUT_TORCH
    + """
import wandb
from tensorboardX import SummaryWriter
run = wandb.init()
writer = SummaryWriter("runs/x")
for step in range(3):
    run.log({"loss": 3.0 - step})
    writer.add_scalar("acc", step / 4, step)
writer.close()
run.finish(exit_code=0)
"""
)


def test_a_command_that_uses_both_reports_nothing_of_ours(shared):
    """What capture mirrors into its run and its events is not read back from there."""
    script = shared.script(COMMAND)
    trial = shared.run(["python", str(script)], kind=ProgramKind.COMMAND, wandb=True)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert {name for report in trial.reports for name in report.metrics} == {"loss", "acc"}
    assert (trial.series("loss"), trial.series("acc")) == ([3.0, 2.0, 1.0], [0.0, 0.25, 0.5])


TAGS = """
from torch.utils.tensorboard import SummaryWriter
with SummaryWriter() as writer:
    for epoch in range(3):
        for batch in range(4):
            writer.add_scalar("loss", epoch + batch / 8, epoch)
            writer.add_scalar("acc", 1 - batch / 8, epoch)
"""


def test_of_a_summary_writer_the_last_value_of_a_step_counts(shared):
    """Every batch at its epoch's step: an epoch is a row, in W&B too."""
    trial = shared.run(shared.script(TAGS), wandb=True)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert (trial.series("loss"), trial.series("acc")) == ([0.375, 1.375, 2.375], [0.625] * 3)
    assert sum(not report.part for report in trial.reports) == 3
    assert wandb_runs(trial)[0].series("loss") == [(0, 0.375), (1, 1.375), (2, 2.375)]


OPEN = """
import os, time, wandb
run = wandb.init()
for step in range(3):
    for value in (9.0, step):
        run.log({"loss": value}, step=step)
print("up", flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("kill", [True, False])
def test_a_trial_that_is_ended_has_the_rows_of_its_record(shared, kill):
    """The open row counts when the attempt is over, not before; W&B's record has it too."""
    trial = shared.start(shared.script(OPEN), wandb=True)
    trial.printed("up")
    trial.until(lambda: len(trial.series("loss")) == 2)
    trial.stop(kill=kill)
    trial.ended()
    assert trial.series("loss") == [0.0, 1.0, 2.0]
    trial.until(lambda: wandb_runs(trial)[0].exit_code is not None)
    assert [value for _, value in wandb_runs(trial)[0].series("loss")] == trial.series("loss")


def test_a_row_is_looked_through_once_for_what_is_none():
    """However many names a call takes out of it: those of a mapping whose key has a number now, each time, may be thousands."""
    row = {"deep": 1.0, "own.x": None, "nested": {"x": None, "y": 2.0, "z": {"x": None}}}
    names = ["own.x", "nested.x", "nested.y", "nested.z.x", "nested.z", "deep.x", "none"]
    assert _nulls(row, names) == ["own.x", "nested.x", "nested.z.x"]
    row |= {f"metric/{n}": float(n) for n in range(2000)}
    few, many = [], []
    for _ in range(3):
        for taken, n in ((few, 1), (many, 1000)):
            began_s = time.process_time()
            _nulls(row, [f"deep.{i}" for i in range(n)])
            taken.append(time.process_time() - began_s)
    assert min(many) < 30 * min(few)
