"""How the ledger's database is opened: journal mode by filesystem, waiting for locks, errors with a remedy."""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import LedgerError

NETWORK_FILESYSTEMS = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "glusterfs",
        "afs",
        "orangefs",
        "pvfs2",
    }
    | {"panfs", "wekafs", "9p", "virtiofs", "vboxsf", "ocfs2", "gfs2", "fuse"}
)
"""Where memory-mapped WAL files of several hosts do not agree: a rollback journal is used instead. ``fuse`` is any FUSE."""

BUSY_S = 30.0
"""How long a statement waits for another process's transaction, in seconds."""

REMEDIES = (
    ("disk is full", "free some space, then go on with `sweep resume`"),
    ("No space left", "free some space, then go on with `sweep resume`"),
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
        if read_only:
            return _reading(path)
        connection = _open(path, "mode=rwc")
        connection.execute(f"PRAGMA journal_mode = {journal_mode(path)}")
        connection.execute("PRAGMA synchronous = FULL")
        return connection


def _reading(path: Path) -> sqlite3.Connection:
    """Open for reading; where not even WAL's own files may be written, as a file that does not change."""
    connection = _open(path, "mode=ro")
    try:
        connection.execute("SELECT 1 FROM sqlite_master")
    except sqlite3.OperationalError:
        connection.close()
        if not path.exists() or os.access(path.parent, os.W_OK):
            raise
        return _open(path, "immutable=1")
    return connection


def _open(path: Path, options: str) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?{options}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def journal_mode(path: Path) -> str:
    """Return ``WAL`` on local filesystems, ``DELETE`` on network ones."""
    return "DELETE" if is_on_network(path) else "WAL"


def is_on_network(path: Path) -> bool:
    """Return whether several hosts may use the filesystem that holds `path`."""
    return filesystem(path).partition(".")[0] in NETWORK_FILESYSTEMS


def filesystem(path: Path) -> str:
    """Return the type of the filesystem that holds `path`, as the kernel names it; empty when it cannot be told."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    target = path.resolve()
    # of two mounts on one point the later one hides the earlier
    holding = [
        (len(point), i, kind) for i, (point, kind) in enumerate(map(_mount, lines)) if target.is_relative_to(point)
    ]
    return max(holding, default=(0, 0, ""))[2]


def _mount(line: str) -> tuple[str, str]:
    """Where a line of mountinfo is mounted (spaces are octal there), and the type of what is mounted."""
    fields = line.split()
    point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
    return point, fields[fields.index("-") + 1]


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite raises inside into a `LedgerError` that names the file and says what to do."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        text = str(error)
        remedy = next((todo for sign, todo in REMEDIES if sign in text), None)
        raise LedgerError(f"{path}: {text}" + (f"\n  {remedy}" if remedy else "")) from error
