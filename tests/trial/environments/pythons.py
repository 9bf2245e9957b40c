"""Environments as programs have them: Pythons of pyenv, with the packages that a test names. Made once, kept in a cache."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "sweep-orchestrator-tests")
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")


def python_of(version: str) -> Path | None:
    """A Python of pyenv by its minor version; None where there is none."""
    found = sorted(PYENV.glob(f"{version}.*/bin/python"))
    return found[-1] if found else None


def made(version: str, packages: tuple[str, ...]) -> Path | str:
    """Return the Python of an environment, or why there can be none."""
    base = python_of(version)
    if base is None:
        return f"there is no Python {version} in {PYENV}"
    place = CACHE / "-".join([version, *packages]).replace("==", "-")
    place.parent.mkdir(parents=True, exist_ok=True)
    python, mark = place / "bin" / "python", place / ".complete"
    with place.with_suffix(place.suffix + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mark.exists():
            return python
        subprocess.run([base, "-m", "venv", "--clear", place], check=True)
        if packages:
            pip = [python, "-m", "pip", "--disable-pip-version-check"]
            install = [*pip, "install", "--quiet", "--no-compile", *packages]
            done = subprocess.run(install, capture_output=True, text=True, check=False, env=_environment())
            if done.returncode:
                return f"pip cannot install {' '.join(packages)}: {done.stderr.strip().splitlines()[-1:]}"
        mark.touch()
    return python


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


if __name__ == "__main__":
    sys.stdout.write(f"{made(sys.argv[1], tuple(sys.argv[2:]))}\n")
