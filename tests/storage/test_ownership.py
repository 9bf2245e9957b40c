"""One controller keeps a copy; who was succeeded, or comes from elsewhere, does not write over it."""

import shutil

import pytest

from orchestrator.errors import StorageError, SweepLockedError
from orchestrator.layout import SweepDir
from orchestrator.storage import ownership
from orchestrator.storage.ownership import OWNER, Ownership, TakenError, marks, owner_of, refuse_living, remember
from orchestrator.storage.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(f"file://{tmp_path}/copies/far-abcdefgh")


def test_the_next_controller_of_a_directory_takes_over(store, sweep_dir):
    """Also from one that was killed: the directory knows the mark."""
    first = Ownership(store, sweep_dir, 1)
    first.hold()
    first.hold()
    second = Ownership(store, sweep_dir, 2)
    second.hold()
    assert owner_of(store).pid == 2
    second.release()
    assert owner_of(store).is_over


def test_who_was_succeeded_elsewhere_says_so_and_stops(store, sweep_dir, tmp_path):
    """When its mark would be written anew, and when its own next controller begins."""
    now = [0.0]
    here = Ownership(store, sweep_dir, 1, lambda: now[0])
    here.hold()
    there = SweepDir(shutil.copytree(sweep_dir.path, tmp_path / "there" / "far-abcdefgh", symlinks=True))
    remember(there, store.url, {owner_of(store).mark: False})
    Ownership(store, there, 2).hold()
    here.hold()
    now[0] += ownership.BEAT_S
    with pytest.raises(TakenError, match="gone on with by pid 2 on"):
        here.hold()
    with pytest.raises(TakenError):
        Ownership(store, sweep_dir, 3).hold()


def test_a_directory_knows_its_copy_at_each_place(store, sweep_dir, tmp_path):
    """Also one that it had before another."""
    other = Store(f"file://{tmp_path}/others/far-abcdefgh")
    for each in (store, other, store):
        Ownership(each, sweep_dir, 1).hold()


@pytest.mark.parametrize("is_there", [True, False])
def test_whoever_dies_while_taking_over_knows_the_copy_again(store, sweep_dir, monkeypatch, is_there):
    """Whether its mark came there or not; nothing came there where it cannot be kept here."""
    Ownership(store, sweep_dir, 1).hold()
    before = owner_of(store)
    with monkeypatch.context() as full:
        full.setattr(ownership.confined, "replace", broken)
        with pytest.raises(OSError, match="no space"):
            Ownership(store, sweep_dir, 2).hold()
    assert owner_of(store) == before

    class Dying(Store):
        def write(self, path, blocks):
            if is_there:
                super().write(path, blocks)
            raise StorageError("away")

    dying = Dying(store.url)
    held = Ownership(dying, sweep_dir, 3)
    with pytest.raises(StorageError):
        held.hold()
    held.beat()
    dying.__class__ = Store
    held.hold()
    Ownership(store, sweep_dir, 4).hold()


def broken(*_):
    raise OSError("no space")


def test_a_keeper_lives_while_it_is_busy(store, sweep_dir):
    """Whatever the pass is at; it learns so, too, that it was succeeded, and does not write over that."""
    held = Ownership(store, sweep_dir, 1)
    held.beat()
    assert owner_of(store) is None
    held.hold()
    before = store.find(OWNER).mtime_ns
    held.beat()
    assert store.find(OWNER).mtime_ns > before
    Ownership(store, sweep_dir, 2).hold()
    held.beat()
    held.beat()
    assert owner_of(store).pid == 2
    with pytest.raises(TakenError, match="pid 2"):
        held.hold()


def test_a_copy_that_is_not_known_here_is_left_alone(store, sweep_dir):
    """Neither by a directory that was copied without its mark, nor where the mark there is none."""
    Ownership(store, sweep_dir, 1).hold()
    sweep_dir.storage_path.unlink()
    with pytest.raises(TakenError):
        Ownership(store, sweep_dir, 2).hold()
    store.write(OWNER, [b"what"])
    with pytest.raises(TakenError, match="unknown host"):
        Ownership(store, sweep_dir, 2).hold()
    sweep_dir.storage_path.write_text("[")
    assert marks(sweep_dir, store.url) == {}


def test_a_living_controller_is_not_succeeded(store, sweep_dir, monkeypatch):
    """Until it has ended, or been silent for a while by the store's clock."""
    refuse_living(store)
    held = Ownership(store, sweep_dir, 1)
    held.hold()
    with pytest.raises(SweepLockedError, match=r"is controlled by pid 1 on (?s:.*)silent for 60 s"):
        refuse_living(store)
    monkeypatch.setattr(ownership, "SILENT_S", 0.0)
    refuse_living(store)
    monkeypatch.undo()
    held.release()
    refuse_living(store)
