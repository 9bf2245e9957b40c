"""A sweep's directory and its copy: the same files, the ledger last, nothing sent twice."""

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from orchestrator.errors import LedgerError, StorageError
from orchestrator.layout import SweepDir
from orchestrator.ledger.store import Ledger
from orchestrator.storage import contents, mirror
from orchestrator.storage.mirror import Mirror
from orchestrator.storage.ownership import OWNER, owner_of
from orchestrator.storage.store import CONTROL, Store


class Recording(Store):
    """A place that keeps in which order things were written to it."""

    def __init__(self, url):
        super().__init__(url)
        self.written = []
        self.fails_at = None

    def write(self, path, blocks):
        if path == self.fails_at:
            raise StorageError("full")
        super().write(path, blocks)
        self.written.append(path)

    def sent(self):
        """What was written since the last time, without what is about the copy."""
        found, self.written = [path for path in self.written if not path.startswith(CONTROL)], []
        return found


@pytest.fixture
def store(tmp_path):
    return Recording(f"file://{tmp_path}/copies/far-abcdefgh")


def mirrored(sweep_dir, store, **more):
    return Mirror(sweep_dir, store, pid=1, **more)


def of_sweep(store):
    return {path: b"".join(store.read(path)) for path in store.files() if not path.startswith(f"{CONTROL}/")}


def end_trial(sweep_dir):
    """Let the ledger know of trial 0, which has ended."""
    ledger = Ledger(sweep_dir.ledger_path)
    ledger.load(())
    ledger.add_trial({"x": 1})
    ledger.cancel(0, "enough")
    ledger.close()


def rest(sweep_dir):
    """Let every file look as if it had not been written to for a while."""
    for path in sweep_dir.path.rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - 100, time.time() - 100))


EXPECTED = {
    "sweep.yaml",
    "best.sh",
    "code/0123.tar.gz",
    "trials/0000/output.log",
    "trials/0000/checkpoints/weights",
} | {"trials/0001/empty"}


def test_the_copy_has_what_is_the_sweeps(sweep_dir, s3):
    """On a real server: every file byte for byte, the ledger as one that opens; what is this machine's stays."""
    store = Store(s3).below("far-abcdefgh")
    mirrored(sweep_dir, store).send(is_last=True)
    found = of_sweep(store)
    assert found.keys() == EXPECTED | {"ledger.sqlite"}
    assert all(found[path] == (sweep_dir.path / path).read_bytes() for path in EXPECTED)
    assert found["ledger.sqlite"].startswith(b"SQLite format 3")
    said = contents.read(store)
    assert said.links == {"trials/0000/latest": "checkpoints/weights"}
    assert said.files["best.sh"].mode & 0o100
    assert owner_of(store).is_over


def test_files_come_before_the_ledger_that_tells_of_them(sweep_dir, store):
    """Whatever moment the copy is taken at."""
    mirrored(sweep_dir, store).send(is_last=True)
    written = [path for path in store.written if path not in {"", f"{CONTROL}/owner.json"}]
    assert written[-2:] == ["ledger.sqlite", contents.LIST]
    assert set(written[:-2]) == EXPECTED


def test_only_what_changed_is_sent_and_what_is_gone_goes(sweep_dir, store):
    """Also by the next controller."""
    kept = mirrored(sweep_dir, store)
    kept.send(is_last=True)
    store.sent()
    kept.send(is_last=True)
    assert store.sent() == []
    (sweep_dir.path / "trials/0001/empty").write_text("no more")
    (sweep_dir.path / "trials/0000/checkpoints/weights").unlink()
    (sweep_dir.path / "trials/0000/latest").unlink()
    mirrored(sweep_dir, store).send(is_last=True)
    assert store.sent() == ["trials/0001/empty", "ledger.sqlite"]
    assert of_sweep(store).keys() == (EXPECTED | {"ledger.sqlite"}) - {"trials/0000/checkpoints/weights"}
    assert contents.read(store).links == {}


def test_what_is_still_written_waits(sweep_dir, store, monkeypatch):
    """Until it rests, or for long enough; what an ended trial left does not wait."""
    rest(sweep_dir)
    kept = mirrored(sweep_dir, store)
    log = sweep_dir.path / "trials/0000/output.log"
    log.write_text("new")
    kept.send(is_last=False)
    assert set(store.sent()) == EXPECTED - {"trials/0000/output.log"} | {"ledger.sqlite"}
    monkeypatch.setattr(mirror, "AGAIN_S", 0.0)
    kept.send(is_last=False)
    assert store.sent() == ["trials/0000/output.log"]
    monkeypatch.undo()
    log.write_text("newer")
    kept.send(is_last=False)
    assert store.sent() == []
    end_trial(sweep_dir)
    kept.send(is_last=False)
    assert store.sent() == ["trials/0000/output.log", "ledger.sqlite"]


