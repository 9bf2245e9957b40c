"""Starting, joining and leaving Ray: silently, within bounded time, and leaving nothing behind."""

import importlib.metadata
import itertools
import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from orchestrator.errors import ClusterError
from orchestrator.execution.ray import cluster, probe
from orchestrator.execution.ray import own_cluster as local
from orchestrator.execution.ray.cluster import connect

COUNT = itertools.count()

DRIVER = """
import os, sys
before = dict(os.environ)
from orchestrator.execution.ray.cluster import connect
with connect(ADDRESS, **OPTIONS) as cluster:
    BODY
assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())
"""

HEAD = """
import sys
import ray._private.utils
from ray.cluster_utils import Cluster
ray._private.utils.write_ray_address = lambda *_: None
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "temp_dir": sys.argv[1]})
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


def run_driver(tmp_path, body="pass", address=None, options="{'num_cpus': 1, 'num_gpus': 0}", **environ):
    program = tmp_path / f"driver{next(COUNT)}.py"
    text = DRIVER.replace("ADDRESS", repr(address)).replace("OPTIONS", options).replace("BODY", body)
    program.write_text(text)
    env = os.environ | environ
    return subprocess.Popen(
        [sys.executable, str(program)],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def a_head(**environ):
    """A one-node Ray, with all that Ray starts, in another process; yields its address."""
    with tempfile.TemporaryDirectory(prefix="swt-", dir="/tmp") as temp_dir:
        command = [sys.executable, "-c", HEAD, temp_dir]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, env=os.environ | environ, text=True, **pipes) as process:
            try:
                yield process.stdout.readline().strip()
            finally:
                process.stdin.close()
                process.wait(timeout=30)


def test_a_port_where_nobody_listens_any_more_refuses():
    """Of several that are asked at once; one that listens and answers nothing does not."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_server(("127.0.0.1", 0)) as closed:
        addresses = [listening.getsockname(), closed.getsockname()]
        closed.close()
        assert cluster._refusing(addresses) == {addresses[1]}
        assert cluster._refusing([]) == set()


@pytest.mark.ray
def test_a_local_ray_is_silent_and_leaves_no_process_file_or_variable(tmp_path):
    """Nothing on stdout and stderr, no ~/.ray, no temporary directory, the environment as it was."""
    body = """from ray._private import worker
    temp_dir = worker._global_node._ray_params.temp_dir
    print(cluster.nodes()[0].total["CPU"], os.environ["RAY_AUTH_MODE"], temp_dir)"""
    driver = run_driver(tmp_path, body)
    out, err = driver.communicate(timeout=60)
    cpus, mode, temp_dir = out.split()
    assert (driver.returncode, err, cpus, mode) == (0, "", "1.0", "token")
    assert not Path(temp_dir).exists()
    assert not (Path.home() / ".ray").exists()
    assert not [p for p in psutil.process_iter(["cmdline"]) if temp_dir in " ".join(p.info["cmdline"] or ())]


@pytest.fixture
def own_temp_dir(monkeypatch):
    """A directory for temporary ones of Ray that no other test's start tidies up, short enough for its sockets."""
    with tempfile.TemporaryDirectory(prefix="own-", dir="/tmp") as path:
        monkeypatch.setattr(tempfile, "tempdir", path)
        yield path


@pytest.mark.ray
def test_nothing_survives_a_killed_driver_with_running_trials(tmp_path, own_temp_dir, gone):
    """SIGKILL on the controller: Ray, the worker and the trial end by themselves, and the next start tidies up."""
    body = """from orchestrator.execution.ray.pool import RayPool
    from orchestrator.spec.model import Resources
    from tests.execution.conftest import RUNNER, build_launch
    pool = RayPool(cluster, resources=Resources(cpu=1), runs_dir=TMP, runner=RUNNER)
    while not pool.capacity().free: pool.poll(1)
    pool.launch(build_launch(TMP, argv=("sleep", "1000")))
    while not (found := [e for e in pool.poll(1) if hasattr(e, "pid")]): pass
    from ray._private import worker
    print(found[0].pid, worker._global_node._ray_params.temp_dir, flush=True)
    sys.stdin.read()
""".replace("TMP", repr(str(tmp_path)))
    root = str(Path(__file__).parents[3])
    driver = run_driver(tmp_path, body, PYTHONPATH=root, TMPDIR=own_temp_dir)
    pid, temp_dir = driver.stdout.readline().split()
    driver.kill()
    driver.communicate()
    assert temp_dir.startswith(own_temp_dir)
    assert gone(int(pid))
    for process in psutil.process_iter(["pid", "cmdline"]):
        if temp_dir in " ".join(process.info["cmdline"] or ()):
            assert gone(process.pid)
    assert Path(temp_dir).exists()
    local.TempDir().remove()
    assert not Path(temp_dir).exists()


