"""How trials of a program went when they were tried: kept by `sweep try`, and beside a sweep that begins."""

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator import confined
from orchestrator.layout import PACE, SweepDir, TrialDir
from orchestrator.spec.model import SweepSpec

MOST_TRIALS = 16
"""Trials, the latest, that are learnt from."""

MOST_LOOKED_AT = 200
"""Directories of tries, the latest, that are looked at."""

MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What tried trials took.

    Attributes:
        took_s: Seconds of each.
        n_rows: Rows that the longest of them reported; 0 where there were none.
        n_values: Of these, those that have the objective, which rules judge by.
        size: Bytes in the largest one's directory.
        checkpoint_size: Of these, bytes of checkpoints.
        tried: Unix time of the latest.
    """

    took_s: tuple[float, ...]
    n_rows: int = 0
    n_values: int = 0
    size: int = 0
    checkpoint_size: int = 0
    tried: float = 0.0


def sizes(places: Iterable[Path]) -> tuple[int, int]:
    """Return the bytes in the largest of some trials' directories, and those of its checkpoints."""
    return max(((_size(place), _size(TrialDir(place).checkpoints_path)) for place in places), default=(0, 0))


def keep(sweep_dir: SweepDir, spec: SweepSpec, cwd: str, pace: Pace) -> None:
    """Write a pace into a directory, of a try or of a sweep; a convenience: where that cannot be, there is none."""
    data = {
        **_subject(spec, cwd),
        "took_s": list(pace.took_s),
        "n_rows": pace.n_rows,
        "n_values": pace.n_values,
        "size": pace.size,
        "checkpoint_size": pace.checkpoint_size,
        "tried": pace.tried,
    }
    try:
        confined.replace(sweep_dir.pace_path, json.dumps(data, indent=1) + "\n")
    except OSError:
        return


def kept(sweep_dir: SweepDir) -> Pace | None:
    """Return the pace that lies in a directory; None where there is none that can be read."""
    found = _read(sweep_dir)
    return None if found is None else found[1]


def found(runs: Path, spec: SweepSpec, cwd: str) -> Pace | None:
    """Return how the latest trials of this program went that were tried from this directory; None where none were."""
    try:
        files = sorted(runs.glob(f"try-*/{PACE}"), key=lambda path: path.lstat().st_mtime, reverse=True)
    except OSError:
        return None
    read = [_read(SweepDir(path.parent)) for path in files[:MOST_LOOKED_AT]]
    paces = [each[1] for each in read if each is not None and each[0] == _subject(spec, cwd)]
    if not paces:
        return None
    return Pace(
        took_s=tuple(seconds for pace in paces for seconds in pace.took_s)[:MOST_TRIALS],
        n_rows=paces[0].n_rows,
        n_values=paces[0].n_values,
        size=paces[0].size,
        checkpoint_size=paces[0].checkpoint_size,
        tried=paces[0].tried,
    )


def _subject(spec: SweepSpec, cwd: str) -> dict[str, Any]:
    """What a pace is of."""
    return {
        "cwd": os.path.realpath(cwd),
        "program": spec.program,
        "command": None if spec.command is None else list(spec.command),
    }


def _read(directory: SweepDir) -> tuple[Mapping[str, Any], Pace] | None:
    try:
        data = confined.read_json(directory.pace_path, directory.path, most=MOST_BYTES)
        took_s = tuple(float(seconds) for seconds in data["took_s"])
        if not took_s or not all(math.isfinite(seconds) and seconds > 0 for seconds in took_s):
            return None
        amounts = {key: max(0, int(data[key])) for key in ("n_rows", "n_values", "size", "checkpoint_size")}
        subject = {key: data[key] for key in ("cwd", "program", "command")}
        return subject, Pace(took_s=took_s[:MOST_TRIALS], tried=float(data["tried"]), **amounts)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def _size(path: Path) -> int:
    """Bytes of the files below a directory; what goes away meanwhile is none."""
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(Path(directory, name)).st_size
            except OSError:
                continue
    return total
