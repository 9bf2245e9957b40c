import pytest

from orchestrator.layout import SweepDir
from orchestrator.reporting import pace
from orchestrator.reporting.pace import Pace
from orchestrator.spec import load_text

SPEC = load_text("program: train.py\nmethod: random\nparameters: {a: {min: 0.0, max: 1.0}}\n").require()
OTHER = load_text("program: other.py\nmethod: random\nparameters: {a: {min: 0.0, max: 1.0}}\n").require()


def tried(runs, id_, found, spec=SPEC, cwd="/somewhere"):
    place = SweepDir(runs / f"try-train-{id_}")
    place.path.mkdir(parents=True)
    pace.keep(place, spec, cwd, found)
    return place


def test_tries_of_one_program_from_one_directory_are_found_together(tmp_path):
    """Another program's, another directory's and what is no pace are left out."""
    assert pace.found(tmp_path, SPEC, "/somewhere") is None
    one = Pace(took_s=(1.5,), n_rows=3, n_values=2, size=10, checkpoint_size=4, tried=7.0)
    assert pace.kept(tried(tmp_path, "a", one)) == one
    tried(tmp_path, "b", Pace(took_s=(99.0,)), spec=OTHER)
    tried(tmp_path, "c", Pace(took_s=(99.0,)), cwd="/elsewhere")
    tried(tmp_path, "d", Pace(took_s=(2.5,)))
    assert sorted(pace.found(tmp_path, SPEC, "/somewhere").took_s) == [1.5, 2.5]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"took_s": [0]}', '{"took_s": ["x"]}', '{"took_s": [NaN], "tried": 1}']
)
def test_a_file_that_is_none_of_ours_is_none(tmp_path, text):
    """Whatever it says."""
    place = tried(tmp_path, "a", Pace(took_s=(1.0,)))
    place.pace_path.write_text(text)
    assert pace.kept(place) is None


def test_the_largest_trial_is_measured_with_its_checkpoints(tmp_path):
    """Files below it count, links do not lead out."""
    for name, size in (("0000", 10), ("0001", 100)):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "checkpoints/model").write_bytes(b"x" * size)
        (tmp_path / name / "log").write_bytes(b"x")
    assert pace.sizes([tmp_path / "0000", tmp_path / "0001"]) == (101, 100)