@pytest.mark.parametrize("name", ["scandir", "lstat"])
def test_what_cannot_be_read_is_not_gone(sweep_dir, store, monkeypatch, name):
    """A network's disk that fails once takes nothing from the copy; the rest is sent."""
    kept = mirrored(sweep_dir, store)
    kept.send(is_last=True)
    (sweep_dir.path / "best.sh").write_text("other")
    place, asked = (os, os.scandir) if name == "scandir" else (Path, Path.lstat)

    def stale(path):
        if str(path).startswith(str(sweep_dir.trials_path)):
            raise OSError(errno.ESTALE, "stale", str(path))
        return asked(path)

    with monkeypatch.context() as broken:
        broken.setattr(place, name, stale)
        with pytest.raises(OSError, match="stale"):
            kept.send(is_last=True)
    assert of_sweep(store).keys() == EXPECTED | {"ledger.sqlite"}
    assert of_sweep(store)["best.sh"] == b"other"
    kept.send(is_last=True)
    assert of_sweep(store).keys() == EXPECTED | {"ledger.sqlite"}


def test_the_copy_is_held_while_a_file_is_sent(sweep_dir, store):
    """By another thread, while the store takes its time."""
    kept = mirrored(sweep_dir, store)

    class Slow(Recording):
        def write(self, path, blocks):
            super().write(path, blocks)
            if path == "trials/0001/empty":
                beats = threading.Thread(target=kept.beat)
                beats.start()
                beats.join(10)
                assert not beats.is_alive()

    store.__class__ = Slow
    kept.send(is_last=True)
    assert store.written.count(OWNER) == 3
    kept.beat()
    assert store.written.count(OWNER) == 3


def test_what_could_not_be_sent_is_sent_the_next_time(sweep_dir, store):
    """The ledger does not tell of it before."""
    left = []
    kept = mirrored(sweep_dir, store, tell=lambda n, size: left.append(n))
    store.fails_at = "trials/0001/empty"
    with pytest.raises(StorageError, match="full"):
        kept.send(is_last=True)
    assert "ledger.sqlite" not in store.sent()
    store.fails_at = None
    kept.send(is_last=True)
    assert set(store.sent()) >= {"trials/0001/empty", "ledger.sqlite"}
    assert of_sweep(store).keys() == EXPECTED | {"ledger.sqlite"}
    assert left[0] == len(EXPECTED)
    assert left[-1] == 0


def test_a_large_file_is_told_of_as_it_is_sent(sweep_dir, store, monkeypatch):
    """Block by block; small ones do not wait for it to be counted."""
    monkeypatch.setattr(mirror, "BLOCK", 1 << 20)
    told = []
    mirrored(sweep_dir, store, tell=lambda n, size: told.append((n, size))).send(is_last=True)
    sizes = [size for n, size in told if n]
    assert len(set(sizes)) > 9
    assert told[-1] == (0, 0)
    first = told.index((0, 0))
    assert sorted(told[: first + 1], reverse=True) == told[: first + 1]


def test_names_and_kinds_that_no_store_has_are_passed_over(sweep_dir, store):
    """A pipe, a name that is no text, a link out of the sweep: what is behind it is not read."""
    os.mkfifo(sweep_dir.path / "trials/0000/pipe")
    (sweep_dir.path / os.fsdecode(b"trials/0000/\xff")).write_text("x")
    (sweep_dir.path / "trials/0000/out").symlink_to("/etc/passwd")
    mirrored(sweep_dir, store).send(is_last=True)
    assert of_sweep(store).keys() == EXPECTED | {"ledger.sqlite"}


def test_a_users_file_may_be_called_anything(sweep_dir, store):
    """What is ours and only half there is not sent."""
    for name in ("model.half", "state.tmp", ".output.log.0a1b2c3d.tmp", ".0a1b2c3d.tmp"):
        (sweep_dir.path / "trials/0000" / name).write_text(name)
    mirrored(sweep_dir, store).send(is_last=True)
    assert of_sweep(store).keys() - EXPECTED == {"ledger.sqlite", "trials/0000/model.half", "trials/0000/state.tmp"}


def test_a_list_that_is_damaged_is_made_anew(sweep_dir, store):
    """Everything is sent again."""
    mirrored(sweep_dir, store).send(is_last=True)
    store.sent()
    store.write(contents.LIST, [b"\x1f\x8b"])
    mirrored(sweep_dir, store).send(is_last=True)
    assert set(store.sent()) == EXPECTED | {"ledger.sqlite"}


def test_a_sweep_that_is_gone_takes_nothing_with_it(sweep_dir, store, tmp_path):
    """Its copy stays."""
    kept = mirrored(sweep_dir, store)
    kept.send(is_last=True)
    sweep_dir.path.rename(tmp_path / "elsewhere")
    with pytest.raises((LedgerError, OSError)):
        kept.send(is_last=True)
    assert of_sweep(store).keys() == EXPECTED | {"ledger.sqlite"}
    assert SweepDir(tmp_path / "elsewhere").storage_path.exists()
