"""The process that keeps a copy, as a controller has it: troubles are said once, and nobody waits for a store that hangs."""

import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from orchestrator.storage import beside
from orchestrator.storage.beside import StorageBeside
from orchestrator.storage.store import Store
from tests.s3_server import SECRET, S3Server


@pytest.fixture
def start(sweep_dir):
    """Let a sweep have a copy at a URL; yields what starts it, and what it says."""
    started = []

    def begin(url):
        said = []
        copy = StorageBeside(sweep_dir, url, say=said.append, later="sweep sync abcdefgh --storage")
        copy.begin()
        started.append(copy)
        return copy, said

    yield begin
    for copy in started:
        copy.close()
    assert not [each for each in psutil.Process().children() if "orchestrator.storage.process" in each.cmdline()]


def heard(copy, said, condition):
    deadline_s = time.monotonic() + 60
    while not condition(said):
        assert time.monotonic() < deadline_s, said
        copy.refresh(None)
        time.sleep(0.05)


def test_all_of_it_is_there_at_the_end(start, sweep_dir, s3):
    """And it is said; nothing of the credentials is in the sweep's directory."""
    copy, said = start(f"{s3}/sweeps")
    assert copy.settle().is_done
    assert said[-1] == f"copy at {s3}/sweeps: everything is there"
    found = Store(f"{s3}/sweeps/far-abcdefgh")
    assert b"".join(found.read("trials/0000/output.log")) == b"line\n" * 1000
    for path in sweep_dir.path.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()


def test_a_store_that_is_away_for_a_while_is_said_once(start, sweep_dir, s3_server, monkeypatch):
    """And once when it is there again: then everything is sent."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in {**s3_server.variables, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}.items():
        monkeypatch.setenv(name, value)
    copy, said = start("s3://later/sweeps")
    heard(copy, said, lambda said: said)
    time.sleep(3)
    copy.refresh(None)
    assert len(said) == 1
    assert said[0].startswith("copy at s3://later/sweeps: nothing can be sent (s3://later/sweeps")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    try:
        later = S3Server.__new__(S3Server)
        later.endpoint = f"http://127.0.0.1:{port}"
        later.bucket(monkeypatch.setenv, "later")
        heard(copy, said, lambda said: len(said) == 2)
        assert said[1] == "copy at s3://later/sweeps: files are sent again"
        assert copy.settle().is_done
    finally:
        server.stop()


def test_a_store_that_refuses_to_the_end(start, s3, monkeypatch):
    """What is not there is said with the command that sends it; the end does not wait long."""
    monkeypatch.setattr(beside, "TROUBLED_S", 0.5)
    copy, said = start("s3://nobody-has-this")
    standing = copy.settle()
    assert not standing.is_done
    assert said[-1].startswith("copy at s3://nobody-has-this: ")
    assert "not everything is there yet (s3://nobody-has-this" in said[-1]
    assert said[-1].endswith("later: sweep sync abcdefgh --storage")


def test_a_store_that_hangs_holds_nobody_up(start, s3, monkeypatch):
    """Neither the controller meanwhile, nor the end: Ctrl-C leaves at once."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        copy, said = start("s3://bucket")
        began_s = time.monotonic()
        copy.refresh(None)
        until_s = time.monotonic() + 1
        copy.settle(lambda: time.monotonic() > until_s)
        copy.close()
        assert time.monotonic() - began_s < 20
    assert "not everything is there yet" in said[-1]


def test_a_process_that_was_killed_is_started_again(start, s3):
    """That is said, and is no trouble of the store's."""
    copy, said = start(s3)
    os.kill(copy._process._popen.pid, signal.SIGKILL)
    killed = copy._process
    heard(copy, said, lambda _: copy._process is not killed)
    assert copy.settle().is_done
    assert said[-1] == f"copy at {s3}: everything is there"
    death = "the process that sends it died (signal 9). It is started again, 5 times at most"
    assert said[0] == f"copy at {s3}: {death}"
    assert not any("nothing can be sent" in each for each in said)


def test_a_process_that_dies_of_an_error_tells_which(start, tmp_path, monkeypatch):
    """Once, however often it is started again; half a line that it left is passed over."""
    program = "import sys; sys.stdin.readline(); sys.stdout.write('{\"le'); sys.exit('no memory')"
    popen = subprocess.Popen
    monkeypatch.setattr(
        beside.subprocess, "Popen", lambda words, **more: popen([sys.executable, "-c", program], **more)
    )
    copy, said = start(f"file://{tmp_path}/copies")
    heard(copy, said, lambda _: copy._starts == beside.RESTARTS + 1 and copy._process.is_gone)
    assert not copy.settle().is_done
    (death,) = [each for each in said if "died" in each]
    assert "the process that sends it died (exit code 1: no memory). It is started again, 5 times" in death


def test_what_cannot_be_read_is_named_once(start, sweep_dir, tmp_path, monkeypatch):
    """The rest is there; nobody is told that all of it is. What stays as it is goes down the process's line once, too."""
    news, after = [], beside._after
    monkeypatch.setattr(beside, "_after", lambda standing, line: news.append(line) or after(standing, line))
    for n in range(7):
        (sweep_dir.trials_path / f"0000/secret-{n}").touch(mode=0)
    popen = subprocess.Popen
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    monkeypatch.setattr(beside.subprocess, "Popen", lambda words, **more: popen([*bound, *words], **more))
    copy, said = start(f"file://{tmp_path}/copies")
    heard(copy, said, lambda _: said)
    assert copy.settle().is_done
    names = ", ".join(f"trials/0000/secret-{n}" for n in range(5)) + " and 2 more"
    here = f"copy at file://{tmp_path}/copies: "
    assert said == [
        f"{here}{names} cannot be read (Permission denied): not in the copy",
        f"{here}everything is there but {names}, which cannot be read",
    ]
    assert sum("done" in line for line in news) > 1
    assert sum("unreadable" in line for line in news) == 1
    assert (tmp_path / "copies/far-abcdefgh/trials/0000/output.log").exists()
    assert (tmp_path / "copies/far-abcdefgh/ledger.sqlite").exists()


def test_a_copy_that_went_on_elsewhere_is_left_alone(start, sweep_dir, tmp_path):
    """Said once, also at the end."""
    url = f"file://{tmp_path}/copies"
    copy, said = start(url)
    assert copy.settle().is_done
    sweep_dir.storage_path.unlink()
    copy, said = start(url)
    heard(copy, said, lambda said: said)
    copy.settle()
    assert len(said) == 1
    assert "gone on with by" in said[0]


def test_without_a_place_nothing_happens(sweep_dir):
    """No process, no words."""
    said = []
    copy = StorageBeside(sweep_dir, None, say=said.append, later="")
    copy.event(None)
    copy.refresh(None)
    copy.settle()
    copy.close()
    assert said == []
