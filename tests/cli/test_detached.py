"""`sweep run -d` and `sweep attach`: a sweep that no terminal holds, with real processes on a real Ray."""

import json
import os
import signal
from pathlib import Path

import pytest

from orchestrator.cli.detached import KEPT_LOG, MOST_LOG, bound
from orchestrator.errors import ExitCode
from orchestrator.ledger.lock import holder
from tests.cli.conftest import PATIENCE_S
from tests.cli.shell import start
from tests.waiting import until

pytestmark = pytest.mark.ray


def test_a_sweep_goes_on_without_its_terminal(project):
    """In a session of its own, deaf to SIGHUP; several terminals attach; killed, they say so; resumed, they see its end."""
    facts = project.detached("run", "sweep.yaml")
    pid, sweep_id = facts["pid"], facts["sweep_id"]
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGHUP)
    assert json.loads(project.sweep("ls", "--json").stdout)[0]["state"] == "running"
    assert {str(Path(f"/proc/{pid}/fd/{n}").readlink()) for n in (1, 2)} == {facts["log"]}

    left, watching = (start("attach", "--json", cwd=project.path) for _ in range(2))
    assert any(json.loads(line)["event"] == "trial_started" for line in left.stdout)
    left.send_signal(signal.SIGINT)
    _, err = left.communicate(timeout=PATIENCE_S)
    assert left.returncode == 0
    assert err.startswith(
        f"left; sweep {sweep_id} goes on (pid {pid} on {facts['host']}). Stop it: sweep stop {sweep_id}."
    )

    os.kill(pid, signal.SIGKILL)
    _, err = watching.communicate(timeout=PATIENCE_S)
    assert watching.returncode == ExitCode.INTERRUPTED
    assert f"is gone (pid {pid} on {facts['host']}): it was killed" in err
    assert f"Go on with: sweep resume {sweep_id}\n  What it said: {facts['log']}" in err

    resumed = project.detached("resume")
    assert resumed["sweep_id"] == sweep_id
    watching = start("attach", cwd=project.path)
    (project.path / "go").touch()
    out, err = watching.communicate(timeout=PATIENCE_S)
    assert watching.returncode == ExitCode.DONE, err
    assert "2 trials (2 finished) in " in err
    assert out.startswith("lr: ")
    until(lambda: holder(project.dir().lock_path) is None)
    again = project.sweep("attach")
    assert (again.returncode, again.stdout) == (ExitCode.DONE, out)
    said = project.dir().controller_log_path.read_text(encoding="utf-8")
    assert "[2/2] trial " in said
    assert said.endswith(err[-200:])


def test_what_stops_it_from_beginning_is_said_as_in_the_foreground(project):
    """The same words and exit code, and nothing is left behind."""
    for words, code, message in (
        (("--set", "program=nope.py"), ExitCode.USAGE, "error: program nope.py does not exist"),
        (("--address", "127.0.0.1:1"), ExitCode.CLUSTER_UNAVAILABLE, "error: nothing answers at "),
    ):
        done = project.sweep("run", "sweep.yaml", "-d", *words)
        assert (done.returncode, done.stdout) == (code, "")
        assert message in done.stderr
        assert "runs without this terminal" not in done.stderr
    assert not list((project.path / "sweep-runs").glob("*"))


def test_a_log_is_bounded(tmp_path):
    """The end of it stays, in whole lines, and what others append follows."""
    path = tmp_path / "controller.log"
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
    log, other = os.open(path, flags), os.open(path, flags)
    os.write(other, b"short\n")
    bound(log)
    assert path.read_bytes() == b"short\n"
    os.write(other, b"".join(b"%09d\n" % n for n in range(MOST_LOG // 10 + 1)))
    bound(log)
    os.write(other, b"more\n")
    lines = path.read_text().splitlines()
    assert lines[0] == "(earlier lines were dropped)"
    assert [len(line) for line in lines[1:-1]] == [9] * (KEPT_LOG // 10)
    assert lines[-2:] == [f"{MOST_LOG // 10:09d}", "more"]
    os.close(log)
    os.close(other)
