"""What watching a small GPT's gradients costs on this device: blocks of steps without, with ours, and with run.watch.

Prints one line of JSON. Blocks alternate, so that whatever else the machine does meets all sides alike.
"""

import gc
import importlib
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
import wandb
from device import DEVICE, synchronize

from orchestrator.trial.formats.eventfile import EventFile
from orchestrator.trial.capture.gradients import GradientWatch
from orchestrator.trial.contract.reports import ReportWriter

sys.path.insert(0, os.environ["GPU_CHECK_TRAINABLES"])
from gpt_char import GPT, N_CHARACTERS

SECONDS = float(os.environ["GPU_CHECK_TRAINING_S"])
BLOCK_S = 0.25
torch.set_num_threads(1)
torch.manual_seed(0)
# On a GPU it is large enough that the GPU is what a step waits for, not Python, whose speed varies by more than is asked.
size = {"width": 1024, "layers": 4, "heads": 16, "context": 256} if DEVICE == "cuda" else {
    "width": 32, "layers": 1, "heads": 2, "context": 32
}
model = GPT(dropout=0.0, **size).to(DEVICE)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
codes = torch.randint(N_CHARACTERS, (64 if DEVICE == "cuda" else 16, size["context"] + 1), device=DEVICE)
run = wandb.init(project="gpu")
n_logged = 0


def step() -> None:
    with torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=DEVICE == "cuda"):
        logits = model(codes[:, :-1])
    loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), codes[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def block(n: int) -> float:
    """Seconds per step of n steps, the device's work included; logged once, as a program does."""
    synchronize()
    began = time.perf_counter()
    for _ in range(n):
        step()
    synchronize()
    took = (time.perf_counter() - began) / n
    run.log({"step_s": took})
    return took


directory = Path(tempfile.mkdtemp(dir=os.environ.get("GPU_CHECK_WORK")))
events, reports = EventFile(directory), ReportWriter(directory / "reports.jsonl", 0)
samples = []


def log(sample, n_steps):
    events.scalars(sample, n_steps)
    reports.write(sample, n_steps)
    samples.append(n_steps)


class Stopwatch:
    """Seconds of the blocks in which gradients are watched: the share that sampling may take is of these alone."""

    def __init__(self) -> None:
        self.before, self.since = 0.0, None

    def __call__(self) -> float:
        return self.before + (time.perf_counter() - self.since if self.since is not None else 0.0)

    def start(self) -> None:
        self.since = time.perf_counter()

    def stop(self) -> None:
        self.before, self.since = self(), None


clock = Stopwatch()
watch = GradientWatch(log, lambda action, *args: action(*args), clock)
before_step, inside, costs = watch._before_step, 0.0, []


def timed(*args):
    global inside
    began, so_far = time.perf_counter(), len(samples)
    before_step(*args)
    took = time.perf_counter() - began
    inside += took
    if len(samples) > so_far:
        costs.append(took)


def one_sample() -> float:
    """Seconds of one sample when the device has nothing else to do."""
    step()
    synchronize()
    began = time.perf_counter()
    log(watch._sample(optimizer), 0)
    return time.perf_counter() - began


watch._before_step = timed
optimizers = importlib.import_module("torch.optim.optimizer")


def gradients(n):
    handle = watch.watch(optimizers)
    clock.start()
    try:
        return block(n)
    finally:
        clock.stop()
        handle.remove()


def run_watch(n):
    run.watch(model)
    try:
        return block(n)
    finally:
        run.unwatch(model)


def n_synchronizing(n_steps: int) -> int | None:
    """How many operations of these steps made the CPU wait for the GPU, as torch itself counts them."""
    if DEVICE == "cpu":
        return None
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(n_steps):
                step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in caught)


gc.collect()
gc.freeze()
block(20)
n = max(3, int(BLOCK_S / block(20)))
sides = {"off": block, "gradients": gradients, "run.watch": run_watch}
blocks = {name: [] for name in sides}
until, turn, watched = time.monotonic() + SECONDS, 0, 0.0
while time.monotonic() < until or turn < 6:
    names = list(sides)
    for name in names[turn % 3 :] + names[: turn % 3]:
        blocks[name].append(sides[name](n))
    watched += blocks["gradients"][-1] * n
    turn += 1
inside_all, first_s = inside, costs[0] if costs else 0.0
unwatched_syncs = n_synchronizing(n)
before = len(samples)
handle = watch.watch(optimizers)
clock.start()
watched_syncs = n_synchronizing(n)
clock.stop()
handle.remove()
counted = len(samples) - before
found = {
    "blocks": blocks,
    "steps_per_block": n,
    "samples": len(samples),
    "inside_share": (inside_all - first_s) / watched,
    "first_sample_s": first_s,
    "sample_s": sorted(one_sample() for _ in range(11))[5],
    "syncs_unwatched": unwatched_syncs,
    "syncs_watched": watched_syncs,
    "samples_while_counting": counted,
}
run.finish()
print("found", json.dumps(found))
