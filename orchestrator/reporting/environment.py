"""Where a sweep ran: commit, versions, machine; written into its directory when it starts."""

import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from orchestrator import confined
from orchestrator.layout import SweepDir
from orchestrator.spec.model import python_key
from orchestrator.trial.contract.flat import flat

PACKAGES = (
    "sweep-orchestrator",
    "ray",
    "wandb",
    "tensorboard",
    "optuna",
    "torch",
    "numpy",
    "scikit-learn",
    "jax",
    "lightning",
)
GIT_S = 5.0
"""A repository on a slow filesystem does not hold up a sweep for longer, in seconds."""

MOST_BYTES = 1 << 20
MOST_FILES = 50


def record(sweep_dir: SweepDir, cwd: str, pythons: Sequence[Mapping[str, Any]] = ()) -> None:
    """Write the environment of a sweep that starts now; once, so that resuming elsewhere does not rewrite it.

    `pythons` are what its trials run in, as data, and those of the latest start; `interpreter` and `packages` are the
    `sweep` command's own.
    """
    path = sweep_dir.environment_path
    before = recorded(sweep_dir) if confined.is_file(path, sweep_dir.path) else environment(cwd)
    after = {**before, "pythons": list(pythons)} if pythons else before
    if not confined.is_file(path, sweep_dir.path) or (before and after != before):
        confined.replace(path, json.dumps(after, indent=2) + "\n")


def recorded(sweep_dir: SweepDir) -> dict[str, Any]:
    """Return what `record` wrote; empty where nothing was written or it cannot be read."""
    return confined.read_object(sweep_dir.environment_path, sweep_dir.path, most=MOST_BYTES)


def environment(cwd: str) -> dict[str, Any]:
    """Return what is known of this machine, of the repository around `cwd`, and of the packages that matter here."""
    return {
        "time": time.time(),
        "host": socket.gethostname(),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "interpreter": sys.executable,
        "cwd": cwd,
        "git": _git_state(cwd),
        "packages": {name: version for name in PACKAGES if (version := _version(name)) is not None},
    }


def python_of(found: Mapping[str, Any], config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a recorded environment says of the Python of a trial with a config; empty where it says nothing."""
    values = dict(flat(config))
    return next((entry for entry in pythons_in(found) if _is_for(entry.get("for"), values)), {})


def pythons_in(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what a recorded environment says of the Pythons of trials."""
    entries = found.get("pythons")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _is_for(decides: Any, values: Mapping[str, Any]) -> bool:
    return decides is None or (
        isinstance(decides, dict) and all(python_key(values.get(n)) == v for n, v in decides.items())
    )


def interpreter_of(found: Mapping[str, Any], config: Mapping[str, Any]) -> str | None:
    """Return the path of a trial's interpreter: as it was recorded, or of an earlier version's sweep the command's own."""
    path = python_of(found, config).get("path", found.get("interpreter"))
    return path if isinstance(path, str) and path else None


def _git_state(cwd: str) -> dict[str, Any] | None:
    """The commit, and the files that differ from it; None outside of a repository."""
    sha = _git(cwd, "rev-parse", "HEAD")
    if sha is None:
        return None
    status = _git(cwd, "status", "--porcelain", "--untracked-files=no")
    changed = [line[3:] for line in (status or "").splitlines()]
    return {
        "sha": sha.strip(),
        "branch": (_git(cwd, "rev-parse", "--abbrev-ref", "HEAD") or "").strip(),
        "dirty": bool(changed) if status is not None else None,
        "changed": changed[:MOST_FILES],
    }


def _git(cwd: str, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],  # noqa: S607 - the user's own git
            cwd=Path(cwd),
            capture_output=True,
            text=True,
            timeout=GIT_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
