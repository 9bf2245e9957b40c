"""A cluster on machines behind ssh, with something in Ray's place that starts, dies and leaves processes behind as Ray does."""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import stat
import subprocess
import time

import psutil
import pytest

from orchestrator.machines import cluster, keeper
from orchestrator.machines.hosts import read_hosts
from orchestrator.machines.ssh import Ssh
from tests.cli.shell import SWEEP
from tests.machines.conftest import marked
from tests.scripts import environment

SAVES = """
command: [/bin/sh, -c, 'trap "sleep 2; touch %(at)s/saved; exit 0" TERM; touch %(at)s/begun; while :; do sleep 0.2; done']
method: random
run_cap: 1
metric: {name: loss}
parameters: {lr: {min: 0.0, max: 1.0}}
"""


def act(do, path):
    with Ssh() as ssh:
        return do(read_hosts(path), ssh)


def standings(outcomes):
    return [outcome.standing for outcome in outcomes]


def await_(condition):
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_cluster_comes_up_comes_back_and_goes(machines):
    """Twice up is once up; a killed raylet is followed by another; nothing of it stays, on no machine, and no token was shown."""
    made = machines(2)
    made.hosts[1]["gpus"] = 3
    path = made.write()
    (made.homes[1] / "notes").touch()
    assert standings(act(cluster.status, path)) == ["down", "down"]
    begun = act(cluster.up, path)
    assert standings(begun) == ["up", "up"], [(each.what, each.mend) for each in begun]
    calls = [(home / "calls").read_text() for home in made.homes]
    assert calls[0] == f"start --block --head --port={made.ports[0]} --dashboard-host=127.0.0.1\n"
    assert calls[1] == f"start --block --address={begun[0].answer['address']}:{made.ports[0]} --num-gpus=3\n"
    place = made.homes[1] / f".sweep-cluster/{socket.gethostname()}/{made.ports[0]}"
    token = (place / "token").read_text()
    assert token == (made.homes[0] / ".ray/auth_token").read_text()
    assert stat.S_IMODE((place / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    shown = [" ".join([*p.cmdline(), *p.environ().values()]) for home in made.homes for p in marked(home)]
    assert shown
    assert not any(token in text for text in shown)
    raylet = int((made.homes[1] / "raylet").read_text())
    os.kill(raylet, signal.SIGKILL)
    await_(lambda: (made.homes[1] / "raylet").read_text() != str(raylet))
    await_(lambda: standings(act(cluster.status, path)) == ["up", "up"])
    again = act(cluster.up, path)
    assert [each.answer["kept"]["restarts"] for each in again] == [0, 1]
    assert again[1].answer["kept"]["last"] == "raylet [exit code=-9]"
    assert len((made.homes[1] / "calls").read_text().splitlines()) == 2
    assert len(marked(made.homes[1])) == 3  # the loop, Ray, its raylet: what the first one left is gone
    assert standings(act(cluster.down, path)) == ["down", "down"]
    assert [marked(home) for home in made.homes] == [[], []]
    assert sorted(found.name for found in made.homes[1].iterdir()) == ["calls", "lib", "notes", "raylet"]
    assert [each.what for each in act(cluster.down, path)] == ["nothing was there"] * 2


def test_each_machine_says_what_is_wrong_with_it(machines):
    """One without a server, without that Python, with another Ray, one where Ray does not start; the others come up."""
    made = machines(4)
    other = made.homes[2] / "lib/ray-2.1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Name: ray\nVersion: 2.1.0\n")
    (made.homes[3] / "broken").touch()
    made.hosts[1]["python"] = "/no/such/python"
    made.hosts.append({"host": "127.0.0.1", "port": 1})
    path = made.write()
    outcomes = act(cluster.up, path)
    try:
        assert standings(outcomes) == ["up", "failed", "failed", "starting", "failed"]
        words = [f"{outcome.what} / {outcome.mend}" for outcome in outcomes]
        assert "no Python /no/such/python" in words[1]
        assert "python:" in words[1]
        assert "has Ray 2.1.0, the head 127.0.0.1" in words[2]
        assert "ray cannot start here" in words[3]
        assert "no ssh server answers" in words[4]
        (made.homes[3] / "broken").unlink()
        await_(lambda: standings(act(cluster.status, path))[3] == "up")
    finally:
        act(cluster.down, path)
    assert not any(marked(home) for home in made.homes)


def test_a_head_that_does_not_start_leaves_nothing(machines):
    """It is ended again, the others are not touched; and a token that the head had before is the one that counts, and stays."""
    made = machines(2)
    (made.homes[0] / "broken").touch()
    (made.homes[0] / ".ray").mkdir()
    (made.homes[0] / ".ray/auth_token").write_text("a token of before")
    path = made.write()
    first, second = act(cluster.up, path)
    assert (first.standing, second.standing, second.what) == ("failed", "down", "the head 127.0.0.1 is not up")
    assert "ray cannot start here" in first.what
    assert not (made.homes[0] / ".sweep-cluster").exists()
    (made.homes[0] / "broken").unlink()
    act(cluster.up, path)
    await_(lambda: standings(act(cluster.status, path)) == ["up", "up"])
    assert (made.homes[1] / ".ray/auth_token").read_text() == "a token of before"
    for process in marked(made.homes[1]):
        with contextlib.suppress(psutil.Error):  # the first of them ends the others
            if "keeper.py" in " ".join(process.cmdline()):
                process.kill()
    await_(lambda: standings(act(cluster.status, path)) == ["up", "down"])
    act(cluster.up, path)
    await_(lambda: standings(act(cluster.status, path)) == ["up", "up"])
    assert len(marked(made.homes[1])) == 3
    act(cluster.down, path)
    assert not any(marked(home) for home in made.homes)
    assert (made.homes[0] / ".ray/auth_token").exists()
    assert not (made.homes[1] / ".ray").exists()


def test_a_head_that_is_being_healed_is_left_alone(machines, monkeypatch):
    """However often its Ray has ended before: it is waited for, and where it takes too long that is said, and it goes on."""
    made = machines(1)
    path = made.write()
    assert standings(act(cluster.up, path)) == ["up"]
    (made.homes[0] / "broken").touch()
    os.kill(int((made.homes[0] / "raylet").read_text()), signal.SIGKILL)
    monkeypatch.setattr(cluster, "TRIES", 1)
    await_(lambda: len((made.homes[0] / "calls").read_text().splitlines()) > cluster.TRIES)
    (head,) = act(cluster.up, path)
    assert (head.standing, head.what) == ("starting", "ConnectionError: ray cannot start here")
    (made.homes[0] / "broken").unlink()
    assert standings(act(cluster.up, path)) == ["up"]
    act(cluster.down, path)


def test_without_ssh(tmp_path, monkeypatch):
    """It is said, and how to mend it."""
    (tmp_path / "hosts.yaml").write_text("hosts: [{host: node1}]\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    (outcome,) = act(cluster.status, tmp_path / "hosts.yaml")
    assert (outcome.standing, outcome.mend) == ("failed", "install an OpenSSH client here")


def test_machines_with_one_home(tmp_path, monkeypatch):
    """What is kept on one of them is not kept on the other, which has the same files."""
    monkeypatch.setenv("HOME", str(tmp_path))
    kept = {}
    for name in ("node1", "node2"):
        monkeypatch.setattr(socket, "gethostname", lambda name=name: name)
        place = tmp_path / ".sweep-cluster" / name / "6379"
        if name == "node1":
            place.mkdir(parents=True)
            (place / "state.json").write_text("{}")
            lock = (place / "lock").open("w")
            fcntl.flock(lock, fcntl.LOCK_EX)
        kept[name] = keeper.answer({"do": "status", "ray_port": 6379})["kept"]
    lock.close()
    assert kept == {"node1": {}, "node2": None}


@pytest.mark.soak
@pytest.mark.ray
def test_a_real_ray_comes_back(machines, tmp_path):
    """A head over ssh whose raylet is killed is up again; trials may save before it ends, and nothing of it stays."""
    made = machines(1)
    shutil.rmtree(made.homes[0] / "lib")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    path = made.write(ray_port=port)
    try:
        (up,) = act(cluster.up, path)
        assert up.standing == "up", up.what
        (raylet,) = [p for p in marked(made.homes[0]) if p.name() == "raylet"]
        raylet.kill()
        await_(lambda: any(o.standing == "up" and o.answer["kept"]["restarts"] for o in act(cluster.status, path)))
        (tmp_path / "sweep.yaml").write_text(SAVES % {"at": tmp_path})
        environ = environment(RAY_AUTH_TOKEN=up.answer["token"])
        words = [SWEEP, "run", "sweep.yaml", "--address", f"127.0.0.1:{port}"]
        sweep = subprocess.Popen(words, cwd=tmp_path, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await_((tmp_path / "begun").exists)
        act(cluster.down, path)
        assert (tmp_path / "saved").exists()
        assert sweep.wait(120) != 0
    finally:
        act(cluster.down, path)
    assert not marked(made.homes[0])
