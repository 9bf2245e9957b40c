"""How the ledger's database is opened: journal mode by filesystem, waiting for locks, errors with a remedy."""

import math
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator import confined, layout
from orchestrator.errors import LedgerError
from orchestrator.ledger.damage import RowError, damaged, is_damage
from orchestrator.trial.contract.bounds import one_line

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

QUERY_S = 60.0
"""How long a query of a reader may take, in seconds; on a ledger of 10,000 trials it takes less than one."""

STEPS = 1_000_000
"""Steps of SQLite's machine between two looks at the clock: some hundredths of a second."""

LONGEST_VALUE = 128 << 20
"""Bytes of a value in a ledger: a row that claims more is not of our making."""

BUSY_S = 30.0
"""How long a statement waits for another process's transaction, in seconds."""

REMEDIES = (
    ("interrupted", f"the query took longer than {QUERY_S:.0f} s: the ledger is damaged, or made to be slow"),
    ("disk is full", "free some space, then go on with `sweep resume`"),
    ("No space left", "free some space, then go on with `sweep resume`"),
    ("readonly", "make the directory writable, then go on with `sweep resume`"),
    ("unable to open", "check that the directory exists and may be written"),
    ("locked", "another process keeps the file locked; end it and try again"),
)


def written(path: Path) -> tuple[tuple[int, int, int] | None, ...]:
    """Return what is another once a ledger may have been written: of its file and of SQLite's logs beside it.

    An empty log is none: whoever only reads leaves one behind.
    """
    return tuple(stamp(f"{path}{end}") for end in ("", *layout.LEDGER_LOGS))


def stamp(path: str | os.PathLike[str]) -> tuple[int, int, int] | None:
    """Return what is another once a file was written; None for one that is empty or not there."""
    try:
        found = os.stat(path)  # noqa: PTH116 - called for every file of every sweep
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found.st_size else None


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a ledger's database in autocommit mode, with rows by name.

    Raises:
        LedgerError: It cannot be opened.
    """
    with explained(path):
        _check_files(path, must_exist=read_only)
        if read_only:
            return _reading(path)
        connection = _open(path, "mode=rwc")
        _refuse_programs(connection, path)
        connection.execute(f"PRAGMA journal_mode = {journal_mode(path)}")
        connection.execute("PRAGMA synchronous = FULL")
        return connection


def _check_files(path: Path, *, must_exist: bool) -> None:
    """Make sure that the database and the files that SQLite keeps beside it are files; a new one gets the umask's mode.

    Raises:
        OSError: One is a pipe, a device or a link, which SQLite would follow.
    """
    for name in (path.name, *(f"{path.name}-{kind}" for kind in ("wal", "shm", "journal"))):
        beside = path.with_name(name)
        try:
            confined.check(beside, path.parent)
        except FileNotFoundError:  # at any moment: the last connection to a database removes what lies beside it
            if beside.is_symlink():
                raise
    if not must_exist and not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o666))


def _refuse_programs(connection: sqlite3.Connection, path: Path) -> None:
    """A ledger has tables and nothing that runs when they are read or written: one that does is not of our making.

    Raises:
        LedgerError: It has views, triggers or virtual tables.
    """
    query = "SELECT type, name FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE 'create virtual%'"
    odd = connection.execute(query).fetchone()
    if odd is not None:
        connection.close()
        raise LedgerError(
            f"{path}: it has the {odd['type']} {odd['name']!r:.80}, which no ledger has: somebody has made or changed it "
            "to run SQL of their own.\n  Do not use it, or ask who gave it to you."
        )


def _reading(path: Path) -> sqlite3.Connection:
    """Open for reading; where not even WAL's own files may be written, as a file that does not change."""
    connection = _open(path, "mode=ro", most_s=QUERY_S)
    try:
        _refuse_programs(connection, path)
    except sqlite3.OperationalError:
        connection.close()
        if not path.exists() or os.access(path.parent, os.W_OK):
            raise
        connection = _open(path, "immutable=1", most_s=QUERY_S)
        _refuse_programs(connection, path)
    return connection


class _Bounded(sqlite3.Connection):
    """A connection whose statements end by themselves after `most_s` seconds, if that is set."""

    most_s: float | None = None
    _until_s = math.inf

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """Run a statement; its time counts until the next one."""
        self._until_s = math.inf if self.most_s is None else time.monotonic() + self.most_s
        return super().execute(*arguments)

    def is_late(self) -> bool:
        """Whether the statement has had its time."""
        return time.monotonic() > self._until_s


def _open(path: Path, options: str, *, most_s: float | None = None) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?{options}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False, factory=_Bounded
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
    if most_s is not None:
        connection.most_s = most_s
        connection.set_progress_handler(connection.is_late, STEPS)
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
    target = Path(os.path.realpath(path))  # also of a link to itself
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
    except (sqlite3.Error, OSError, UnicodeError, OverflowError, RowError) as error:
        if is_damage(error):
            raise damaged(path, one_line(str(error), 200)) from error
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        remedy = next((todo for sign, todo in REMEDIES if sign in text), None)
        raise LedgerError(f"{path}: {text}" + (f"\n  {remedy}" if remedy else "")) from error
