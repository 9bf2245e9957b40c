"""Any W&B sweep, unchanged, on your own GPUs and Ray cluster, with or without the W&B cloud."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.api.results import load
    from orchestrator.api.sweeps import agent, sweep
    from orchestrator.trial.program.api import checkpoint_dir, report

__all__ = ["agent", "checkpoint_dir", "load", "report", "sweep"]

_HOMES = {
    "sweep": "orchestrator.api.sweeps",
    "agent": "orchestrator.api.sweeps",
    "load": "orchestrator.api.results",
    "report": "orchestrator.trial.program.api",
    "checkpoint_dir": "orchestrator.trial.program.api",
}
"""Where each public name lives: imported when it is first used, so that `import orchestrator` costs a trial nothing."""


_tool: "str | None" = None
"""The Python of the `sweep` command, where this is another one that drives it: set by the client."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES[name]
    if home.startswith("orchestrator.api."):
        _refuse_in_another_python(name)
        home = home if _tool is None else "orchestrator.api.driving"
    return getattr(importlib.import_module(home), name)


def _refuse_in_another_python(name: str) -> None:
    """A trial that runs in another Python than the `sweep` command has only what trials need."""
    import os
    import sys

    tool = os.environ.get("SWEEP_TOOL_PYTHON")
    if tool is not None:
        raise ImportError(
            f"orchestrator.{name} is not for trials, and this Python ({sys.executable}) has only what trials need; "
            f"all of sweep-orchestrator is in {tool}"
        )


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
