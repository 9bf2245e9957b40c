"""The W&B environment of a trial: what `wandb.init()` finds, so that a script needs no change."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, MutableMapping
from types import ModuleType
from typing import Any

from orchestrator.trial.capture.patching import Patches
from orchestrator.trial.contract import sweep_identity
from orchestrator.trial.contract.launch import Launch

FLUSH_S = 0.05
"""How often the client's log reaches the disk: what a killed trial loses at most."""

INIT_TIMEOUT_S = 20
FINISH_TIMEOUT_S = 60
"""How long the client's own online mode may keep a trial waiting for a server."""

REMOVED = ("WANDB_SERVICE", "WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_RESUME", "WANDB_NAME")
"""What a trial must not inherit: it belongs to another run."""


def variables(launch: Launch, *, service: str | None, own: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make `wandb.init()` the trial's run: those that `wandb agent` sets, and how it is recorded.

    A sweep that no server knows has its own id there: scripts ask for WANDB_SWEEP_ID to know that a sweep runs them.

    Args:
        launch: The attempt.
        service: Token of the wandb core that serves it; None lets the client start its own.
        own: The user's environment, whose timeouts of the online mode hold, and whose wish to hear the offline mode's hints
            (they tell how to upload the run, which is not the script's to do here).
    """
    found = {
        "WANDB_DIR": launch.trial_dir,
        "WANDB_SWEEP_ID": sweep_identity.sweep_id(launch),
        "WANDB_SWEEP_PARAM_PATH": str(launch.dir.config_path),
        "WANDB_RUN_ID": sweep_identity.run_id(launch),
    }
    if launch.wandb is None:
        return found | {"WANDB_MODE": "disabled"}
    run = launch.wandb
    found |= {
        "WANDB_MODE": run.mode,
        "WANDB_DATA_DIR": str(launch.dir.wandb_path / "data"),
        "WANDB_PROJECT": run.project,
        "WANDB_NAME": run.name,
        "WANDB_RUN_GROUP": run.group,
        "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL": str(FLUSH_S),
        "WANDB_X_SAVE_REQUIREMENTS": "false",
        "WANDB_ERROR_REPORTING": "false",
    }
    if run.entity:
        found["WANDB_ENTITY"] = run.entity
    if run.tags:
        found["WANDB_TAGS"] = ",".join(run.tags)
    if run.mode == "online":
        patience = {"WANDB_INIT_TIMEOUT": str(INIT_TIMEOUT_S), "WANDB_FINISH_TIMEOUT": str(FINISH_TIMEOUT_S)}
        found |= {name: own.get(name, seconds) for name, seconds in patience.items()}
        found |= {"WANDB_FINISH_TIMEOUT_RAISES": "true", "WANDB_RESUME": "allow"}
    else:
        found["WANDB_SHOW_INFO"] = own.get("WANDB_SHOW_INFO", "false")
    if service is not None:
        found["WANDB_SERVICE"] = service
    return found


OF_THE_RUN = {*REMOVED, "WANDB_RUN_GROUP", "WANDB_TAGS"}
"""What a process that dropped its W&B variables does not get back: it wants a run of its own."""


def keep(launch: Launch) -> None:
    """Let a process of a trial that drops its W&B variables (cross-validation does, for a run per fold) stay where the trial is.

    W&B's client reads them anew in such a process, before it logs in or opens a run: a trial that is offline is not to go
    online or to ask for a login there.
    """

    def patch(module: ModuleType) -> None:
        setup = getattr(module, "_WandbSetup", None)
        load = getattr(setup, "_load_settings", None)  # whatever a program calls first comes by here
        if setup is None or load is None:
            return

        @functools.wraps(load)
        def load_settings(*args: Any, **kwargs: Any) -> Any:
            put_back(launch, os.environ)
            return load(*args, **kwargs)

        setup._load_settings = load_settings  # noqa: SLF001 - as above

    Patches({"wandb.sdk.wandb_setup": patch}).install()


def put_back(launch: Launch, environ: MutableMapping[str, str]) -> None:
    """Say again how and where W&B's runs of a trial are recorded, in an environment that does not say so any more."""
    if "WANDB_MODE" in environ:
        return
    for name, value in variables(launch, service=None, own=environ).items():
        if name not in OF_THE_RUN:
            environ.setdefault(name, value)
