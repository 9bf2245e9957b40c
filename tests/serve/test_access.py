import pytest

from orchestrator.errors import SweepError
from orchestrator.serve.access import Access, digest_of, is_loopback, token_from

TOKEN = "correct-horse-battery"
HOME = {"host": "localhost:6060"}


@pytest.mark.parametrize(
    ("headers", "steers", "status"),
    [
        (HOME, False, None),
        ({"host": "127.0.0.1:6060"}, False, None),
        ({"host": "[::1]:6060"}, False, None),
        ({"host": "127.0.0.1:9999"}, False, None),  # a forwarded port
        ({"host": "evil.example:6060"}, False, 403),
        ({"host": "localhost.evil.example"}, False, 403),
        ({"host": "192.168.1.5:6060"}, False, 403),
        ({}, False, 403),
        (HOME | {"origin": "http://localhost:6060"}, False, None),
        (HOME | {"origin": "http://evil.example"}, False, 403),
        (HOME | {"origin": "null"}, False, 403),
        (HOME | {"origin": "http://localhost:7070"}, False, 403),
        (HOME | {"sec-fetch-site": "cross-site"}, False, 403),
        (HOME | {"sec-fetch-site": "same-site"}, False, 403),
        (HOME | {"sec-fetch-site": "same-origin"}, False, None),
        (HOME, True, 401),
        (HOME | {"authorization": "Bearer wrong"}, True, 401),
        (HOME | {"authorization": TOKEN}, True, 401),
        (HOME | {"authorization": f"Bearer {TOKEN}"}, True, None),
        (HOME | {"authorization": f"Bearer {TOKEN}x"}, True, 401),
        (HOME | {"authorization": f"Bearer {TOKEN}", "origin": "http://evil.example"}, True, 403),
    ],
)
def test_on_loopback_reading_is_open_and_steering_needs_the_token(headers, steers, status):
    """Names that may be another machine's (DNS rebinding) and pages of other sites are refused before anything else."""
    found = Access(digest_of(TOKEN), is_open=False).refusal(headers, steers=steers)
    assert (found and found[0]) == status


def test_beyond_loopback_reading_needs_the_token_too():
    """Under any name, for that is not known."""
    access = Access(digest_of(TOKEN), is_open=True)
    assert access.refusal({"host": "gpubox:6060"}, steers=False)[0] == 401
    known = {"host": "gpubox:6060", "authorization": f"bearer {TOKEN}"}
    assert access.refusal(known, steers=False) is None
    assert access.refusal(known | {"origin": "http://evil.example"}, steers=False)[0] == 403


@pytest.mark.parametrize(
    ("name", "wanted"), [("127.0.0.9", True), ("::1", True), ("0.0.0.0", False), ("LOCALHOST", True), ("gpubox", False)]
)
def test_loopback_is_what_nobody_else_reaches(name, wanted):
    assert is_loopback(name) is wanted


def test_a_token_file_is_made_once_and_for_its_owner(tmp_path):
    """The same token the next time; one that others may read, that is too short or is no file is refused with what to do."""
    path = tmp_path / "token"
    token = token_from(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert token_from(path) == token
    assert len(token) >= 32
    path.chmod(0o644)
    with pytest.raises(SweepError, match="chmod 600"):
        token_from(path)
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(SweepError, match="16 to 512 printable") as caught:
        token_from(path)
    assert "short" not in str(caught.value)
    with pytest.raises(SweepError, match="directory"):
        token_from(tmp_path)


def test_a_token_may_be_in_the_environment(monkeypatch):
    monkeypatch.setenv("SWEEP_SERVE_TOKEN", TOKEN)
    assert token_from(None) == TOKEN
    monkeypatch.setenv("SWEEP_SERVE_TOKEN", "")
    with pytest.raises(SweepError, match="SWEEP_SERVE_TOKEN"):
        token_from(None)
    monkeypatch.delenv("SWEEP_SERVE_TOKEN")
    assert token_from(None) is None
