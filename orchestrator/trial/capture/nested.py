"""Refuses W&B's calls that start a sweep inside of a trial."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NoReturn

from orchestrator.errors import SweepError
from orchestrator.trial.capture.patching import Patch
from orchestrator.trial.contract.nested_sweep import CALLS, how_to


class NestedSweepError(SweepError):
    """A trial's program wants to start a sweep."""


def patches() -> dict[str, Patch]:
    """Return what to change in wandb inside of a trial."""
    return {
        "wandb": _patch,
        "wandb.wandb_agent": _patch,
        "wandb.sdk.wandb_sweep": _patch,
        "wandb.agents.pyagent": functools.partial(_patch, names=("pyagent",)),
    }


def _patch(module: ModuleType, names: Sequence[str] = CALLS) -> None:
    for name in names:
        if callable(vars(module).get(name)):
            setattr(module, name, _refusing(name, vars(module)[name]))


def _refusing(name: str, original: Callable[..., Any]) -> Callable[..., NoReturn]:
    @functools.wraps(original)
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise NestedSweepError(how_to(f"wandb.{name}"))

    return refuse
