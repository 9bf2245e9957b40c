"""`sweep submit`: the command as a user runs it, against jobs that run here."""

import json
import signal
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from orchestrator.layout import SweepDir
from orchestrator.ledger.paths import find_sweep
from orchestrator.ledger.reader import LedgerReader
from orchestrator.remote.frames import Decoder, Said
from tests.cli.shell import SWEEP, start, sweep, write_project
from tests.remote.fake_job_server import TOKEN, a_job_server
from tests.scripts import environment
from tests.waiting import until

SPEC = """\
program: train.py
method: grid
metric: {name: loss}
parameters: {lr: {values: [0.5, 0.1, 0.3]}}
"""


@pytest.fixture
def laptop(tmp_path):
    """A folder with a project, and no home to speak of."""
    (tmp_path / "laptop").mkdir()
    return write_project(tmp_path / "laptop", SPEC)


@pytest.fixture
def head(tmp_path, ray_head):
    """A job server of a cluster whose home is elsewhere; yields its address and home."""
    home = tmp_path / "home"
    home.mkdir()
    environ = environment(HOME=str(home), RAY_ADDRESS=ray_head, RAY_AUTH_MODE="disabled")
    (tmp_path / "jobs").mkdir()
    with a_job_server(tmp_path / "jobs", environ) as (address, state):
        yield address, home, state


def submit(laptop, *words, **more):
    return sweep("submit", *words, cwd=laptop, RAY_AUTH_TOKEN=TOKEN, HOME=str(laptop), **more)


@pytest.mark.ray
def test_a_sweep_runs_there_and_is_watched_from_here(laptop, head):
    """The plan first, then what its controller says, and its exit code; what it found is fetched: the same best config.

    What is known here is known there.
    """
    address, home, state = head
    known = laptop.parent / "known.csv"
    known.write_text("lr,loss\n0.3,2.0\n")
    done = submit(laptop, "sweep.yaml", "--to", address, "--count", "2", "--name", "far", "--prior", str(known))
    assert done.returncode == 0, done.stderr + done.stdout
    assert "trials  2 (run_cap)" in done.stderr
    assert "2 files" in done.stderr
    assert "2 trials (2 finished)" in done.stdout
    assert "_head" not in done.stdout
    there = find_sweep(home / "sweep-runs")
    assert there.name == "far"
    assert [json.loads(line)["metrics"]["loss"] for line in there.prior_path.read_text().splitlines()] == [2.0]
    assert list(state.jobs) == [f"sweep-far-{there.sweep_id}"]
    assert not (laptop / "sweep-runs").exists()
    fetched = sweep("fetch", "far", "--at", address, "-q", cwd=laptop, RAY_AUTH_TOKEN=TOKEN)
    here = SweepDir(Path(fetched.stdout.strip()))
    assert here.path == laptop / "sweep-runs" / there.path.name
    for name in ("best.yaml", "trials.csv", "report.html", "trials/0000/reports.jsonl", "trials/0001/output.log"):
        assert (here.path / name).read_bytes() == (there.path / name).read_bytes()
    assert sweep("best", "-q", cwd=laptop).stdout.strip() == str(here.trial(1).path)
    only = sweep("fetch", "far", "--at", address, "--best", "-o", "best", cwd=laptop, RAY_AUTH_TOKEN=TOKEN)
    assert [trial.number for trial in SweepDir(Path(only.stdout.strip())).trials()] == [1]


@pytest.mark.ray
def test_ctrl_c_leaves_and_the_sweep_goes_on(laptop, head):
    """It says how to come back, and somebody who comes back sees its end. It has the name that it would have here."""
    address, home, _ = head
    words = f"command: [{sys.executable}, train.py, '${{args}}']"
    (laptop / "mine.yaml").write_text(SPEC.replace("program: train.py", words))
    left = start("submit", "mine.yaml", "--to", address, cwd=laptop, RAY_AUTH_TOKEN=TOKEN)
    assert any("trial" in line and "finished" in line for line in left.stdout)
    left.send_signal(signal.SIGINT)
    _, err = left.communicate(timeout=60)
    there = find_sweep(home / "sweep-runs")
    assert (left.returncode, there.name) == (0, "mine")
    assert f"sweep attach {there.sweep_id} --at {address}" in err
    back = sweep("attach", there.sweep_id, "--at", address, cwd=laptop, RAY_AUTH_TOKEN=TOKEN)
    assert (back.returncode, "3 trials (3 finished)" in back.stderr) == (0, True)


