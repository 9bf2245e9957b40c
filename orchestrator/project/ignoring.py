"""Which paths the patterns of a `.sweepignore` name: gitignore's syntax. Pure.

A pattern without a slash names files and directories at any depth, one with a slash is relative to the project; a
trailing slash names directories alone, `!` takes back what an earlier pattern named, and what is named goes with all
that is in it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

NEVER = (
    ".env",
    ".env.*",
    "!.env.example",
    "!.env.sample",
    "!.env.template",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.ppk",
    "id_*",
    "!id_*.*",
    "credentials",
    "credentials.json",
    "credentials.y*ml",
    "*service-account*.json",
    "client_secret*.json",
    "secrets.y*ml",
    "secrets.json",
    "secrets.toml",
    "kubeconfig",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".htpasswd",
    ".vault-token",
    ".ssh/",
    ".aws/",
    ".azure/",
    ".gcloud/",
    ".gnupg/",
    ".kube/",
    ".docker/",
)
"""Secrets by their usual names. They never go along, whatever git or a `.sweepignore` says of them."""

USUALLY_NOT = (
    ".git/",
    ".hg/",
    ".svn/",
    "__pycache__/",
    "*.pyc",
    ".venv/",
    "venv/",
    "node_modules/",
    ".ipynb_checkpoints/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".tox/",
    ".nox/",
    ".eggs/",
    "*.egg-info/",
    ".DS_Store",
    "sweep-runs/",
    "wandb/",
    "mlruns/",
    "lightning_logs/",
)
"""What no program reads: caches, environments, results. Files that git tracks go along by these names, too."""


@dataclass(frozen=True, slots=True)
class Patterns:
    """Patterns in their order: the last that names a path decides."""

    lines: tuple[str, ...]

    def name(self, path: str, *, is_dir: bool) -> bool:
        """Return whether a path, relative and with slashes, is named itself; not whether a directory above it is."""
        decided = False
        for line in self.lines:
            pattern, negated, only_dirs = _compiled(line)
            if pattern is not None and (is_dir or not only_dirs) and pattern.fullmatch(path):
                decided = not negated
        return decided

    def name_any(self, path: str) -> bool:
        """Return whether a file is named, or a directory that it lies in."""
        above = path.rpartition("/")[0]
        return bool(above and _names_directory(self, above)) or self.name(path, is_dir=False)


@lru_cache(maxsize=4096)
def _names_directory(patterns: Patterns, path: str) -> bool:
    above = path.rpartition("/")[0]
    return bool(above and _names_directory(patterns, above)) or patterns.name(path, is_dir=True)


def patterns_of(text: str) -> Patterns:
    """Return the patterns of a `.sweepignore`."""
    return Patterns(tuple(line for line in text.splitlines() if line.strip() and not line.startswith("#")))


def together(*groups: Iterable[str]) -> Patterns:
    """Return patterns one after the other."""
    return Patterns(tuple(line for group in groups for line in group))


@lru_cache(maxsize=1024)
def _compiled(line: str) -> tuple[re.Pattern[str] | None, bool, bool]:
    """What a line names, whether it takes back, and whether it names directories alone."""
    text = re.sub(r"(?<!\\) +$", "", line)
    negated, text = text.startswith("!"), text.removeprefix("!")
    only_dirs, text = text.endswith("/"), text.rstrip("/")
    if not text:
        return None, negated, only_dirs
    is_anchored, text = "/" in text, text.removeprefix("/")
    try:
        return re.compile(("" if is_anchored else "(?:.*/)?") + _expression(text), re.DOTALL), negated, only_dirs
    except re.error:
        return None, negated, only_dirs


def _expression(text: str) -> str:
    """A pattern as a regular expression."""
    out, place = "", 0
    while place < len(text):
        if text.startswith("**/", place):
            out, place = out + "(?:.*/)?", place + 3
        elif text.startswith("/**", place) and place + 3 == len(text):
            out, place = out + "/.*", place + 3
        elif text[place] == "*":
            out, place = out + "[^/]*", place + 1
        elif text[place] == "?":
            out, place = out + "[^/]", place + 1
        elif text[place] == "[" and "]" in text[place + 2 :]:
            end = text.index("]", place + 2)
            inside = text[place + 1 : end].replace("\\", "\\\\")
            out, place = out + "[" + re.sub(r"^!", "^", inside) + "]", end + 1
        elif text[place] == "\\" and place + 1 < len(text):
            out, place = out + re.escape(text[place + 1]), place + 2
        else:
            out, place = out + re.escape(text[place]), place + 1
    return out
