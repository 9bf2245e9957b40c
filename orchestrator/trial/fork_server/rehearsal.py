"""A W&B run that is thrown away: a child of the warm server opens and finishes it, to learn what wandb imports late."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from typing import NoReturn

LONGEST_S = 20
"""What does not end by itself ends then."""


def play(token: str, told: int) -> NoReturn:
    """Record a run on the core of a token; write the names of the modules that this imported to a descriptor. Never returns."""
    directory = tempfile.mkdtemp()
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (1, 2):
            os.dup2(null, stream)
        settings = {"MODE": "offline", "DIR": directory, "DATA_DIR": directory, "SILENT": "true", "CONSOLE": "off"}
        os.environ.update({f"WANDB_{name}": value for name, value in settings.items()})
        os.environ.update(WANDB_SERVICE=token, WANDB_ERROR_REPORTING="false", WANDB_X_SAVE_REQUIREMENTS="false")
        before = set(sys.modules)
        import wandb

        signal.alarm(LONGEST_S)
        run = wandb.init(project="rehearsal", id=f"rehearsal-{os.getpid()}")
        run.log({"rehearsal": 1.0})
        run.finish()
        os.write(told, " ".join(name for name in list(sys.modules) if name not in before).encode())
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os._exit(0)
