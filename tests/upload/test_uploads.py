"""Runs that the real client recorded, on their way to a server by wandb's own sync: what arrives, once, whatever happens."""

import os
import time
from pathlib import Path

import psutil
import pytest

from orchestrator.upload.uploads import may_be_logged_in, unsent_trials
from tests.upload.conftest import kill, processes, settled
from tests.wandb_server import API_KEY, ENTITY


def until(uploads, condition, timeout_s=60.0):
    """Hear uploads until something is so."""
    until_s = time.monotonic() + timeout_s
    while not condition(uploads.poll(0.1)):
        assert time.monotonic() < until_s, uploads.standing


def test_a_run_recorded_without_a_sweep_becomes_part_of_one_made_first(server, record, uploads, sweep_dir):
    """Sweep, config, name, group, project, rows value for value, summary and exit code arrive; the log stays as it was."""
    record(0, (0, 20))
    (log,) = sweep_dir.trial(0).wandb_log_paths()
    before = log.read_bytes()
    ours = uploads()
    ours.watch(0, ended=True)
    standing = settled(ours, finished=True)
    (sweep,) = server.sweeps.values()
    assert standing.path == f"{ENTITY}/proj/{sweep.name}"
    assert (standing.sent, standing.failed, standing.trouble) == (1, 0, None)
    assert (sweep.display_name, sweep.state, sweep.config["controller"]) == ("ridge", "FINISHED", {"type": "local"})
    assert sweep.config["parameters"]["lr"] == {"distribution": "uniform", "min": 0.0, "max": 1.0}
    assert not {"orchestrator", "early_terminate"} & set(sweep.config)
    run = server.run("abcdefgh-0000")
    assert (run.sweep, run.project, run.entity, run.group) == (sweep.name, "proj", ENTITY, "ridge-abcdefgh")
    assert run.settings() == {"lr": 0.5, "opt": {"wd": 1e-05}}
    assert run.values("loss") == [1 / (step + 1) for step in range(20)]
    assert (run.summary["loss"], run.summary["_step"]) == (1 / 20, 19)
    assert (run.states, run.exitcode) == (["running", "finished"], 0)
    assert {"config.yaml", "wandb-metadata.json", "wandb-summary.json"} <= set(run.files)
    assert log.read_bytes() == before
    assert log.with_name(log.name + ".synced").exists()
    assert not sweep_dir.trial(0).uploads_path.exists()
    assert server.unknown == set()


def test_only_runs_of_the_sweep_become_part_of_it(server, record, uploads):
    """An id that no server gave is replaced, a run opened beside the trial's belongs; a fold's own goes up by itself."""
    record(0, (0, 1), WANDB_SWEEP_ID="abcdefgh")
    record(0, (0, 1), run_id="abcdefgh-0000-1")
    record(0, (0, 1), run_id="fold-3")
    record(0, (0, 1), run_id="abcdefgh-0001")
    ours = uploads()
    ours.watch(0, ended=True)
    settled(ours, finished=True)
    (sweep,) = server.sweeps.values()
    sweeps = {run.name: run.sweep for run in server.runs.values()}
    there = sweep.name
    assert sweeps == {"abcdefgh-0000": there, "abcdefgh-0000-1": there, "fold-3": None, "abcdefgh-0001": None}


def test_rows_appear_while_the_trial_runs(server, record, uploads, sweep_dir):
    """A trial is on the server, running, before it has ended; then it ends there, too. The key is in no command line or file."""
    ours = uploads()
    process = record(0, (0, 1000), pause=0.05, wait=False)
    ours.watch(0, ended=False)
    server.wait(lambda: any(len(run.history) > 5 for run in server.runs.values()))
    assert process.poll() is None
    assert server.run("abcdefgh-0000").state == "running"
    family = processes(ours)
    assert len(family) == 2
    assert not [p for p in family if API_KEY in " ".join(p.cmdline())]
    files = [path for path in sweep_dir.path.rglob("*") if path.is_file()]
    assert not [path for path in files if API_KEY.encode() in path.read_bytes()]
    process.kill()
    process.wait()
    ours.watch(0, ended=True, settled=True)
    settled(ours)
    run = server.run("abcdefgh-0000")
    assert (run.states, run.exitcode) == (["running", "failed"], 137)
    assert run.values("loss") == [1 / (step + 1) for step in range(len(run.history))]


def test_attempts_of_a_trial_are_one_run_with_rising_steps(server, record, uploads):
    """What a second attempt repeats is left out, as in a resumed run; console and media of both go up; the run ends once."""
    ours = uploads()
    ours.watch(0, ended=False)
    record(0, (0, 10), finish=-1)
    server.wait(lambda: len(server.runs) == 1)
    record(0, (7, 15), attempt=1)
    ours.watch(0, ended=True)
    settled(ours)
    run = server.run("abcdefgh-0000")
    assert [row["_step"] for row in run.history] == list(range(15))
    attempts = [row["nested"]["attempt"] for row in run.history]
    assert attempts == sorted(attempts)
    assert attempts[-1] == 1
    assert (run.states, run.overwritten) == (["running", "finished"], 0)
    assert sorted(name.split("/")[0] for name in run.files if name.startswith("media")) == ["media", "media"]
    assert run.files["output.log"] == b"attempt 0\nattempt 1\n"


