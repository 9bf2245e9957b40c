"""How heads are named."""

import pytest

from orchestrator.errors import SweepError
from orchestrator.remote.address import Address, parse_address


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("http://head", Address(scheme="http", host="head", port=8265)),
        ("https://head.example.org/", Address(scheme="https", host="head.example.org")),
        ("http://[::1]:99/opt/venv/", Address(scheme="http", host="::1", port=99, place="/opt/venv")),
        (
            "ssh://me@head:2222/home/me/.venv",
            Address(scheme="ssh", host="head", port=2222, user="me", place="/home/me/.venv"),
        ),
        ("ssh://head", Address(scheme="ssh", host="head")),
    ],
)
def test_an_address_is_read_and_said_again(text, means):
    """Host, port, user, and the environment there; what is said of it is read as the same."""
    assert parse_address(text) == means
    assert parse_address(str(means)) == means


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("head:6379", "sweep run --address"),
        ("auto", "sweep run --address"),
        ("ray://head:10001", "Ray's client"),
        ("head", "ssh://USER@HOST"),
        ("http://me:secret@head", "RAY_AUTH_TOKEN_PATH"),
        ("http://me@head", "no user"),
        ("ssh://-oProxyCommand=x", "odd"),
        ("ssh://-x@head", "odd"),
        ("http://", "no host"),
        ("http://a..b:1", "odd"),
        (f"http://{'a' * 64}:1", "odd"),
        ("http://head:99999", "ort"),
        ("http://head?x=1", "more in it"),
        ("http://[head", "no address"),
    ],
)
def test_what_is_no_address_is_refused_with_what_is_one(text, why):
    """Also what would be an option of ssh, and what would show a password to the whole machine."""
    with pytest.raises(SweepError, match=why) as caught:
        parse_address(text)
    assert "secret" not in str(caught.value)
    assert "http://HOST:8265" in str(caught.value)
