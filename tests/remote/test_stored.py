"""A sweep's copy in a store becomes files here, as from a head."""

import gzip
import json
import os

import pytest

from orchestrator.errors import StorageError, SweepError, UnknownSweepError
from orchestrator.layout import FETCHED, SweepDir
from orchestrator.ledger.reader import LedgerReader
from orchestrator.remote.fetching import Receiver, have
from orchestrator.remote.sending import Wanted
from orchestrator.remote.stored import place_at, send
from orchestrator.storage.mirror import Mirror
from orchestrator.storage.ownership import owner_of, remember
from orchestrator.storage.store import Store
from tests.storage.conftest import sweep_dir  # noqa: F401

NAME = "far-abcdefgh"


@pytest.fixture
def copies(sweep_dir, tmp_path):  # noqa: F811
    """Where the copy of a sweep lies."""
    url = f"file://{tmp_path}/copies"
    Mirror(sweep_dir, Store(url).below(NAME), pid=1).send(is_last=True)
    return url


def fetch(url, runs, sweep="last", **asked):
    """Fetch as the command does."""
    here = runs / NAME
    receiver = Receiver(runs)
    try:
        known = have(here) if here.exists() else {}
        send(Wanted(sweep=sweep, have=known, name=NAME, **asked), place_at(url, sweep), receiver.feed)
    finally:
        receiver.close()
    return receiver.fetched


def files(path):
    return {
        str(each.relative_to(path)): each.readlink() if each.is_symlink() else each.read_bytes()
        for each in path.rglob("*")
        if (each.is_symlink() or each.is_file()) and FETCHED not in each.parts and each.name != "controller.lock"
    }


def test_all_of_it_comes_once(copies, sweep_dir, tmp_path):  # noqa: F811
    """Byte for byte, with permissions, times and links; the second time nothing but the ledger."""
    fetched = fetch(copies, tmp_path / "runs")
    assert fetched.is_done
    there = files(sweep_dir.path)
    is_own = (".storage.json", ".pool-1234", "code/0123/t.py", "ledger.sqlite")
    there = {path: content for path, content in there.items() if not path.startswith(is_own)}
    found = files(fetched.place)
    ledger = found.pop("ledger.sqlite")
    assert found == there
    assert (fetched.place / "best.sh").stat().st_mode & 0o100
    log = "trials/0000/output.log"
    assert (fetched.place / log).stat().st_mtime_ns == (sweep_dir.path / log).stat().st_mtime_ns
    with LedgerReader(fetched.place / "ledger.sqlite") as reader:
        assert reader.sweep().sweep_id == "abcdefgh"
    again = fetch(f"{copies}/{NAME}", tmp_path / "runs")
    assert (again.n_new, again.n_same) == (1, len(there) - 1)
    assert (fetched.place / "ledger.sqlite").read_bytes() == ledger


def test_without_checkpoints(copies, tmp_path):
    """As from a head."""
    found = files(fetch(copies, tmp_path / "runs", with_checkpoints=False).place)
    assert "trials/0000/checkpoints/weights" not in found
    assert "trials/0000/output.log" in found
    with pytest.raises(SweepError, match="there is no best one"):
        fetch(copies, tmp_path / "others", only_best=True)


def test_what_was_sent_after_the_list_is_as_good_and_what_was_replaced_is_damaged(copies, tmp_path):
    """The list is older than a pass that did not come to its end."""
    store = Store(f"{copies}/{NAME}")
    store.write("trials/0001/empty", [b"more"])
    store.write("trials/0002/new", [b"new"])
    found = files(fetch(copies, tmp_path / "runs").place)
    assert (found["trials/0001/empty"], found["trials/0002/new"]) == (b"more", b"new")
    log = tmp_path / "copies" / NAME / "trials/0000/output.log"
    times = log.stat()
    log.write_bytes(b"LINE\n" * 1000)
    os.utime(log, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(StorageError, match=r"trials/0000/output.log is not what was sent there"):
        fetch(copies, tmp_path / "fresh")


def test_what_was_sent_after_the_list_is_listed_by_whoever_goes_on(copies, tmp_path):
    """Though it is as long as before: the copy is one that can be fetched again."""
    store = Store(f"{copies}/{NAME}")
    store.write("best.sh", [b"#!/bin/no\n"])
    there = SweepDir(fetch(copies, tmp_path / "runs").place)
    assert (there.path / "best.sh").read_bytes() == b"#!/bin/no\n"
    remember(there, store.url, {owner_of(store).mark: False})
    Mirror(there, store, pid=2).send(is_last=True)
    assert files(fetch(copies, tmp_path / "again").place)["best.sh"] == b"#!/bin/no\n"


def test_a_copy_without_a_list_comes_too(copies, tmp_path):
    """One that other tools made: files alone."""
    Store(f"{copies}/{NAME}").write(".storage/list.json.gz", [gzip.compress(b"[]")])
    assert "sweep.yaml" in files(fetch(copies, tmp_path / "runs").place)


def test_what_a_store_holds_does_not_leave_the_directory(copies, tmp_path):
    """Whoever can write there cannot write elsewhere here."""
    (tmp_path / "copies" / NAME / "trials" / "0000" / "output.log").rename(
        tmp_path / "copies" / NAME / "trials" / "controller.lock"
    )
    store = Store(f"{copies}/{NAME}")
    links = {"trials/0000/out": "../../../../etc/passwd"}
    store.write(".storage/list.json.gz", [gzip.compress(json.dumps({"files": {}, "links": links}).encode())])
    fetched = fetch(copies, tmp_path / "runs")
    assert fetched.left_out == ["trials/0000/out"]
    assert not (fetched.place / "trials/0000/out").exists()


@pytest.mark.parametrize("word", ["last", NAME, "abcdefgh", "far", "abc"])
def test_which_sweep_a_word_means(copies, word):
    """As everywhere; below a place, or the place itself."""
    assert place_at(copies, word).name == NAME
    if word in {"last", NAME, "abcdefgh"}:
        assert place_at(f"{copies}/{NAME}/", word).name == NAME


def test_places_without_such_a_sweep(copies, tmp_path):
    """What there is instead is said."""
    with pytest.raises(UnknownSweepError, match=f"no sweep 'near' at {copies}; there are:\n  {NAME}"):
        place_at(copies, "near")
    with pytest.raises(UnknownSweepError, match="there is no sweep at"):
        place_at(f"file://{tmp_path}/nothing", "last")
    with pytest.raises(UnknownSweepError, match=f"at {copies}/{NAME} is the sweep {NAME}"):
        place_at(f"{copies}/{NAME}", "near")


def test_a_sweep_that_was_not_fetched_is_left_alone(copies, sweep_dir):  # noqa: F811
    """The original, say."""
    with pytest.raises(SweepError, match="was not fetched: it is left alone"):
        fetch(copies, sweep_dir.path.parent)
