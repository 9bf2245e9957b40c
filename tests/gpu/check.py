"""One check in a process of its own: python -m tests.gpu.check NAME. What it measures is on disk as soon as it is known."""

import importlib
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.gpu.plan import named

PROGRAMS = Path(__file__).with_name("programs")
ROOT = Path(__file__).parents[2]
PATIENCE = float(os.environ.get("GPU_CHECK_PATIENCE", "1"))
"""How much slower than the machine that the limits are made for this one may be."""


@dataclass
class Check:
    """What a check is given, and what it has found so far."""

    device: str
    work: Path
    aim_s: float
    figures: dict[str, Any] = field(default_factory=dict)
    began_s: float = field(default_factory=time.monotonic)

    @property
    def is_dry(self) -> bool:
        """Whether this is tried on the CPU, and proves nothing."""
        return self.device == "cpu"

    @property
    def left_s(self) -> float:
        """Seconds until the time that it aims at."""
        return self.aim_s - (time.monotonic() - self.began_s)

    def found(self, **figures: Any) -> None:
        """Keep figures: whoever kills this process still reads them."""
        self.figures |= figures
        beside = self.work / "figures.part"
        beside.write_text(json.dumps(self.figures), encoding="utf-8")
        beside.replace(self.work / "figures.json")


def main() -> None:
    """Run the check that the first argument names."""
    planned = named(sys.argv[1])
    check = Check(os.environ["GPU_CHECK_DEVICE"], Path(os.environ["GPU_CHECK_WORK"]), planned.aim_s * PATIENCE)
    module, _, function = planned.function.partition(":")
    getattr(importlib.import_module(f"tests.gpu.checks.{module}"), function)(check)


if __name__ == "__main__":
    main()
