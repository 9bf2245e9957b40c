"""The checkpoints of a Ray Tune program: the newest is kept, together with the counts that go on from it."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator import confined
from orchestrator.layout import TrialDir

_NAME = re.compile(r"checkpoint_(\d{6,})")
_PARTIAL = ".partial"

Counts = Mapping[str, float]
"""``training_iteration``, ``time_total_s``, ``timesteps_total``, ``episodes_total``: those that are known."""


@dataclass(frozen=True)
class Kept:
    """A checkpoint and the counts of the result that it belongs to."""

    path: Path
    counts: Counts


class Checkpoints:
    """What a trial has to go on from. Its attempts number their checkpoints in one row, so that the highest is the newest.

    Args:
        trial_dir: The trial's directory.
    """

    def __init__(self, trial_dir: TrialDir) -> None:
        self._dir = trial_dir.checkpoints_path
        self._counts_path = trial_dir.tune_counts_path
        self._lent: set[Path] = set()

    def latest(self) -> Kept | None:
        """Return the newest checkpoint, or None."""
        names = self._names()
        if not names:
            return None
        path = self._dir / names[-1]
        # Version 0.1 left no counts; it named a checkpoint after its iteration.
        counts = self._counts().get(path.name, {"training_iteration": _number(path.name)})
        return Kept(path=path, counts=counts)

    def lend(self) -> Path | None:
        """Return the newest checkpoint to a program, which may look into it later: it stays until `prune`."""
        found = self.latest()
        if found is None:
            return None
        self._lent.add(found.path)
        return found.path

    def begin(self) -> Path:
        """Return an empty directory to write the next checkpoint into."""
        partial = self._dir / f"{_PARTIAL}-{os.getpid()}"
        for left in self._dir.glob(f"{_PARTIAL}-*"):
            shutil.rmtree(left)  # of an attempt that was killed
        partial.mkdir(parents=True)
        return partial

    def publish(self, partial: Path, counts: Counts) -> None:
        """Make the directory that `begin` returned the newest checkpoint, and let go of the others.

        The counts are written first: a checkpoint without them would begin anew, counts without one are in nobody's way.
        """
        names = self._names()
        number = max(_number(names[-1]) + 1 if names else 0, int(counts.get("training_iteration", 0)))
        name = f"checkpoint_{number:06d}"
        self._write_counts(
            {known: self._counts()[known] for known in names if known in self._counts()} | {name: counts}
        )
        partial.rename(self._dir / name)
        self._drop(names)

    def prune(self) -> None:
        """Keep only the newest."""
        self._lent.clear()
        self._drop(self._names()[:-1])

    def _drop(self, names: list[str]) -> None:
        for name in names:
            if self._dir / name not in self._lent:
                shutil.rmtree(self._dir / name, ignore_errors=True)

    def _names(self) -> list[str]:
        entries = os.listdir(self._dir) if self._dir.is_dir() else []
        return sorted((name for name in entries if _NAME.fullmatch(name)), key=_number)

    def _counts(self) -> dict[str, Counts]:
        try:
            found: dict[str, Counts] = json.loads(self._counts_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found

    def _write_counts(self, counts: Mapping[str, Counts]) -> None:
        confined.replace(self._counts_path, json.dumps(counts))


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])
