"""What a place takes and gives back, alike for every kind of it."""

import socket

import pytest

from orchestrator.errors import StorageError
from orchestrator.storage import store as store_module
from orchestrator.storage.store import Store, Stored
from tests.s3_server import SECRET


@pytest.fixture(params=["s3", "file"])
def url(request, tmp_path):
    """A place that is empty."""
    return request.getfixturevalue("s3") + "/deep/er" if request.param == "s3" else f"file://{tmp_path}/copies"


def test_files_come_back_as_they_were_written(url):
    """Byte for byte, whatever their names end in; replaced, listed and removed."""
    store = Store(url).below("far-abcdefgh")
    assert store.find("a") is None
    assert store.files() == {}
    store.write("a", [b"1", b"23"])
    store.write("b/c.tar.gz", [b"\x1f\x8b no archive"])
    store.write("b/empty", [])
    store.write("a", [b"4"])
    assert b"".join(store.read("a")) == b"4"
    assert b"".join(store.read("b/c.tar.gz")) == b"\x1f\x8b no archive"
    assert {path: found.size for path, found in store.files().items()} == {"a": 1, "b/c.tar.gz": 13, "b/empty": 0}
    assert isinstance(store.find("a"), Stored)
    assert store.find("b") is None
    store.delete("a")
    store.delete("a")
    assert set(store.files()) == {"b/c.tar.gz", "b/empty"}
    assert Store(url).names() == ["far-abcdefgh"]
    with pytest.raises(FileNotFoundError):
        list(store.read("a"))


def test_a_file_larger_than_one_request(s3):
    """It is sent in parts and read in blocks."""
    blocks = [bytes([n]) * (6 << 20) for n in range(3)]
    store = Store(s3)
    store.write("large", blocks)
    assert b"".join(store.read("large")) == b"".join(blocks)


def test_a_store_that_refuses_is_told_without_a_secret(s3):
    """A bucket that is not there, say."""
    with pytest.raises(StorageError, match=r"s3://nobody-has-this: .*") as told:
        Store("s3://nobody-has-this").write("a", [b"1"])
    assert SECRET not in str(told.value)


def test_a_store_that_is_not_there(monkeypatch):
    """Nobody listens: an error within the time-outs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(StorageError, match="s3://bucket: "):
            Store("s3://bucket").write("a", [b"1"])


def test_the_region_is_asked_for_where_nothing_names_it(monkeypatch):
    """Of Amazon's own."""
    from pyarrow import fs

    for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(fs, "resolve_s3_region", lambda bucket: {"bucket": "eu-north-1"}[bucket])
    opened, place = store_module._opened("s3://bucket/a/")
    assert (opened.region, place) == ("eu-north-1", "bucket/a")


def test_googles_store_is_opened_by_the_same_door(monkeypatch):
    """Without a word to it yet."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere")
    from pyarrow import fs

    opened, place = store_module._opened("gs://bucket/a")
    assert (type(opened), place) == (fs.GcsFileSystem, "bucket/a")
