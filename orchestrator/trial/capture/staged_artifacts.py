"""Artifacts that the trials of a sweep have logged offline: noted when all their files are there, and found by name."""

from __future__ import annotations

import glob
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.confined import replace
from orchestrator.layout import SweepDir
from orchestrator.trial.contract.bounds import as_object

LONGEST_NOTE = 1 << 20
"""Bytes of a note that are read; metadata that is longer is none of ours."""


@dataclass(frozen=True)
class Staged:
    """One version that a trial has logged.

    Attributes:
        path: Directory of its files.
        logged_s: When it was logged (Unix time).
    """

    path: Path
    logged_s: float
    type: str
    digest: str
    aliases: tuple[str, ...]
    description: str | None
    metadata: dict[str, Any]


def note(path: Path, artifact: Any, aliases: Sequence[str]) -> None:
    """Note beside the files of an artifact what it is: from now on other trials find it."""
    data = {
        "logged": time.time(),
        "type": artifact.type,
        "digest": artifact.digest,
        "aliases": list(aliases),
        "description": artifact.description,
        "metadata": artifact.metadata,
    }
    replace(path.with_name(f".{path.name}.json"), json.dumps(data, default=str))


def find(sweep: SweepDir, name: str, alias: str) -> Staged | None:
    """Return what ``name:alias`` means among all that the trials of a sweep have logged, or None.

    As on a server: versions are counted over all runs in the order in which they were logged, the same content is the same
    version, and an alias (`latest` is one) is that of the version that got it last.
    """
    versions: dict[str, Staged] = {}
    aliases: dict[str, Staged] = {}
    for staged in sorted(_all(sweep, name), key=lambda staged: staged.logged_s):
        version = versions.setdefault(staged.digest, staged)
        aliases |= dict.fromkeys(("latest", *staged.aliases), version)
    numbered = {f"v{number}": version for number, version in enumerate(versions.values())}
    return numbered.get(alias) or aliases.get(alias or "latest")


def _all(sweep: SweepDir, name: str) -> Iterator[Staged]:
    for trial in sweep.trials():
        for file in trial.artifacts_path.glob(f".{glob.escape(name)}:v*.json"):
            staged = _read(file)
            if staged is not None and staged.path.is_dir():
                yield staged


def _read(file: Path) -> Staged | None:
    """What a note says; None for one that is none."""
    try:
        with file.open("rb") as opened:
            data = as_object(opened.read(LONGEST_NOTE)) or {}
        return Staged(
            path=file.with_name(file.name[1:].removesuffix(".json")),
            logged_s=float(data["logged"]),
            type=str(data["type"]),
            digest=str(data["digest"]),
            aliases=tuple(map(str, data["aliases"])),
            description=data["description"],
            metadata=data["metadata"],
        )
    except (OSError, KeyError, TypeError, ValueError):
        return None
