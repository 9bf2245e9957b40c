"""Whether a sweep's directory was made here by this user, or came from elsewhere: then its code is not run unasked.

What tells is what nobody can know before a directory lies on this machine: the number that the filesystem gives to it.
"""

import contextlib
import json
import os
import pwd
import socket
from dataclasses import asdict, dataclass

from orchestrator import confined
from orchestrator.layout import SweepDir
from orchestrator.ledger.connection import filesystem
from orchestrator.ledger.reader import LedgerReader

AT_ONCE_S = 60.0
"""How far apart a sweep's first file and its ledger's first row may be: a copied file is younger."""

MOST_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a directory was made.

    Attributes:
        uid: Who made it.
        owner: Whose it was then; another's where a network filesystem knows users by other numbers.
        directory: Its inode; None where inodes are made up anew (FUSE).
        host: The machine, for people.
    """

    uid: int
    owner: int
    directory: int | None
    host: str


def record(sweep_dir: SweepDir) -> None:
    """Write that this directory is trusted by this user; a directory that cannot be written stays as it is."""
    with contextlib.suppress(OSError):
        confined.replace(sweep_dir.origin_path, json.dumps(asdict(_now(sweep_dir))) + "\n")


def doubt(sweep_dir: SweepDir) -> str | None:
    """Return why a directory may not be this user's own work, as the end of a sentence; None when nothing speaks for that.

    A directory that was renamed, or moved within its filesystem, stays what it was.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    now, then = _now(sweep_dir), confined.read_object(sweep_dir.origin_path, sweep_dir.path, most=MOST_BYTES)
    if not then:
        return _doubt_without_record(sweep_dir, now)
    if then.get("uid") != now.uid:
        return f"it was made by {_name(then.get('uid'))}"
    if then.get("owner") != now.owner:
        return f"it belongs to {_name(now.owner)}"
    if then.get("directory") != now.directory:
        return f"it is a copy of one that was made on {str(then.get('host'))[:100]}"
    return None


def _doubt_without_record(sweep_dir: SweepDir, now: Origin) -> str | None:
    """Judge a directory of an earlier release: its spec was written when its ledger was, and never again."""
    if now.owner != now.uid:
        return f"it belongs to {_name(now.owner)}"
    with LedgerReader(sweep_dir.ledger_path) as reader:
        created = reader.sweep().created
    try:
        written = sweep_dir.spec_path.lstat().st_ctime
    except OSError:
        return "nothing tells where it was made"
    return None if abs(written - created) < AT_ONCE_S else "it was copied, or changed since it was made"


def _now(sweep_dir: SweepDir) -> Origin:
    found = sweep_dir.path.stat()
    is_stable = not filesystem(sweep_dir.path).startswith("fuse")
    return Origin(
        uid=os.geteuid(),
        owner=found.st_uid,
        directory=found.st_ino if is_stable else None,
        host=socket.gethostname(),
    )


def _name(uid: object) -> str:
    """A user for people: by name where this machine knows one."""
    try:
        return f"the user {pwd.getpwuid(uid).pw_name}" if isinstance(uid, int) else "an unknown user"
    except (KeyError, OverflowError):
        return f"the user {uid}"