def test_a_trial_that_runs_again_after_its_run_went_up_goes_on_there(server, record, uploads):
    """Rows that the server has are not sent again, by a later process that knows of them only by the server and the marks."""
    record(0, (0, 5), finish=1)
    first = uploads()
    first.watch(0, ended=True)
    path = settled(first).path
    record(0, (0, 9), attempt=1)
    second = uploads(path)
    second.watch(0, ended=True)
    assert settled(second).sent == 1
    run = server.run("abcdefgh-0000")
    assert [row["_step"] for row in run.history] == list(range(9))
    assert run.states == ["running", "failed", "running", "finished"]
    assert len(server.sweeps) == 1


@pytest.mark.parametrize("victim", [0, pytest.param(1, marks=pytest.mark.soak)], ids=["process", "core"])
def test_a_killed_upload_goes_on_and_sends_every_row_once(server, record, uploads, victim):
    """SIGKILL on the process takes its core along, SIGKILL on the core is noticed: no row is lost or doubled either way."""
    ours = uploads()
    process = record(0, (0, 60), pause=0.05, wait=False)
    ours.watch(0, ended=False)
    server.wait(lambda: any(len(run.history) > 5 for run in server.runs.values()))
    family = processes(ours)
    kill(family[victim])
    _, alive = psutil.wait_procs(family if victim == 0 else [], timeout=10)
    assert not alive
    until(ours, lambda _: process.poll() is not None)
    ours.watch(0, ended=True)
    settled(ours)
    run = server.run("abcdefgh-0000")
    assert run.values("loss") == [1 / (step + 1) for step in range(60)]
    assert (run.state, run.exitcode, run.overwritten) == ("finished", 0, 0)


@pytest.mark.parametrize("fault", ["down", *(pytest.param(f, marks=pytest.mark.soak) for f in (500, "hang"))])
def test_what_a_server_in_trouble_does_not_take_goes_up_once_it_does(server, record, uploads, fault):
    """The trouble is told in a line while it lasts; afterwards the sweep is made, and the run is there once."""
    if fault == "down":
        server.stop()
    else:
        server.fault = fault
    record(0, (0, 10))
    ours = uploads()
    ours.watch(0, ended=True)
    until(ours, lambda standing: standing.trouble is not None)
    assert ours.standing.path is None
    assert unsent_trials(ours._sweep_dir, [0]) == [0]
    if fault == "down":
        server.start()
    server.fault = None
    server.released.set()
    settled(ours, 90.0)
    run = server.run("abcdefgh-0000")
    assert run.values("loss") == [1 / (step + 1) for step in range(10)]
    assert (run.states, len(server.sweeps)) == (["running", "finished"], 1)
    assert unsent_trials(ours._sweep_dir, [0]) == []


def test_a_server_that_breaks_midway_gets_the_rest_later(server, record, uploads):
    """HTTP 500 for rows only: the run waits for better times, and no row is lost or doubled."""
    ours = uploads()
    process = record(0, (0, 40), pause=0.05, wait=False)
    ours.watch(0, ended=False)
    server.wait(lambda: any(run.history for run in server.runs.values()))
    server.fault, server.fault_at = 500, ".*file_stream"
    until(ours, lambda standing: standing.trouble is not None and process.poll() is not None)
    assert "500" in ours.standing.trouble
    server.fault = None
    ours.watch(0, ended=True)
    settled(ours)
    run = server.run("abcdefgh-0000")
    assert run.values("loss") == [1 / (step + 1) for step in range(40)]
    assert (run.states, run.overwritten) == (["running", "finished"], 0)


def test_a_refused_key_ends_uploads_with_the_reason(server, record, uploads):
    """401 is not tried for ever: one reason, nothing marked as sent."""
    server.fault = 401
    record(0, (0, 3))
    ours = uploads()
    ours.watch(0, ended=True)
    until(ours, lambda standing: standing.off is not None)
    assert "401" in ours.standing.off
    assert unsent_trials(ours._sweep_dir, [0]) == [0]


def test_a_key_that_is_refused_for_rows_is_not_taken_for_success(server, record, uploads):
    """Wandb's sync says that it finished when the server refused every row; ours notices, and the next one sends them."""
    record(0, (0, 8))
    server.fault, server.fault_at = 401, ".*file_stream|Viewer"
    ours = uploads()
    ours.watch(0, ended=True)
    assert settled(ours).failed == 1
    assert unsent_trials(ours._sweep_dir, [0]) == [0]
    server.fault = None
    again = uploads(ours.standing.path)
    again.watch(0, ended=True)
    assert settled(again).sent == 1
    assert server.run("abcdefgh-0000").values("loss") == [1 / (step + 1) for step in range(8)]


def test_without_credentials_nothing_is_asked(monkeypatch, tmp_path):
    """Who may be logged in is told by the environment and the netrc file; WANDB_MODE=offline means no."""
    netrc = tmp_path / "netrc"
    environ = {"NETRC": str(netrc)}
    assert not may_be_logged_in(environ)
    assert may_be_logged_in({**environ, "WANDB_API_KEY": "k"})
    assert not may_be_logged_in({**environ, "WANDB_API_KEY": "k", "WANDB_MODE": "offline"})
    netrc.touch()
    assert may_be_logged_in(environ)


def test_an_empty_netrc_is_no_login(server, uploads, monkeypatch):
    """The upload process asks wandb itself, without a prompt, and ends when nobody is logged in."""
    monkeypatch.delenv("WANDB_API_KEY")
    Path(os.environ["NETRC"]).touch()
    ours = uploads()
    until(ours, lambda standing: standing.off is not None)
    assert ours.standing.off == "you are not logged in"
    assert server.operations == []
