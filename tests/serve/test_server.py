import http.client
import json
from contextlib import contextmanager

import pytest

from orchestrator.ledger.reader import LedgerReader
from orchestrator.serve.server import LONGEST_BODY
from tests.reporting.planted import plant
from tests.serve.live import TOKEN, serving

KNOWN = {"Authorization": f"Bearer {TOKEN}"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    plant(runs, n=8)
    with serving(runs) as found:
        yield found


@contextmanager
def asking(server, path, *, method="GET", body=None, headers=()):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    try:
        connection.request(method, path, body, dict(headers))
        with connection.getresponse() as response:
            yield response
    finally:
        connection.close()


def asked(server, path, **options):
    """The answer: its status, headers and text."""
    with asking(server, path, **options) as response:
        return response.status, response.headers, response.read().decode()


def got(server, path, **options):
    status, _, text = asked(server, path, **options)
    return status, text


def events(server, path, n, headers=()):
    """The first `n` events of a stream: name, id and data."""
    found, fields = [], {}
    with asking(server, path, headers=headers) as response:
        assert response.status == 200, response.read()
        while len(found) < n:
            line = response.readline().decode().rstrip("\n")
            if line and not line.startswith(":"):
                fields |= [line.split(": ", 1)]
            elif "data" in fields:
                found.append((fields["event"], fields["id"], json.loads(fields["data"])))
                fields = {}
    return found


@pytest.mark.parametrize("path", ["/", "/sweeps/k3x9w2ab", "/sweeps/k3x9w2ab/3", "/compare", "/sweeps/unknown"])
def test_pages_hold_no_data_and_load_nothing_but_ours(server, path):
    """The same for every sweep; no script or style in them, nor from elsewhere, nor in a frame of another page."""
    status, headers, text = asked(server, path)
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "k3x9w2ab" not in text
    assert "<style" not in text
    assert text.count("<script") == text.count('<script src="/page.js?v=') == 1


def test_script_and_style_stay_in_the_browser(server):
    """Their address names what is in them; what is known is not sent again."""
    for path in ("/page.js", "/page.css"):
        _, headers, _ = asked(server, path)
        assert "immutable" in headers["Cache-Control"]
        assert got(server, path, headers={"If-None-Match": headers["ETag"]}) == (304, "")


@pytest.mark.parametrize(
    "path",
    [
        "/x",
        "/../etc/passwd",
        "/sweeps/../../etc",
        "/sweeps/a/b",
        "/page.js/..",
        "/live/sweeps/%2e%2e",
        "/live/sweeps/zzz",
    ],
)
def test_there_is_nothing_else(server, path):
    """No file lies behind a path: what is no page and no sweep is not found."""
    status, text = got(server, path)
    assert status == 404
    assert "error" in json.loads(text)


def test_streams_begin_with_the_whole_state(server):
    """The list of sweeps; a sweep with its trials at once, and its curves and lanes a moment later."""
    ((name, _, index),) = events(server, "/live/", 1)
    assert name == "all"
    assert [(line["id"], line["state"], line["total"]) for line in index["sweeps"]] == [("k3x9w2ab", "finished", 8)]
    (_, first, whole), (name, _, details) = events(server, "/live/sweeps/k3x9w2ab", 2)
    assert len(whole["data"]["state"]) == 8
    assert whole["head"]["state"] == "finished"
    assert name == "change"
    assert details["all_curves"]["by_trial"]
    assert details["lanes"]
    ((name, _, _),) = events(server, "/live/sweeps/k3x9w2ab", 1, headers={"Last-Event-ID": first})
    assert name == "change"


@pytest.mark.parametrize("n", [13, 65])
def test_too_many_trials_are_refused(server, n):
    """However many it are, the answer says how many may be."""
    status, text = got(server, "/live/compare?" + "&".join(f"of=k3x9w2ab/{i}" for i in range(n)))
    assert status == 409
    assert "at most" in json.loads(text)["error"]


def test_steering_needs_the_token_and_json(server):
    """In a header that no other site's page can send; what is wrong is said, and nothing of it happens."""
    ask = json.dumps({"action": "retry", "trial": 3})
    path = "/sweeps/k3x9w2ab"
    assert got(server, path, method="POST", body=ask, headers=JSON)[0] == 401
    assert got(server, path, method="POST", body=ask, headers=JSON | {"Authorization": "Bearer x"})[0] == 401
    assert got(server, path, method="POST", body=ask, headers=KNOWN)[0] == 415
    origin = {"Origin": "http://evil.example"}
    assert got(server, path, method="POST", body=ask, headers=JSON | KNOWN | origin)[0] == 403
    assert got(server, path, method="POST", body=ask, headers=JSON | KNOWN | {"Host": "evil.example"})[0] == 403
    say = json.dumps({"action": "say", "trial": 1, "words": "mine"})
    assert got(server, path, method="POST", body=say, headers=JSON | {"Authorization": "Bearer x"})[0] == 401
    assert got(server, "/sweeps/zzz", method="POST", body=ask, headers=JSON | KNOWN)[0] == 404
    for body, status in (
        ("{", 409),
        ("[" * 10_000, 409),
        ('{"action": "explode"}', 409),
        ('{"action": []}', 409),
        ("x" * (LONGEST_BODY + 1), 413),
    ):
        assert got(server, path, method="POST", body=body, headers=JSON | KNOWN)[0] == status
    ledger_path = server.sweep("k3x9w2ab").ledger_path
    with LedgerReader(ledger_path) as reader:
        assert reader.trial(3).state != "pending"
    status, text = got(server, path, method="POST", body=ask, headers=JSON | KNOWN)
    assert (status, json.loads(text)) == (200, {"said": "done, for when the sweep is resumed: retry trial 3"})
    with LedgerReader(ledger_path) as reader:
        assert reader.trial(3).state == "pending"


def test_other_names_may_not_read(server):
    """A page whose name leads to this machine reads nothing (DNS rebinding)."""
    assert got(server, "/live/", headers={"Host": f"evil.example:{server.server_port}"})[0] == 403


def test_beyond_this_machine_reading_needs_the_token(tmp_path):
    """The pages themselves hold nothing, so that they may ask for it."""
    with serving(tmp_path, is_open=True) as server:
        assert got(server, "/live/")[0] == 401
        assert got(server, "/")[0] == 200
        ((_, _, state),) = events(server, "/live/", 1, headers=KNOWN)
        assert state["sweeps"] == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_else_is_understood(server, method):
    assert got(server, "/", method=method)[0] == 501
