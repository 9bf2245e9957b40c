"""The head's side of `sweep fetch`: the files of a sweep, as far as the other machine has not got them, as one stream.

The ledger comes first, as a copy of one moment: every end that it tells of is in the files that follow. Of a file that the other
side has the beginning of, by its SHA-256, only the rest is sent; so what was interrupted goes on, and what grew is appended.

A record is a line of JSON. `file` (path, size, offset, mtime, mode) is followed by `data` (n, then n bytes) and `end` (the
SHA-256 of the whole); `same` and `link` stand alone; `sweep` (its directory's name and mode) is the first, `done` the last.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator import confined, layout
from orchestrator.errors import SweepError
from orchestrator.layout import SweepDir
from orchestrator.ledger.copies import copy_ledger, paths
from orchestrator.ledger.paths import find_sweep
from orchestrator.ledger.reader import LedgerReader
from orchestrator.reporting.page.render import write_report
from orchestrator.reporting.results import read_results

BLOCK = 256 << 10

MOST_WANTED = 256 << 20
"""Bytes of what the other side says it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for.

    Attributes:
        sweep: Which one, as every command understands it.
        only_best: Of the trials the best alone; with several metrics all that no other beats.
        only_report: Nothing but report.html, made now.
        with_checkpoints: Whether checkpoints and artifacts come, too.
        have: Size and SHA-256 of what the other side has of each file, by path; for `name`.
        name: The directory's name that `have` is about; None for nothing.
    """

    sweep: str
    only_best: bool = False
    only_report: bool = False
    with_checkpoints: bool = True
    have: Mapping[str, tuple[int, str]]
    name: str | None = None


def wanted(file: BinaryIO) -> Wanted:
    """Return what the other side asks for.

    Raises:
        SweepError: Nothing that is known here.
    """
    try:
        data: dict[str, Any] = json.loads(file.read(MOST_WANTED))
        have = {str(path): (int(size), str(digest)) for path, (size, digest) in data.pop("have").items()}
        return Wanted(**data, have=have)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SweepError("this is for `sweep fetch` on another machine, of the same release") from None


def send(asked: Wanted, runs: Path, out: BinaryIO) -> None:
    """Write what is asked for, and is not there yet, to a stream.

    Raises:
        SweepError: There is no such sweep.
        OSError: The stream is closed.
    """
    sweep_dir = find_sweep(runs, asked.sweep)
    have = asked.have if asked.name == sweep_dir.path.name else {}
    _say(out, sweep=sweep_dir.path.name, mode=sweep_dir.path.stat().st_mode & 0o777)
    n_files, size = 0, 0
    if asked.only_report:
        size = _send_file(out, layout.REPORT, write_report(sweep_dir), sweep_dir.path, have)
        _say(out, done=1, bytes=size)
        return
    with tempfile.TemporaryDirectory(prefix="sweep-fetch-") as place:
        ledger = Path(place, layout.LEDGER)
        copy_ledger(sweep_dir.ledger_path, ledger)
        trials = best_trials(sweep_dir) if asked.only_best else None
        size += _send_file(out, layout.LEDGER, ledger, ledger.parent, have)
        for path in paths(sweep_dir.path, trials, with_heavy=asked.with_checkpoints):
            n_files += 1
            size += _send_entry(out, path, sweep_dir.path, have)
    _say(out, done=n_files + 1, bytes=size)
    out.flush()


def best_trials(sweep_dir: SweepDir) -> frozenset[str]:
    """Return what the best trials' directories are called.

    Raises:
        SweepError: No trial has a value of its metric yet.
    """
    with LedgerReader(sweep_dir.ledger_path) as reader:
        best = read_results(sweep_dir, reader).leaders(1)
    if not best:
        raise SweepError(f"no trial of sweep {sweep_dir.sweep_id} has a value of its metric yet: there is no best one")
    return frozenset(layout.trial_name(trial.number) for trial in best)


def _send_entry(out: BinaryIO, path: str, root: Path, have: Mapping[str, tuple[int, str]]) -> int:
    if (root / path).is_symlink():
        _say(out, link=path, to=str((root / path).readlink()))
        return 0
    return _send_file(out, path, root / path, root, have)


def _send_file(out: BinaryIO, path: str, source: Path, root: Path, have: Mapping[str, tuple[int, str]]) -> int:
    """Send what is missing of a file; return how many bytes that was. One that is gone by now is passed over."""
    try:
        file = confined.open_file(source, root)
    except OSError:
        return 0
    with file:
        found = os.fstat(file.fileno())
        digest, offset = _start(file, found.st_size, have.get(path))
        if offset is not None and offset == found.st_size and path in have:
            _say(out, same=path)
            return 0
        offset = offset or 0
        _say(
            out,
            file=path,
            size=found.st_size,
            offset=offset,
            mtime=found.st_mtime_ns,
            mode=found.st_mode & 0o777,
        )
        left = found.st_size - offset
        while left and (data := file.read(min(BLOCK, left))):
            digest.update(data)
            left -= len(data)
            _say(out, data=len(data))
            out.write(data)
        _say(out, end=None if left else digest.hexdigest())
        return found.st_size - offset - left


def _start(file: BinaryIO, size: int, has: tuple[int, str] | None) -> "tuple[hashlib._Hash, int | None]":
    """Where to begin: behind what the other side has, if that is how the file begins. The digest is of what lies before."""
    if has is None or has[0] > size:
        return hashlib.sha256(), None
    digest, left = hashlib.sha256(), has[0]
    while left and (data := file.read(min(BLOCK, left))):
        digest.update(data)
        left -= len(data)
    if not left and digest.hexdigest() == has[1]:
        return digest, has[0]
    file.seek(0)
    return hashlib.sha256(), None


def _say(out: BinaryIO, **record: Any) -> None:
    out.write(json.dumps(record).encode() + b"\n")
