"""Commands of TensorBoard and W&B that take a directory: from PATH, or by their path in the environment that has them."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestrator.reporting.wording import command_line


def tensorboard_command(logdir: str, pythons: Sequence[str]) -> str:
    """Return the line that shows a directory, or what is to be installed for it; `pythons` are interpreters of trials."""
    found = _program("tensorboard", pythons)
    line = command_line([found or "tensorboard", "--logdir", logdir])
    return line if found else f"{line}  (install sweep-orchestrator[board], or tensorboard anywhere)"


def wandb_sync_command(run: str, pythons: Sequence[str]) -> str:
    """Return the line that sends a recorded run; `pythons` are interpreters of trials."""
    return command_line([_program("wandb", pythons) or "wandb", "sync", run])


def _program(name: str, pythons: Sequence[str]) -> str | None:
    """Return how a program is called in this terminal; None where it is nowhere.

    The environment of a tool (`uv tool install`, pipx) is not on PATH, nor is one that was not activated: then it is the
    program beside this command's interpreter, or beside one that trials ran in.
    """
    if shutil.which(name):
        return name
    beside = (str(Path(python).parent / name) for python in (sys.executable, *pythons) if Path(python).is_absolute())
    return next((path for path in beside if os.access(path, os.X_OK)), None)
