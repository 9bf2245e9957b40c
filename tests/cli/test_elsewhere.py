"""`--at ADDRESS`: commands that another machine does, and what of their words goes there."""

import json

import pytest

from orchestrator.cli.elsewhere import value_of, without, without_flags
from orchestrator.ledger.paths import find_sweep
from tests.cli.shell import sweep, write_project
from tests.remote.fake_job_server import TOKEN, a_job_server
from tests.scripts import environment, run


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["ls", "--at", "http://x", "-q"], ["ls", "-q"]),
        (["--at=http://x", "show", "a"], ["show", "a"]),
        (["note", "last", "--", "--at", "x"], ["note", "last", "--", "--at", "x"]),
        (["ls", "--at"], ["ls"]),
    ],
)
def test_an_option_is_taken_out_with_its_value(words, kept):
    """Wherever it stands, but not behind ``--``."""
    assert without(words, "--at") == kept


def test_an_option_has_its_last_value():
    """As where the command line is read."""
    assert value_of(["x", "--runs-dir", "a", "--runs-dir=b"], "--runs-dir") == "b"
    assert value_of(["x", "--", "--runs-dir", "a"], "--runs-dir") is None


@pytest.mark.parametrize(
    ("words", "kept", "found"),
    [
        (["resume", "-dq", "last"], ["resume", "last"], "dq"),
        (["resume", "-qvd", "--add", "3"], ["resume", "-v", "--add", "3"], "dq"),
        (["resume", "--detach", "-v", "--", "-q"], ["resume", "-v", "--", "-q"], "d"),
        (["resume", "--set", "x=-d"], ["resume", "--set", "x=-d"], ""),
    ],
)
def test_flags_are_taken_out_also_where_they_stand_together(words, kept, found):
    """As the command line reads them."""
    assert without_flags(words, {"d": "--detach", "q": "--quiet"}) == (kept, set(found))


def test_commands_are_done_there_as_here(tmp_path):
    """Both streams, the exit code, and the sweeps of the head's home; a mistake in the words is told by the head."""
    home = tmp_path / "home"
    (tmp_path / "jobs").mkdir()
    home.mkdir()
    write_project(home)
    run("sweep", "run", "sweep.yaml", "--count", "1", "-q", "--num-cpus", "1", cwd=home, HOME=str(home))
    here = {"cwd": tmp_path, "RAY_AUTH_TOKEN": TOKEN}
    with a_job_server(tmp_path / "jobs", environment(HOME=str(home))) as (address, state):
        for words in (["ls", "--json"], ["logs", "0"], ["show", "--naught"]):
            there, local = sweep(*words, "--at", address, **here), sweep(*words, cwd=home)
            assert (there.returncode, there.stdout) == (local.returncode, local.stdout), words
            assert len(there.stderr.splitlines()) == len(local.stderr.splitlines()), words
        assert all(job.startswith("sweep-") for job in state.jobs)
        page = sweep("report", "--at", address, "-o", "page.html", "-q", **here)
        assert page.stdout == "page.html\n"
        assert (tmp_path / "page.html").read_bytes() == find_sweep(home / "sweep-runs").report_path.read_bytes()
        there, local = (sweep("nodes", "--json", *words, **here) for words in (["--at", address], []))
        assert there.returncode == local.returncode
        assert [node["node"] for node in json.loads(there.stdout)] == [
            node["node"] for node in json.loads(local.stdout)
        ]
        refused = sweep("nodes", "mine.yaml", "--at", address, **here)
        assert (refused.returncode, "mine.yaml lies here" in refused.stderr) == (2, True)
        assert sweep("resume", "--at", address, **here).stdout.endswith("--add N\n")
