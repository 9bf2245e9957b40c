"""Real environments of other Pythons than the one that runs the tests."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")


def python(version: str) -> str:
    """A real interpreter of a version; without one the test is left out."""
    found = next((path for path in sorted(PYENV.glob(f"{version}.*/bin/python")) if path.exists()), None)
    return str(found) if found else pytest.skip(f"there is no Python {version} in {PYENV}")


def venv(path: Path, version: str) -> Path:
    """Make a bare environment of a version; return its interpreter."""
    subprocess.run([python(version), "-m", "venv", "--without-pip", path], check=True)
    return path / "bin" / "python"


def digest(folder: Path) -> str:
    """Return one text for all that is in a folder: names, kinds and contents."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        found.update(f"{path.relative_to(folder)}\0{path.lstat().st_mode}\0".encode())
        found.update(path.read_bytes() if path.is_file() and not path.is_symlink() else b"")
    return found.hexdigest()
