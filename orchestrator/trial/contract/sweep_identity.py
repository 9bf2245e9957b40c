"""A trial's sweep as W&B names it: told to the script always, recorded only where a server has it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

from orchestrator import layout
from orchestrator.trial.contract.launch import Launch


def sweep_id(launch: Launch) -> str:
    """Return the id that scripts find: the server's, else the sweep's own, which has the same form."""
    known = launch.wandb.sweep_id if launch.wandb is not None else None
    return known or launch.sweep_id


def run_id(launch: Launch) -> str:
    """Return the id of the trial's W&B run, also where none is recorded."""
    return launch.wandb.run_id if launch.wandb is not None else layout.run_id(launch.sweep_id, launch.trial)


class SweepIdentity:
    """Keeps a sweep id that no server knows out of what is recorded and sent.

    A server refuses a run of a sweep that it does not know. Without the id the recorded run goes up by itself (`wandb sync`), and
    `sweep sync` puts it into the sweep that it creates.
    """

    def __init__(self, launch: Launch) -> None:
        self._unknown = None if launch.wandb is not None and launch.wandb.sweep_id else launch.sweep_id

    def patches(self) -> dict[str, Callable[[ModuleType], object]]:
        """Return what to change in wandb: how a run describes itself to the core."""
        return {"wandb.sdk.interface.interface": self._patch}

    def _patch(self, module: ModuleType) -> None:
        original = module.InterfaceBase._make_run  # noqa: SLF001 - every record of a run is made here

        @functools.wraps(original)
        def make_run(*args: Any, **kwargs: Any) -> Any:
            record = original(*args, **kwargs)
            if self._unknown is not None and getattr(record, "sweep_id", None) == self._unknown:
                record.ClearField("sweep_id")
            return record

        module.InterfaceBase._make_run = make_run  # noqa: SLF001 - as above
