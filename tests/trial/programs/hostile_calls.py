"""Hands arbitrary values to every logging API: what the libraries raise is caught, what our code raises is printed."""

import sys
import traceback
from pathlib import Path

sys.path.insert(0, sys.argv[1])

import ray
import tensorboard
import torch
import wandb
from hypothesis import HealthCheck, Phase, example, given, settings
from ray import tune
from torch.utils.tensorboard import SummaryWriter

import orchestrator
from tests.json_values import Spiteful, anything

OURS = f"{Path(orchestrator.__file__).parent}/"
THEIRS = tuple(f"{Path(module.__file__).parent}/" for module in (wandb, torch, tensorboard, ray))


def is_ours(error):
    """Whether our code was the last to act when something was raised: our hooks stand below whatever a library raises."""
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    acting = [file for file in files if file.startswith((OURS, *THEIRS))]
    return bool(acting) and acting[-1].startswith(OURS)


run = wandb.init()
writer = SummaryWriter("board")
counts = {"calls": 0, "raised": 0}


def call(function, *args, **kwargs):
    counts["calls"] += 1
    try:
        function(*args, **kwargs)
    except Exception as error:
        counts["raised"] += 1
        if is_ours(error):
            print("OURS", function.__qualname__, "".join(traceback.format_exception(error)), flush=True)


@given(anything(), anything(), anything())
@example({"acc/caf\udce9.png": 0.5}, 2**63, "acc\udcff")
@example({"loss": Spiteful(), "x": {"y": Spiteful()}}, Spiteful(), Spiteful())
@example({"loss": 10**5000, "a": float("nan"), "b": float("inf"), "c": -(2**70)}, -1, "\0")
@settings(
    max_examples=int(sys.argv[2]), deadline=None, database=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def hand_over(row, step, name):
    call(run.log, row)
    call(run.log, row, step=step)
    call(wandb.log, {"loss": row, "deep": {"er": row}}, commit=step)
    call(run.summary.update, row)
    call(writer.add_scalar, name, row)
    call(writer.add_scalar, "loss", row, step)
    call(writer.add_scalars, name, row, step)
    call(tune.report, row)
    call(tune.report, {"loss": row, "deep": {"er": row}})


hand_over()
writer.close()
run.finish()
orchestrator.report({"the end": 0.5})
print("WENT ON", counts, flush=True)
