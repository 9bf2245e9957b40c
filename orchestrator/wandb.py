"""``from orchestrator import wandb``: W&B's own module, whose `sweep` and `agent` run here.

A script that says ``wandb.sweep(...)`` and ``wandb.agent(...)`` needs no other change than this import. `login` and `init` do not
fail where nobody is logged in, `Api` knows the sweeps of this machine, and every other name is W&B's.
"""

import importlib.util
from typing import Any

from orchestrator.api.driver import controller, init, library, login

__all__ = ["Api", "agent", "controller", "init", "login", "sweep"]  # noqa: F822 - some come when they are used


def __getattr__(name: str) -> Any:
    if name == "Api":  # imports pandas' world, which a trial need not
        if vars(importlib.import_module("orchestrator"))["_tool"] is not None:
            raise AttributeError(
                "wandb.Api of sweeps that are kept here is for the Python of `sweep`; in this one orchestrator.load(sweep_id) "
                "has their results, and `import wandb` has W&B's own Api"
            )
        return importlib.import_module("orchestrator.api.wandb_api").Api
    if name in {"agent", "sweep"}:  # a trial in another Python has only what trials need
        return getattr(importlib.import_module("orchestrator"), name)
    if name.startswith("_") and importlib.util.find_spec("wandb") is None:
        raise AttributeError(name)  # who looks at this module asks for names that may not be there
    return getattr(library(), name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(dir(library()) if importlib.util.find_spec("wandb") else ())})
