"""``from orchestrator import wandb``: W&B's own module, whose `sweep` and `agent` run here.

A script that says ``wandb.sweep(...)`` and ``wandb.agent(...)`` needs no other change than this import.
"""

import importlib
from typing import Any

from orchestrator.api.sweeps import agent, sweep

__all__ = ["agent", "sweep"]


def __getattr__(name: str) -> Any:
    return getattr(importlib.import_module("wandb"), name)