@pytest.mark.ray
def test_what_cannot_run_there_is_said_here(laptop, head):
    """A program that is not in the project ends with the head's own words and exit code, a sweep that is not there as well."""
    far = submit(laptop, "sweep.yaml", "--to", head[0], "--prior", "nowhere")
    assert (far.returncode, "--prior nowhere: there is no such file" in far.stdout) == (2, True), (
        far.stdout + far.stderr
    )
    (laptop / "train.py").rename(laptop / "other.py")
    done = submit(laptop, "sweep.yaml", "--to", head[0])
    assert done.returncode == 2
    assert "train.py" in done.stdout


def test_mistakes_are_said_before_anything_is_sent(laptop, tmp_path):
    """An address that is none, a spec that is none, and nobody who answers."""
    assert SWEEP.exists()
    wrong = submit(laptop, "sweep.yaml", "--to", "head:6379")
    assert (wrong.returncode, "sweep run --address" in wrong.stderr) == (2, True)
    gone = submit(laptop, "sweep.yaml", "--to", "http://127.0.0.1:1")
    assert (gone.returncode, "ray[default]" in gone.stderr) == (3, True)
    (laptop / "sweep.yaml").write_text("method: gird")
    assert submit(laptop, "sweep.yaml", "--to", "http://127.0.0.1:1").returncode == 2


STAND_IN = """\
#!{python}
import ctypes, os, signal, socket, sys, threading
assert "ControlPath=none" in " ".join(sys.argv) and "-tt" in sys.argv, sys.argv
_, near, host, far = sys.argv[sys.argv.index("-L") + 1].split(":")
listener = socket.create_server(("127.0.0.1", int(near)))

def carry(one, other):
    while data := one.recv(65536):
        other.sendall(data)
    other.shutdown(socket.SHUT_WR)

if os.fork():
    listener.close()
    os.execvp("sh", ["sh", "-c", sys.argv[-1]])
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # it ends with its parent
while True:
    here, _ = listener.accept()
    there = socket.create_connection((host, int(far)))
    for pair in ((here, there), (there, here)):
        threading.Thread(target=carry, args=pair, daemon=True).start()
"""
"""What stands in for ssh to a head that is this machine: a port here is joined with one there while the command runs."""


@pytest.mark.ray
def test_pages_of_a_sweep_there_are_served_and_steer_it(laptop, head, tmp_path):
    """Through a job and through ssh; Ctrl-C ends them there as well. `watch` prints lines, and ends as the sweep does.

    What steers them is in no job's log.
    """
    address, home, state = head
    (laptop / "sweep.yaml").write_text(SPEC.replace("0.3]}", "0.3]}, naps: {value: 1}"))
    assert submit(laptop, "sweep.yaml", "--to", address, "-d", "-q").returncode == 0
    there = find_sweep(home / "sweep-runs")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ssh").write_text(STAND_IN.replace("{python}", sys.executable))
    (tmp_path / "bin/ssh").chmod(0o755)
    environ = {**state.environ, "RAY_AUTH_TOKEN": TOKEN, "PATH": f"{tmp_path / 'bin'}:{state.environ['PATH']}"}
    for at, action, after in ((address, "pause", "paused"), (f"ssh://head{SWEEP.parent.parent}", "unpause", "running")):
        with start("serve", "--at", at, "-q", cwd=laptop, **environ) as serving:
            url, _, token = serving.stdout.readline().strip().partition("/#token=")
            assert url.startswith("http://127.0.0.1:"), serving.stderr.read()
            asked = Request(
                f"{url}/sweeps/{there.sweep_id}",
                json.dumps({"action": action}).encode(),
                {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            )
            with urlopen(asked, timeout=60) as answer:
                assert json.load(answer) == {"said": f"asked for: {action}"}
            until(lambda after=after: stands(there) == after)
            assert not told_in_logs(state, token)
            serving.send_signal(signal.SIGINT)
            assert serving.wait(timeout=60) == 0
        with pytest.raises(OSError, match="refused"):
            urlopen(url, timeout=60)
    (laptop / "go").touch()
    watched = sweep("watch", "--at", address, cwd=laptop, RAY_AUTH_TOKEN=TOKEN)
    assert (watched.returncode, "3 trials (3 finished)" in watched.stderr) == (0, True), watched.stderr
    refused = sweep("serve", "--at", address, "--host", "0.0.0.0", cwd=laptop)
    assert (refused.returncode, "leave it out" in refused.stderr) == (2, True)


def told_in_logs(state, word):
    """Whether a log of a job has a word, also in what it prints in frames."""
    logs = [state.log(job).read_text() for job in state.jobs]
    framed = b"".join(frame.data for log in logs for frame in Decoder().feed(log) if isinstance(frame, Said))
    assert b"http://127.0.0.1:" in framed
    return word in "".join(logs) or word.encode() in framed


def stands(sweep_dir):
    with LedgerReader(sweep_dir.ledger_path) as reader:
        return str(reader.sweep().state)
