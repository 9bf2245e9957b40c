"""A disk that fills up under a running sweep, and a directory that cannot be written."""

import pytest

from tests.disks import fill, small_disk


@pytest.fixture
def runs_dir(tmp_path):
    """A small file system for the sweeps' directory."""
    point = tmp_path / "sweep0" / "sweep-runs"
    point.mkdir(parents=True)
    with small_disk(point, "8m"):
        yield point


@pytest.mark.ray
def test_a_disk_that_fills_up_costs_nothing_but_time(runs_dir, real):
    """A clear message with what to do and exit code 5; nothing is corrupt, nothing failed, and `sweep resume` goes on."""
    sweep = real()
    sweep.start()
    sweep.runs(at_least=3)
    ballast = fill(runs_dir)
    assert sweep.ended() == 5, sweep.said()
    assert "Traceback" not in sweep.said()
    assert "free some space, then go on with `sweep resume`" in sweep.said()
    ballast.unlink()
    sweep.settled()
    sweep.finish()


@pytest.mark.parametrize("runs_dir", ["file/runs", "/proc/sys/runs"])
def test_a_runs_directory_that_cannot_be_written_is_named(warm, tmp_path, runs_dir):
    """Before anything starts: which directory, why, what to do, and no traceback. Not even root can write in these."""
    (tmp_path / "train.py").write_text("")
    (tmp_path / "sweep.yaml").write_text("program: train.py\nmethod: grid\nparameters: {x: {values: [1]}}\n")
    (tmp_path / "file").write_text("")
    ran = warm("run", "sweep.yaml", "--runs-dir", runs_dir, cwd=tmp_path)
    assert (ran.code, "Traceback" in ran.err) == (2, False), ran.err
    assert f"no sweep can be kept in {runs_dir}" in ran.err
    assert "--runs-dir" in ran.err
