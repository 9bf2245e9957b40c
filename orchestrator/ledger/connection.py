"""How the ledger's database is opened: journal mode by filesystem, waiting for locks, errors with a remedy."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import LedgerError

NETWORK_FILESYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs"}
)
"""Where memory-mapped WAL files of several hosts do not agree: a rollback journal is used instead."""

BUSY_S = 30.0
"""How long a statement waits for another process's transaction, in seconds."""

REMEDIES = (
    ("disk is full", "free some space, then go on with `sweep resume`"),
    ("readonly", "make the directory writable, then go on with `sweep resume`"),
    ("unable to open", "check that the directory exists and may be written"),
    ("malformed", "restore the file from a backup; every trial's own record is in its reports.jsonl"),
    ("not a database", "restore the file from a backup; every trial's own record is in its reports.jsonl"),
    ("locked", "another process keeps the file locked; end it and try again"),
)


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a ledger's database in autocommit mode, with rows by name.

    Raises:
        LedgerError: It cannot be opened.
    """
    with explained(path):
        mode = "ro" if read_only else "rwc"
        uri = f"{path.resolve().as_uri()}?mode={mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        if not read_only:
            connection.execute(f"PRAGMA journal_mode = {journal_mode(path)}")
            connection.execute("PRAGMA synchronous = FULL")
        return connection


def journal_mode(path: Path) -> str:
    """Return ``WAL`` on local filesystems, ``DELETE`` on network ones."""
    return "DELETE" if filesystem(path) in NETWORK_FILESYSTEMS else "WAL"


def filesystem(path: Path) -> str:
    """Return the type of the filesystem that holds `path`, as the kernel names it; empty when it cannot be told."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    parts = [line.split() for line in lines]
    mounts = [(fields[4], fields[fields.index("-") + 1]) for fields in parts]
    target = path.resolve()
    holding = [(len(point), kind) for point, kind in mounts if target.is_relative_to(point)]
    return max(holding, default=(0, ""))[1]


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite raises inside into a `LedgerError` that names the file and says what to do."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        text = str(error)
        remedy = next((todo for sign, todo in REMEDIES if sign in text), None)
        raise LedgerError(f"{path}: {text}" + (f"\n  {remedy}" if remedy else "")) from error
