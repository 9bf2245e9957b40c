"""Where sweeps lie on disk, and how one is made and found again."""

import contextlib
import difflib
import os
import re
import unicodedata
from pathlib import Path

from orchestrator.confined import is_file
from orchestrator.errors import LedgerError, UnknownSweepError
from orchestrator.layout import LEDGER, SweepDir

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
ID_LENGTH = 8
DEFAULT_RUNS_DIR = "sweep-runs"
FORMER_RUNS_DIR = "runs"
"""Where version 0.1 kept sweeps: the directory that `SummaryWriter()` writes into by itself, and that scripts clear."""

LONGEST_SLUG = 60

MOST_NAMED = 5
"""Sweeps that an error names which does not know the one that was meant."""


def runs_dir(given: Path | None) -> Path:
    """Return the runs directory: as given, else ``SWEEP_RUNS_DIR``, else ``sweep-runs`` in the working directory."""
    return given or Path(os.environ.get("SWEEP_RUNS_DIR") or DEFAULT_RUNS_DIR)


def new_sweep_id() -> str:
    """Return 8 random base-36 characters, as W&B's ids."""
    import secrets

    return "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))


def create_sweep_dir(runs: Path, name: str, sweep_id: str) -> SweepDir:
    """Make the directory of a new sweep. It stays inside `runs` whatever the name is.

    Raises:
        LedgerError: It cannot be made.
    """
    made = SweepDir(runs / f"{slug(name)}-{sweep_id}")
    try:
        made.trials_path.mkdir(parents=True)
    except OSError as error:
        why = f"no sweep can be kept in {runs}: {error.filename}: {error.strerror}"
        raise LedgerError(f"{why}.\n  Choose a directory that can be written, with --runs-dir.") from error
    return SweepDir(made.path.resolve())


def slug(name: str) -> str:
    """Return a name as any filesystem can carry it: ASCII letters, digits, ``.``, ``_`` and ``-``; never empty."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._")[:LONGEST_SLUG].rstrip("-._") or "sweep"


def leave_way_in(sweep: SweepDir) -> None:
    """Link a finished sweep in the usual place from where it lay in version 0.1: scripts and TensorBoards look there."""
    if sweep.path.parent != Path(DEFAULT_RUNS_DIR).resolve():
        return
    link = Path(FORMER_RUNS_DIR, sweep.path.name)
    with contextlib.suppress(OSError):  # a convenience, where it is possible
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(os.path.relpath(sweep.path, link.parent.resolve()), target_is_directory=True)


def all_sweeps(runs: Path) -> list[SweepDir]:
    """Return every sweep under a runs directory, the newest first; in the usual place also those of version 0.1."""
    places = (runs, Path(FORMER_RUNS_DIR)) if runs == Path(DEFAULT_RUNS_DIR) else (runs,)
    ledgers = [ledger for place in places if place.is_dir() for ledger in place.glob(f"*/{LEDGER}")]
    found = {SweepDir(ledger.parent.resolve()) for ledger in ledgers}
    return sorted(found, key=lambda sweep: (_born(sweep), sweep.path.name), reverse=True)


def is_sweep(directory: Path) -> bool:
    """Return whether a directory holds a sweep's ledger; no name is too long or too odd to ask."""
    return is_file(directory / LEDGER)


def find_sweep(runs: Path, name: str = "last") -> SweepDir:
    """Return the sweep that `name` means: ``last``, a directory or a file in it, an id, a name, or how one of these begins.

    Raises:
        UnknownSweepError: None does, or more than one.
    """
    path = Path(name)
    for directory in (path, path.parent) if "/" in name else (path,):
        if name != "last" and is_sweep(directory):
            return SweepDir(directory.resolve())
    sweeps = [sweep for sweep in all_sweeps(runs) if is_sweep(sweep.path)]
    if not sweeps:
        raise UnknownSweepError(
            f"there is no sweep in {runs.resolve()}.\n"
            "  Start one with `sweep run SPEC`, or say where they are with --runs-dir."
        )
    if name == "last":
        return sweeps[0]
    matching = (
        [s for s in sweeps if name in {s.sweep_id, s.path.name}]
        or [s for s in sweeps if s.name in {name, slug(name) if any(map(str.isalnum, name)) else name}]
        or [s for s in sweeps if s.sweep_id.startswith(name) or s.path.name.startswith(name)]
    )
    if len(matching) == 1:
        return matching[0]
    raise UnknownSweepError(_ambiguous(name, matching) if matching else _unknown(name, sweeps, runs))


def _born(sweep: SweepDir) -> float:
    for path in (sweep.spec_path, sweep.path):
        with contextlib.suppress(OSError):
            return path.lstat().st_mtime
    return 0.0


def _ambiguous(name: str, matching: list[SweepDir]) -> str:
    listed = "".join(f"\n  {sweep.sweep_id}  {sweep.path.name}" for sweep in matching[:10])
    more = f"\n  and {len(matching) - 10} more" if len(matching) > 10 else ""
    return f"{name!r} means {len(matching)} sweeps; give more of the id:{listed}{more}"


def _unknown(name: str, sweeps: list[SweepDir], runs: Path) -> str:
    names = list(dict.fromkeys(n for s in sweeps for n in (s.sweep_id, s.name, s.path.name)))
    begun = {n[: len(name)]: n for n in reversed(names)}  # what is misspelt may be how one begins
    near = [
        begun.get(n, n) for n in difflib.get_close_matches(name, list(dict.fromkeys([*names, *begun])), n=3, cutoff=0.5)
    ]
    hint = f"\n  Did you mean {', '.join(dict.fromkeys(near))}?" if near else ""
    there = ", ".join(f"{s.sweep_id} ({s.name})" for s in sweeps[:MOST_NAMED])
    more = f" and {len(sweeps) - MOST_NAMED} more; `sweep ls` lists them" if len(sweeps) > MOST_NAMED else ""
    return f"no sweep {name!r} in {runs.resolve()}.{hint}\n  There are {there}{more}."
