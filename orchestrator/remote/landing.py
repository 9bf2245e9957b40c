"""The head's side of `sweep submit`: the project gets a place, then this process becomes the sweep's controller."""

import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import BinaryIO

from orchestrator import confined
from orchestrator.errors import ProgramError, SweepError
from orchestrator.layout import PRIOR
from orchestrator.ledger.paths import slug
from orchestrator.project import sent
from orchestrator.project.kept import PROJECTS
from orchestrator.project.snapshot import unpack
from orchestrator.remote.parcel import SAME, opened

JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"


def land(file: BinaryIO, runs: Path, version: str) -> list[str]:
    """Put a parcel's project into its place, go there, and return the words of `sweep` that run the sweep.

    Args:
        file: The parcel.
        runs: The runs directory.
        version: Of this package.

    Raises:
        SweepError: It cannot be done; says why.
    """
    parcel, archive = opened(file)
    if parcel.version != version:
        raise ProgramError(f"the parcel is of release {parcel.version}, and this is {version}: {SAME}")
    root = runs.absolute().parent / PROJECTS / f"{slug(parcel.project)}-{parcel.contents.fingerprint}"
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with root.with_name(f".{root.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            unpack(archive, parcel.contents, root)
            sent.record(root, list(parcel.entries), parcel.git)
        spec = _beside(root, parcel.spec_text, slug(parcel.spec_name))
        prior = ["--prior", str(_beside(root, parcel.prior, PRIOR))] if parcel.prior else []
        _go(root, parcel.cwd)
    except OSError as error:
        raise SweepError(f"the project has no place on the head: {error.filename or root}: {error.strerror}") from error
    _forget_working_dir()
    return ["run", str(spec), "--pin", "--runs-dir", str(runs.absolute()), *prior, *parcel.words]


def _beside(root: Path, text: str, name: str) -> Path:
    """Put a text beside the project, and return where it is."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    path = root.with_name(f"{root.name}.{digest}.{name}")
    confined.replace(path, text)
    return path


def _go(root: Path, cwd: str) -> None:
    place = _inside(root, cwd)
    place.mkdir(parents=True, exist_ok=True)
    os.chdir(place)


def _inside(root: Path, path: str) -> Path:
    found = (root / path).resolve()
    if not found.is_relative_to(root.resolve()):
        raise ProgramError(f"{path}: leads out of the project")
    return found


def _forget_working_dir() -> None:
    """Let workers not want the package that this job came with: they get the project from the sweep."""
    text = os.environ.get(JOB_CONFIG)
    if text is None:
        return
    try:
        config = json.loads(text)
        config["runtime_env"].pop("working_dir", None)
    except (ValueError, KeyError, TypeError, AttributeError):
        return  # another Ray's: workers take the package, which costs each a moment
    os.environ[JOB_CONFIG] = json.dumps(config)
