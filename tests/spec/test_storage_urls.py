import pytest

from orchestrator.spec.storage_urls import fault, is_storage_url
from tests.spec.readings import with_keys

WRONG = {
    "bucket/path": "is no place for a copy",
    "https://bucket/path": "is no place for a copy",
    "s3://[bucket": "is no URL",
    "s3:///path": "names no bucket; write s3://BUCKET/PATH",
    "file://host/path": "names no directory of this machine",
    "file:///": "names no directory of this machine",
    "s3://AKIA:s3cr3t@bucket/path": "holds more than a place",
    "s3://bucket/path?secret_key=s3cr3t": "holds more than a place",
    "s3://bucket/../other": "has a path with",
    "s3://bucket//a": "has a path with",
    "s3://bucket/a#b": "has a path with",
    "s3://bucket/a\tb": "has a path with",
}


@pytest.mark.parametrize("url", WRONG)
def test_what_is_no_place_is_refused_without_being_repeated(url):
    """It may hold a secret."""
    said = fault(url)
    assert said.startswith(WRONG[url])
    assert "s3cr3t" not in said
    assert "s3cr3t" not in with_keys(f"orchestrator: {{storage: {url!r}}}").text()


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/a/b", "gs://bucket/a", "file:///mnt/a", "s3://bucket/a/"])
def test_places(url):
    """A bucket or a directory, and a path in it."""
    assert fault(url) is None
    assert is_storage_url(url)


def test_names_of_sweeps_are_no_places():
    """Nor are directories and addresses."""
    assert not any(map(is_storage_url, ["last", "digits-abcdefgh", "./s3", "http://host:8265", "ssh://me@host"]))


def test_a_place_that_is_no_text_is_an_error():
    """As everywhere."""
    reading = with_keys("orchestrator: {storage: [s3]}")
    assert reading.spec is None
