"""Jobs over HTTP: the same of a fake server and, where `ray[default]` is installed, of Ray's own."""

import importlib.util
import io
import os
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from orchestrator.errors import ClusterError, SweepError
from orchestrator.remote import job_server
from orchestrator.remote.address import parse_address
from orchestrator.remote.job_head import JobHead
from orchestrator.remote.job_server import JobServer, token_of
from orchestrator.remote.request import Request
from tests.remote.fake_job_server import TOKEN, a_job_server

HAS_RAYS = all(
    importlib.util.find_spec(name) for name in ("aiohttp", "aiohttp_cors", "opencensus", "prometheus_client")
)
SERVERS = [
    "fake",
    pytest.param(
        "ray",
        marks=[
            pytest.mark.ray,
            pytest.mark.soak,
            pytest.mark.skipif(not HAS_RAYS, reason="Ray's job server needs ray[default]"),
        ],
    ),
]


@pytest.fixture
def token(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)


@pytest.fixture(scope="module")
def rays(tmp_path_factory):
    """The address of Ray's own job server."""
    ports = [str(20_000 + os.getpid() % 10_000 + n) for n in range(3)]
    names = ("--port", "--dashboard-port", "--dashboard-agent-listen-port")
    words = [word for name, port in zip(names, ports, strict=True) for word in (name, port)]
    words += [
        "--head",
        "--block",
        "--num-cpus",
        "1",
        "--include-dashboard",
        "true",
        "--temp-dir",
        f"/tmp/r{os.getpid()}",
    ]
    environ = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_USAGE_STATS_ENABLED": "0"}
    log = tmp_path_factory.mktemp("ray") / "log"
    with (
        log.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *words], env=environ, stdout=file, stderr=file
        ) as head,
    ):
        server = JobServer(parse_address(f"http://127.0.0.1:{ports[1]}"), {"RAY_AUTH_TOKEN": TOKEN})
        deadline = time.monotonic() + 90
        while True:
            try:
                server.check()
                break
            except ClusterError:
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
        yield f"http://127.0.0.1:{ports[1]}"
        head.terminate()


@pytest.fixture(params=SERVERS)
def address(request, tmp_path):
    if request.param == "ray":
        yield request.getfixturevalue("rays")
        return
    with a_job_server(tmp_path, dict(os.environ)) as (found, _):
        yield found


def test_a_job_runs_with_its_package_and_tells_all(address, token):
    """Its output in order, its exit code; what there is twice is the same job; one that is stopped is over."""
    server = JobServer(parse_address(address))
    server.check()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("stdin", "sent along\n")
    package = server.upload("_ray_pkg_0123456789abcdef.zip", packed.getvalue())
    for _ in range(2):
        server.start("job-1", "cat stdin; seq 1 5000; exit 7", package=package)
    text = "".join(server.follow("job-1"))
    assert text.endswith("sent along\n" + "".join(f"{n}\n" for n in range(1, 5001)))
    assert server.find("job-1").exit_code == 7
    assert server.find("job-2") is None
    server.start("job-3", "echo begun; sleep 60", package=None)
    for text in server.follow("job-3"):
        if "\nbegun" in text:
            server.stop("job-3")
    assert server.find("job-3").is_over


def test_a_token_that_is_wrong_or_missing_is_said(address, monkeypatch):
    """With where it belongs, and without it."""
    monkeypatch.setenv("HOME", "/nowhere")
    where = parse_address(address)
    with pytest.raises(ClusterError, match=r"asks for a token.*\n.*RAY_AUTH_TOKEN_PATH"):
        JobServer(where, {}).check()
    with pytest.raises(ClusterError, match="refuses the token") as caught:
        JobServer(where, {"RAY_AUTH_TOKEN": "wrong-one"}).check()
    assert "wrong-one" not in str(caught.value)


def test_a_log_is_whole_across_connections_that_are_cut(tmp_path, token):
    """Nothing twice, nothing missing; a server that is gone for good is said."""
    with a_job_server(tmp_path, dict(os.environ)) as (address, state):
        server = JobServer(parse_address(address))
        server.start("job", "for n in 1 2 3 4; do seq 1 3000; sleep 0.2; done", package=None)
        state.cuts = 3
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(job_server, "AGAIN_S", 0.1)
            text = "".join(server.follow("job"))
        assert text.partition("done\n")[2] == "".join(f"{n}\n" for n in range(1, 3001)) * 4


def test_a_server_that_is_gone_is_said_with_what_may_be_missing(token, monkeypatch):
    """Nobody listens where the head has no `ray[default]`."""
    monkeypatch.setattr(job_server, "GONE_S", 0.2)
    monkeypatch.setattr(job_server, "AGAIN_S", 0.1)
    server = JobServer(parse_address("http://127.0.0.1:1"))
    with pytest.raises(ClusterError, match=r"ray\[default\]"):
        server.check()
    with pytest.raises(ClusterError, match="has not answered"):
        list(server.follow("job"))


def test_an_answer_that_got_lost_loses_no_job(tmp_path, token):
    """It is looked for before anything is said."""
    with a_job_server(tmp_path, dict(os.environ)) as (address, state):
        state.is_deaf = True
        JobServer(parse_address(address)).start("job", "true", package=None)
        assert "job" in state.jobs


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_client_that_is_ended_ends_its_job(tmp_path, token, number):
    """By whatever signal; afterwards signals are what they were."""
    (tmp_path / "env/bin").mkdir(parents=True)
    (tmp_path / "env/bin/sweep").write_text("#!/bin/sh\nsleep 60\n")
    (tmp_path / "env/bin/sweep").chmod(0o755)
    before = signal.getsignal(number)
    with a_job_server(tmp_path, dict(os.environ)) as (address, state):
        head = JobHead(parse_address(f"{address}{tmp_path}/env"))
        server = head._server
        ask = server.follow
        server.follow = lambda job: (os.kill(os.getpid(), number), time.sleep(0.5), ask(job))[2]
        with pytest.raises(SystemExit) as left:
            head.call(Request(words=["ls"], is_framed=True), out=print, err=print)
        assert left.value.code == 128 + number
        (job,) = state.jobs.values()
        assert job.wait(10) != 0
    assert signal.getsignal(number) == before


def test_a_head_without_sweep_is_said(tmp_path, token):
    """With what was looked for, and how to name an environment that has it."""
    with a_job_server(tmp_path, {"PATH": "/usr/bin:/bin"}) as (address, _):
        head = JobHead(parse_address(address))
        head.begin("job", Request(words=["ls"]))
        said = list(head.lines("job"))
        with pytest.raises(SweepError, match="not installed on the head") as caught:
            head.end_of("job", said)
        assert f"{address}/ENVIRONMENT" in str(caught.value)


def test_a_token_is_read_where_ray_reads_it(tmp_path, monkeypatch):
    """From a variable, a file that is named, or the file in the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert token_of({}) is None
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray/auth_token").write_text("at-home\n")
    (tmp_path / "token").write_text("named\n")
    assert token_of({}) == "at-home"
    assert token_of({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}) == "named"
    assert token_of({"RAY_AUTH_TOKEN": "x", "RAY_AUTH_TOKEN_PATH": "/nowhere"}) == "x"
    with pytest.raises(ClusterError, match="/nowhere"):
        token_of({"RAY_AUTH_TOKEN_PATH": "/nowhere"})
    with pytest.raises(ClusterError, match="one word"):
        token_of({"RAY_AUTH_TOKEN": "two\r\nwords"})
