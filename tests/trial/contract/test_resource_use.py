"""What a trial used is read back as it was written, and whatever else stands in the file is left out."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.layout import SweepDir
from orchestrator.trial.contract.resource_use import LAST_BYTES, GpuUse, Look, Use, last_look, look_of, looks
from tests.json_values import JSON

GPU = GpuUse(gpu="0", busy=0.3, own_busy=0.3, used_bytes=5e9, own_bytes=None, total_bytes=80e9, power_w=None)
USE = Use(
    n_looks=1, seconds=1.0, cpus=1.5, rss_bytes=2e9, n_processes=3, gpus=(GPU, replace(GPU, gpu="1", own_bytes=6e9))
)
LOOK = Look(attempt=0, time=1.7e9, now=USE, so_far=USE)


@pytest.fixture
def trial(tmp_path):
    """The directory of a trial."""
    found = SweepDir(tmp_path / "s-k3x9w2ab").trial(3)
    found.path.mkdir(parents=True)
    return found


def test_lines_come_back_in_order(trial):
    """All of them, or the last one alone; one that is half written is not there yet."""
    written = [replace(LOOK, now=replace(USE, n_looks=n), attempt=n // 3) for n in range(1, 6)]
    trial.use_path.write_text("".join(look.encode() for look in written) + LOOK.encode()[:-9])
    assert looks(trial) == written
    assert last_look(trial) == written[-1]


def test_of_a_trial_that_nobody_looked_at_there_is_nothing(trial, tmp_path):
    """Nor where the file is a link out of the sweep, or a directory."""
    assert (looks(trial), last_look(trial)) == ([], None)
    (tmp_path / "elsewhere").write_text(LOOK.encode())
    trial.use_path.symlink_to(tmp_path / "elsewhere")
    assert (looks(trial), last_look(trial)) == ([], None)
    trial.use_path.unlink()
    trial.use_path.mkdir()
    assert (looks(trial), last_look(trial)) == ([], None)


def test_the_last_line_of_a_long_file_is_found_from_its_end(trial):
    """What a program wrote behind it is stepped over; nothing is read but the end."""
    with trial.use_path.open("w") as file:
        file.write("x" * 3 * LAST_BYTES + "\n" + LOOK.encode() + "{}\n[]\nnonsense\n")
    assert last_look(trial) == LOOK


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("now", "cpus", -1.0),
        ("now", "cpus", float("inf")),
        ("so_far", "rss_bytes", float("nan")),
        ("now", "n_looks", "7"),
        ("now", "gpus", [7]),
        ("now", "gpu_share", 2.0),
        ("so_far", "gpu_share", 0),
        ("so_far", "gpu_share", 1e-320),
        ("now", "problem", 3),
        ("so_far", "gpus", None),
    ],
)
def test_a_line_that_cannot_be_right_is_left_out(part, name, value):
    """It comes from a file that a program may write, or from elsewhere."""
    data = json.loads(LOOK.encode())
    data[part][name] = value
    assert look_of(json.dumps(data).encode()) is None


@given(line=JSON, use=JSON)
def test_no_line_makes_the_reader_fail(line, use):
    """Whatever JSON there is."""
    for data in (line, {"attempt": 0, "time": 0, "now": use, "so_far": use}):
        assert look_of(json.dumps(data).encode()) is None


@given(st.binary())
def test_no_bytes_make_the_reader_fail(line):
    """Nor what is no JSON."""
    assert look_of(line) is None


def test_the_gpus_of_a_trial_are_one_number_each():
    """How busy all of them are, and the one that has least room."""
    assert USE.busy == pytest.approx(0.3)
    assert USE.fullest.gpu == "1"
    assert replace(USE, gpus=(replace(GPU, busy=None),)).busy is None
    assert replace(USE, gpus=()).fullest is None
