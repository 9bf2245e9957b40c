"""The command that shows a directory in TensorBoard: from PATH, or by its path in the environment that has it."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestrator.reporting.wording import command_line

NAME = "tensorboard"


def tensorboard_command(logdir: str, pythons: Sequence[str]) -> str:
    """Return a line that works in this terminal, or what is to be installed for it.

    The environment of a tool (`uv tool install`, pipx) is not on PATH, nor is one that was not activated: then it is the
    program beside this command's interpreter, or beside one that trials ran in.

    Args:
        logdir: What is to be shown.
        pythons: Interpreters of trials.
    """
    beside = (str(Path(python).parent / NAME) for python in (sys.executable, *pythons) if Path(python).is_absolute())
    found = NAME if shutil.which(NAME) else next((path for path in beside if os.access(path, os.X_OK)), None)
    line = command_line([found or NAME, "--logdir", logdir])
    return line if found else f"{line}  (install sweep-orchestrator[board], or tensorboard anywhere)"