@pytest.mark.ray
def test_a_local_ray_is_reachable_from_this_machine_and_this_user_alone(tmp_path):
    """While a trial runs, every port of the driver and of all below it is on loopback, and Ray's files are out of reach."""
    body = """from orchestrator.execution.ray.pool import RayPool
    from orchestrator.spec.model import Resources
    from tests.execution.conftest import RUNNER, build_launch
    pool = RayPool(cluster, resources=Resources(cpu=1), runs_dir=TMP, runner=RUNNER)
    while not pool.capacity().free: pool.poll(1)
    pool.launch(build_launch(TMP, argv=("sleep", "1000")))
    while not [e for e in pool.poll(1) if hasattr(e, "pid")]: pass
    from ray._private import worker
    print(worker._global_node._ray_params.temp_dir, flush=True)
    sys.stdin.read()
    pool.close()
""".replace("TMP", repr(str(tmp_path)))
    driver = run_driver(tmp_path, body, PYTHONPATH=str(Path(__file__).parents[3]))
    ray_dir = Path(driver.stdout.readline().strip())
    root = psutil.Process(driver.pid)
    listening = {
        (process.name(), connection.laddr.ip)
        for process in [root, *root.children(recursive=True)]
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    private = [f"{p.stat().st_mode & 0o777:o}" for p in (ray_dir.parent, ray_dir)]
    driver.communicate("")
    assert {name for name, _ in listening} >= {"raylet", "gcs_server"}
    assert {ip for _, ip in listening} <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    assert private[0] == "700", private


@pytest.mark.ray
def test_the_death_of_the_local_raylet_is_told_with_what_to_do(tmp_path):
    """Neither a hang nor Ray's own words: a ClusterError within a second or two, and silence on stdout."""
    body = """import signal, time
    from ray._private import worker
    cluster.nodes()
    os.kill(worker._global_node.all_processes["raylet"][0].process.pid, signal.SIGKILL)
    time.sleep(0.5)
    try: cluster.nodes()
    except Exception as error: print(type(error).__name__, error)"""
    told = "ClusterError the local Ray died (raylet ended); nothing that finished is lost: `sweep resume` goes on.\n"
    assert run_driver(tmp_path, body).communicate(timeout=60) == (told, "")


@pytest.mark.ray
def test_a_cluster_with_a_token_is_joined_with_it_and_refused_without(tmp_path, monkeypatch):
    """The token decides the mode on every path; without one the message says where to get it."""
    token = "f" * 64
    with a_head(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token) as address:
        driver = run_driver(tmp_path, "print(len(cluster.nodes()))", address, "{}", RAY_AUTH_TOKEN=token)
        assert driver.communicate(timeout=60) == ("1\n", "")
        monkeypatch.setenv("HOME", str(tmp_path))  # where no token is
        with pytest.raises(ClusterError, match=rf"{address} asks for a token. No token is set here: .*auth_token"):
            connect(address)


@pytest.mark.soak
@pytest.mark.ray
def test_a_cluster_without_a_token_is_joined_by_address_and_by_environment(tmp_path):
    """`--address`, RAY_ADDRESS, a token that only this machine has, RAY_AUTH_MODE=token with and without one: all join."""
    with a_head(RAY_AUTH_MODE="disabled") as address:
        body = """import ray
    ran = ray.get(ray.remote(num_cpus=0)(type("A", (), {"here": lambda self: 1})).remote().here.remote(), timeout=50)
    print(cluster.address, cluster.is_local, len(cluster.nodes()), ran)"""
        drivers = [
            run_driver(tmp_path, body, None, "{}", RAY_ADDRESS=address),
            run_driver(tmp_path, body, address, "{}", RAY_AUTH_TOKEN="f" * 64),
            run_driver(tmp_path, body, address, "{}", RAY_AUTH_TOKEN="f" * 64, RAY_AUTH_MODE="token"),
            run_driver(tmp_path, body, address, "{}", RAY_AUTH_MODE="token"),
        ]
        for driver in drivers:
            assert driver.communicate(timeout=60) == (f"{address} False 1 1\n", "")


def test_an_address_where_nothing_answers_is_refused_quickly():
    """The message has the address and what to do, and there is no traceback of Ray's."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ClusterError, match=rf"nothing answers at .*:{port} .*Start one with `ray start --head`"):
            connect(f"127.0.0.1:{port}")


def test_an_address_that_is_not_ray_is_refused_within_bounds(monkeypatch, tmp_path):
    """Something listens but does not speak Ray, as a dashboard or a web server. Nothing in the user's folder is imported."""
    (tmp_path / "json.py").write_text("raise SystemExit('mine')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(probe, "PROBE_S", 3.0)
    refused = pytest.raises(ClusterError, match="does not answer as a Ray cluster")
    with socket.create_server(("", 0)) as server, refused:
        connect(f"127.0.0.1:{server.getsockname()[1]}")


def test_a_failed_attempt_to_connect_leaves_the_environment_alone():
    """RAY_AUTH_MODE is set for Ray's sake and taken back."""
    before = dict(os.environ)
    with pytest.raises(ClusterError):
        connect("nonsense:1:2")
    assert dict(os.environ) == before


def test_the_ray_client_is_refused_with_the_reason():
    """`ray://` would tie the sweep to one connection."""
    with pytest.raises(ClusterError, match="--address auto"):
        connect("ray://10.0.0.1:10001")


OWN_RAY = importlib.metadata.version("ray")
PYTHON = platform.python_version()


@pytest.mark.parametrize(
    ("ray", "python", "mend"),
    [
        (
            f"{OWN_RAY}.post1",
            PYTHON,
            rf"uv tool install --python \d.\d+ --with ray=={OWN_RAY}.post1 sweep-orchestrator",
        ),
        (OWN_RAY, "3.99.1", rf"uv tool install --python 3.99 --with ray=={OWN_RAY} sweep-orchestrator"),
        (OWN_RAY, "3.10.4", rf"needs Python 3.11 or newer. Ray of the cluster: `pip install ray=={OWN_RAY}`"),
        ("1.2.3", PYTHON, rf"works with Ray \d+.\d+. Ray of the cluster: `pip install ray=={OWN_RAY}`"),
    ],
)
def test_other_versions_are_named_on_both_sides(ray, python, mend):
    """Ray would die on unpickling; here both versions of both are said before, and what to install where."""
    both = rf"runs Ray {re.escape(ray)} in Python {python}, this `sweep` Ray {OWN_RAY} in Python {PYTHON}(?s:.*){mend}"
    with pytest.raises(ClusterError, match=both):
        probe._check_versions(probe.Probe(address="10.0.0.1:6379", ray_version=ray, python_version=python))


def test_a_patch_release_of_python_is_no_other_version():
    """Its bytecode is the same; a cluster that does not say what it runs is joined."""
    other = f"{PYTHON.rpartition('.')[0]}.99"
    probe._check_versions(probe.Probe(address="10.0.0.1:6379", ray_version=OWN_RAY, python_version=other))
    probe._check_versions(probe.Probe(address="10.0.0.1:6379"))


def test_a_leftover_directory_of_a_living_ray_is_kept():
    """Only what no process holds is removed, so two sweeps on one machine do not hurt each other."""
    first = local.TempDir()
    second = local.TempDir()
    assert first.path.exists()
    first.remove()
    second.remove()
    assert not first.path.exists()


def test_a_directory_of_a_process_that_died_before_it_locked_it_is_removed_later(tmp_path, monkeypatch):
    """One that is new may belong to a process that is about to lock it; a link of that name leads nowhere."""
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    leftovers = [Path(tempfile.mkdtemp(prefix=local.PREFIX)) for _ in range(2)]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    link = leftovers[0].with_name(f"{leftovers[0].name}x")
    link.symlink_to(elsewhere)
    os.utime(leftovers[0], (0, 0))
    os.mkfifo(leftovers[1] / "lock")
    local.TempDir().remove()
    existing = [path.exists() for path in (*leftovers, link, elsewhere / "lock")]
    link.unlink()
    assert existing[0] is False
    assert existing[2:] == [True, True]
    local.shutil.rmtree(leftovers[1], ignore_errors=True)


def test_the_users_own_authentication_stays(monkeypatch):
    """An explicit mode is respected; an existing token is used instead of a new one."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert local.private_token() == {}
    monkeypatch.delenv("RAY_AUTH_MODE")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "mine")
    assert local.private_token() == {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "mine"}
