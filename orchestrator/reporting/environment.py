"""Where a sweep ran: commit, versions, machine; written into its directory when it starts."""

import json
import os
import platform
import socket
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from orchestrator import confined
from orchestrator.layout import SweepDir

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


def record(sweep_dir: SweepDir, cwd: str) -> None:
    """Write the environment of a sweep that starts now; once, so that resuming elsewhere does not rewrite it."""
    path = sweep_dir.environment_path
    if not confined.is_file(path, sweep_dir.path):
        confined.replace(path, json.dumps(environment(cwd), indent=2) + "\n")


def recorded(sweep_dir: SweepDir) -> dict[str, Any]:
    """Return what `record` wrote; empty where nothing was written or it cannot be read."""
    try:
        data = confined.read_json(sweep_dir.environment_path, sweep_dir.path, most=MOST_BYTES)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


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
