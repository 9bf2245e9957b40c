"""A trial's program that starts a sweep itself: which calls do, and what is said to who made one.

W&B's guides put `wandb.sweep` and `wandb.agent` at the end of the script that trains. Run as the program of a sweep, each of its
trials would start another sweep, on a server or without end.
"""

from __future__ import annotations

import os

from orchestrator.errors import SweepError

CALLS = ("sweep", "agent", "controller")
"""W&B's calls that start one."""


def how_to(name: str, program: str = "train.py") -> str:
    """Return what to say to who starts a sweep inside of a trial: what is wrong, and both ways to do it."""
    return (
        f"{name}() was called inside of a trial, which would start sweeps without end.\n"
        "  To run the sweep that the script defines: change its `import wandb` to `from orchestrator import wandb`, and run\n"
        f"  it by itself: `python {program}`. To run it as the program of this spec: put the calls under\n"
        '  `if __name__ == "__main__":` in another file, or leave them out where os.environ.get("WANDB_SWEEP_ID") is set.'
    )


def refuse_inside_a_trial(name: str) -> None:
    """Let nobody start a sweep inside of a trial.

    Raises:
        SweepError: This process is a trial's.
    """
    if "SWEEP_TRIAL_DIR" in os.environ:
        raise SweepError(how_to(name))
