import os
from pathlib import Path

import pytest

from orchestrator.errors import LedgerError
from orchestrator.ledger import connection
from orchestrator.ledger.connection import connect, filesystem, journal_mode

MOUNTS = """\
21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
22 21 0:40 / /home rw shared:2 - nfs4 server:/home rw
23 22 0:41 / /home/fast rw - xfs /dev/sdb rw
24 21 0:42 / /mnt/two\\040words rw - lustre mgs:/scratch rw
25 21 0:43 / /mnt/cloud rw - fuse.sshfs me@host:/ rw
26 21 0:44 / /over rw - nfs server:/x rw
27 26 0:45 / /over rw - tmpfs tmpfs rw
"""


@pytest.fixture
def mounts(monkeypatch):
    """The kernel's table of mounts, as on a cluster."""
    original = Path.read_text

    def read_text(self, *args, **options):
        return MOUNTS if str(self) == "/proc/self/mountinfo" else original(self, *args, **options)

    monkeypatch.setattr(Path, "read_text", read_text)


@pytest.mark.parametrize(
    ("path", "kind", "mode"),
    [
        ("/data/runs", "ext4", "WAL"),
        ("/home/me/runs", "nfs4", "DELETE"),
        ("/home/fast/runs", "xfs", "WAL"),
        ("/homeless/runs", "ext4", "WAL"),
        ("/mnt/two words/runs", "lustre", "DELETE"),
        ("/mnt/cloud/runs", "fuse.sshfs", "DELETE"),
        ("/over/runs", "tmpfs", "WAL"),
    ],
)
def test_the_journal_follows_the_filesystem(mounts, path, kind, mode):
    """WAL where memory can be shared, a rollback journal where several hosts may look."""
    assert (filesystem(Path(path)), journal_mode(Path(path))) == (kind, mode)


def test_this_machines_own_table_is_understood(tmp_path):
    """The real file, whatever is mounted here."""
    assert filesystem(tmp_path)


def test_decisions_are_on_the_disk_when_they_are_committed(tmp_path):
    """synchronous=FULL: a power cut does not take back a commit."""
    opened = connect(tmp_path / "l.sqlite")
    assert opened.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert opened.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    opened.close()


def test_a_ledger_on_a_network_filesystem_has_a_rollback_journal(tmp_path, monkeypatch):
    """It works, and leaves no WAL files."""
    monkeypatch.setattr(connection, "is_on_network", lambda _: True)
    opened = connect(tmp_path / "l.sqlite")
    opened.execute("CREATE TABLE t (x)")
    opened.execute("INSERT INTO t VALUES (1)")
    assert opened.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
    reading = connect(tmp_path / "l.sqlite", read_only=True)
    assert reading.execute("SELECT x FROM t").fetchone()[0] == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["l.sqlite"]
    opened.close()
    reading.close()


def test_a_reader_cannot_write(tmp_path):
    """And never makes a file."""
    with pytest.raises(LedgerError, match="unable to open"):
        connect(tmp_path / "missing.sqlite", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_that_may_only_be_read_can_be_looked_at(ram_path):
    """A colleague's directory: WAL's own files cannot be made there, and are not needed."""
    opened = connect(ram_path / "l.sqlite")
    opened.execute("CREATE TABLE t (x)")
    opened.execute("INSERT INTO t VALUES (41)")
    opened.close()
    ram_path.chmod(0o555)
    reader = os.fork()
    if reader == 0:  # another user where this one may do everything
        if os.geteuid() == 0:
            os.setuid(65534)
        reading = connect(ram_path / "l.sqlite", read_only=True)
        os._exit(reading.execute("SELECT x FROM t").fetchone()[0])
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1]) == 41
    finally:
        ram_path.chmod(0o755)
