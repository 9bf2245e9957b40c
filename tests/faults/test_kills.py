"""kill -9 at random moments of a running sweep, each part of it; afterwards everything is there, once."""

import os
import random
import time

import pytest

from tests.faults.real import WANDB_PROGRAM

pytestmark = pytest.mark.ray

SEED = int(os.environ.get("FAULTS_SEED", "20261124"))

WITHIN_S = 3.0
"""A kill comes at a random moment of this many seconds after the sweep has recovered from the one before."""

FATAL_WITHIN_S = 8.0
"""The same for parts whose death ends the command: from its very start, so that starting is hit too."""


RAY_GAVE_UP = (
    "Failed to register worker to Raylet",
    "Failed to get the system config from raylet",
    "Failed to get the system config from Raylet",
    "Exiting because the Raylet IPC connection failed",
    "Failed to connect to GCS within",
    "Failed to connect to GCS at address",
    "Failed to get cluster ID from GCS server",
)
"""Ray's own last words when its raylet or GCS dies in the instant in which this process joins it: it ends the process itself."""


def moments(part, n, within_s):
    """Yield random delays; each is printed, with what is needed to repeat it."""
    chance = random.Random(f"{SEED} {part}")
    for i in range(n):
        delay_s = chance.uniform(0, within_s)
        print(f"FAULTS_SEED={SEED} {part}: kill {i} after {delay_s:.3f} s")
        yield delay_s, chance


def kill_within(sweep, part, n):
    """Kill one process of a part n times while the command goes on."""
    for delay_s, chance in moments(part, n, WITHIN_S):
        time.sleep(delay_s)
        print("  killed", sweep.kill(part, chance))
        sweep.runs(at_least=2)  # so that no trial is hit as often as one may lose its worker


def kill_and_resume(sweep, part, n):
    """Kill a part that the command cannot do without, n times, and go on each time."""
    for delay_s, chance in moments(part, n, FATAL_WITHIN_S):
        sweep.start()
        time.sleep(delay_s)
        print("  killed", sweep.kill(part, chance))
        code, said = sweep.ended(), sweep.said()
        assert code == (-9 if part == "controller" else 3) or any(words in said for words in RAY_GAVE_UP), (code, said)
        assert "Traceback" not in said
        sweep.settled()


@pytest.mark.soak
@pytest.mark.parametrize("part", ["trial", "server", "worker", "core"])
def test_twenty_kills_of_a_part_that_is_replaced(real, part):
    """Trials, fork servers, workers and the W&B core are replaced; the command goes on and loses nothing."""
    how = {"core": {"program": WANDB_PROGRAM, "wandb": "auto"}, "trial": {"retries": 20}}
    sweep = real(**how.get(part, {}))
    sweep.start()
    sweep.runs()
    kill_within(sweep, part, 20)
    sweep.finish()


@pytest.mark.soak
@pytest.mark.parametrize("part", ["controller", "raylet", "gcs"])
def test_twenty_kills_of_a_part_that_ends_the_command(real, part):
    """The controller, the local raylet and GCS: `sweep resume` goes on from wherever it was, starting up included."""
    sweep = real()
    kill_and_resume(sweep, part, 20)
    sweep.finish()


def test_one_kill_of_each_part_that_is_replaced(real):
    """A sample of the long runs: a trial, the W&B core, the fork server and the worker of one sweep."""
    sweep = real(program=WANDB_PROGRAM, wandb="auto", retries=1)
    sweep.start()
    sweep.runs()
    for part in ("trial", "core", "server", "worker"):
        kill_within(sweep, part, 1)
    sweep.finish()
    assert not sweep.query("SELECT trial, error FROM attempts WHERE cause = 'failed'")


def test_one_kill_of_each_part_that_ends_the_command(real):
    """A sample of the long runs: the controller and the local raylet of one sweep, one after the other."""
    sweep = real()
    for part in ("controller", "raylet"):
        kill_and_resume(sweep, part, 1)
    sweep.finish()
