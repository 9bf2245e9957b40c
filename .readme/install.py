"""Installs what a file lists; on a terminal, one line says how far that is: `make` would be silent for minutes.

python .readme/install.py constraints.txt
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PIP = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]


def progress(lines: Iterable[str], total: int) -> Iterator[str]:
    """Yield what is said of each line of pip's: which package it is at, how large what it fetches is."""
    n = 0
    for line in lines:
        if match := re.match(r"(?:Collecting|Requirement already satisfied:) ([^ ]+)", line):
            n += 1
            yield f"{n} of {total}  {match[1]}"
        elif match := re.match(r"\s*Downloading (?:.*/)?([^ ]+ \([^)]+\))", line):
            yield f"{n} of {total}  {match[1]}"
        elif line.startswith("Installing collected"):
            yield f"unpacking {total} packages"


def main(path: str) -> int:
    """Install, and return pip's exit code."""
    if not sys.stdout.isatty():
        return subprocess.run([*PIP, "--quiet", "--requirement", path], check=False).returncode
    total = sum("==" in line for line in Path(path).read_text(encoding="utf-8").splitlines())
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    words = [*PIP, "--progress-bar", "off", "--requirement", path]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environ) as pip:
        assert pip.stdout is not None
        for said in progress(pip.stdout, total):
            print(f"\r\x1b[K  {said:.70}", end="", flush=True)
        print("\r\x1b[K", end="", flush=True)
    return pip.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
