"""How much each parameter matters, found out by a process of its own: with many trials that takes seconds of Python.

`python -m orchestrator.cli.watching.weighing DIRECTORY OBJECTIVE PARENT` writes it as JSON to standard output.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import SweepError
from orchestrator.layout import SweepDir
from orchestrator.printable import clean

SHARE = 0.05
"""The largest share of the time that a process works."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """A parameter's share of the variance, where that lies with a probability of 90 %, and what is to be said beside it."""

    name: str
    share: float
    low: float
    high: float
    note: str


class Weighing:
    """Asks again where more trials have ended, and not too often. Nothing waits for it.

    Args:
        sweep_dir: Where the sweep lies.
        objective: For which objective, by its place in the spec.
    """

    def __init__(self, sweep_dir: SweepDir, objective: int) -> None:
        self._sweep_dir = sweep_dir
        self._objective = objective
        self._weights: list[Weight] | None = None
        self._error: str | None = None
        self._process: subprocess.Popen[str] | None = None
        self._n_ended = -1
        self._began_s = self._until_s = 0.0

    def weights(self, n_ended: int) -> list[Weight] | None:
        """Return what is known, and see to it that more will be where more trials have ended; None while nothing is known.

        Raises:
            SweepError: It cannot be found out.
        """
        now_s = time.monotonic()
        if self._process is not None and self._process.poll() is not None:
            process, self._process = self._process, None
            self._until_s = now_s + (now_s - self._began_s) / SHARE
            self._error = self._taken(process)
        if self._process is None and n_ended != self._n_ended and now_s >= self._until_s:
            self._process, self._n_ended, self._began_s = self._started(), n_ended, now_s
        if self._error is not None:
            raise SweepError(f"importance cannot be told: {self._error}")
        return self._weights

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _started(self) -> "subprocess.Popen[str]":
        words = ["-P", "-m", __name__, str(self._sweep_dir.path), str(self._objective), str(os.getpid())]
        quiet = subprocess.DEVNULL
        return subprocess.Popen(
            [sys.executable, *words], stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, text=True, encoding="utf-8"
        )

    def _taken(self, process: "subprocess.Popen[str]") -> str | None:
        """Take over what a process that has ended says; return why it says nothing."""
        said, _ = process.communicate()
        try:
            found: dict[str, Any] = json.loads(said)
        except ValueError:
            return f"it ended with exit code {process.returncode}"
        if "error" in found:
            return str(found["error"])
        self._weights = [Weight(**each) for each in found["weights"]]
        return None


def weigh(sweep_dir: SweepDir, objective: int) -> dict[str, object]:
    """Return the weights of a sweep's parameters as JSON can carry them, or the error."""
    from orchestrator.reporting.facts import read_facts
    from orchestrator.reporting.importance import importances

    try:
        found = importances(read_facts(sweep_dir), objective)
    except (OSError, SweepError) as error:
        return {"error": clean(str(error).splitlines()[0])}
    weights = [{"name": clean(i.name), "share": i.share, "low": i.low, "high": i.high, "note": i.note} for i in found]
    return {"weights": weights}


def main() -> None:
    """Weigh what the command line says, out of the way of whoever watches, and end with them."""
    from orchestrator.trial.processes import die_with_parent

    path, objective, parent = sys.argv[1:]
    die_with_parent(int(parent))
    os.nice(5)
    sys.stdout.write(json.dumps(weigh(SweepDir(Path(path)), int(objective))))


if __name__ == "__main__":
    main()
