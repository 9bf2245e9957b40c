"""A sweep as JSON lines, for programs."""

import dataclasses
import json
import time
from typing import Any

from orchestrator.watch.outlet import Outlet
from orchestrator.watch.progress import (
    Progress,
    SweepEvent,
)


class JsonView:
    """One JSON object per event on standard output, named by its ``event`` key."""

    def __init__(self, out: Outlet) -> None:
        self._out = out

    def event(self, event: SweepEvent) -> None:
        """Print the event as one line."""
        body: dict[str, Any] = {"event": _snake(type(event).__name__), "time": time.time(), **dataclasses.asdict(event)}
        self._out.write(json.dumps(body, default=str) + "\n")

    def refresh(self, progress: Progress) -> None:
        """Events say it all."""

    def close(self) -> None:
        """Let everything out."""
        self._out.drain()


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
