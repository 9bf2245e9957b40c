import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator import confined
from orchestrator.errors import LedgerError
from orchestrator.ledger import connection
from orchestrator.ledger.connection import connect, filesystem, journal_mode
from orchestrator.ledger.store import Ledger

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


def test_a_sweep_that_may_only_be_read_can_be_looked_at():
    """A colleague's directory: WAL's own files cannot be made there, and are not needed."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        opened = connect(directory / "l.sqlite")
        opened.execute("CREATE TABLE t (x)")
        opened.execute("INSERT INTO t VALUES (41)")
        opened.close()
        directory.chmod(0o555)
        reader = os.fork()
        if reader == 0:  # another user where this one may do everything
            try:
                if os.geteuid() == 0:
                    os.setuid(65534)
                reading = connect(directory / "l.sqlite", read_only=True)
                os._exit(reading.execute("SELECT x FROM t").fetchone()[0])
            finally:
                os._exit(1)
        try:
            assert os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1]) == 41
        finally:
            directory.chmod(0o755)


MADE_BY_OTHERS = {
    "view": "ALTER TABLE trials RENAME TO hidden; CREATE VIEW trials AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1"
    " FROM n) SELECT x AS number FROM n",
    "trigger": "CREATE TRIGGER t AFTER INSERT ON requests BEGIN DELETE FROM trials; END",
    "table": "CREATE VIRTUAL TABLE v USING fts5(x)",
}


@pytest.mark.parametrize("what", MADE_BY_OTHERS)
@pytest.mark.parametrize("read_only", [True, False])
def test_a_ledger_that_runs_something_by_itself_is_refused(tmp_path, what, read_only):
    """Endless views, triggers and virtual tables: no reader and no controller of ours has made them."""
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    with closing(sqlite3.connect(path)) as other:
        other.executescript(MADE_BY_OTHERS[what])
    with pytest.raises(LedgerError, match=f"it has the {what} '[a-z]+', which no ledger has"):
        connect(path, read_only=read_only)


@pytest.mark.parametrize("beside", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("read_only", [True, False])
def test_a_database_that_is_no_file_is_refused(tmp_path, beside, read_only):
    """A pipe hangs whoever reads it, and a link beside the ledger would be written through."""
    path, victim = tmp_path / "sweep" / "ledger.sqlite", tmp_path / "victim"
    path.parent.mkdir()
    Ledger(path).close()
    victim.write_text("precious")
    odd = path.with_name(path.name + beside)
    odd.unlink(missing_ok=True)
    os.mkfifo(odd)
    with pytest.raises(LedgerError, match="is a named pipe, not a file"):
        connect(path, read_only=read_only)
    odd.unlink()
    odd.symlink_to(victim)
    with pytest.raises(LedgerError, match="leads out of"):
        connect(path, read_only=read_only)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("kind", ["wal", "shm", "journal"])
def test_a_ledger_opens_while_others_close_it(tmp_path, monkeypatch, kind, read_only):
    """The last to close it removes the files beside it, which may be while the next one looks at them."""
    path = tmp_path / "l.sqlite"
    Ledger(path).close()
    beside = path.with_name(f"{path.name}-{kind}")
    beside.touch()
    look = confined.check

    def look_too_late(at, inside):
        if at == beside:
            beside.unlink(missing_ok=True)
        look(at, inside)

    monkeypatch.setattr(confined, "check", look_too_late)
    connect(path, read_only=read_only).close()


def test_a_query_of_a_reader_ends(tmp_path, monkeypatch):
    """Whatever makes it long: the reader is told, and can ask something else."""
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    monkeypatch.setattr(connection, "QUERY_S", 0.2)
    reader = connect(path, read_only=True)
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    with pytest.raises(LedgerError, match="took longer than"), connection.explained(path):
        reader.execute(endless).fetchall()
    assert reader.execute("SELECT count(*) FROM trials").fetchone()[0] == 0
    reader.close()


def test_a_ledger_has_the_mode_that_any_new_file_has(tmp_path):
    """SQLite would not let a group write that the user's umask lets."""
    before = os.umask(0o002)
    try:
        Ledger(tmp_path / "ledger.sqlite").close()
    finally:
        os.umask(before)
    assert (tmp_path / "ledger.sqlite").stat().st_mode & 0o777 == 0o664
