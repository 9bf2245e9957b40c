"""Copies beside the ledger."""

import json
import shutil
from pathlib import Path

import pytest

from orchestrator.errors import ProgramError
from orchestrator.layout import SweepDir
from orchestrator.project import listing
from orchestrator.project.kept import KeptCode, index_of, place_again, put_back


@pytest.fixture
def code(tmp_path):
    """The copies of a sweep that lies in its project."""
    project = tmp_path / "project"
    sweep_dir = SweepDir(project / "sweep-runs/x-abcd1234")
    sweep_dir.path.mkdir(parents=True)
    (project / "train.py").write_text("1")
    (project / "lib.py").write_text("1")
    return KeptCode(sweep_dir, project)


def sweep_of(code):
    return SweepDir(code.project.root / "sweep-runs/x-abcd1234")


def test_a_copy_is_made_once_per_change(code):
    """The same project again makes no other; a change makes one and is told; back again is a change, too."""
    first = code.keep()
    assert (first.changes, first.problem) == ((), None)
    assert code.keep() == first
    (code.project.root / "train.py").write_text("2")
    second = code.keep()
    assert second.changes == ["M train.py"]
    (code.project.root / "train.py").write_text("1")
    third = code.keep()
    assert third.copy.fingerprint == first.copy.fingerprint
    names = [copy.fingerprint for copy in index_of(sweep_of(code)).copies]
    assert names == [first.copy.fingerprint, second.copy.fingerprint, first.copy.fingerprint]


def test_a_pinned_copy_stays_what_it_was(code):
    """It is unpacked with what it had, and knows how the project differs from it."""
    copy = code.keep().copy
    code.pin(copy)
    (code.project.root / "train.py").write_text("2")
    assert code.pinned() == copy
    assert code.changes_since(copy) == ["M train.py"]
    path = code.unpacked(copy)
    assert (path / "train.py").read_text() == "1"
    assert not (path / "sweep-runs").exists()
    code.pin(None)
    assert code.pinned() is None


def test_a_copy_that_is_gone_is_an_error_with_the_way_on(code):
    """No archive, or another's contents under its name."""
    copy = code.keep().copy
    code.archive_path(copy).unlink()
    with pytest.raises(ProgramError, match="--no-pin"):
        code.unpacked(copy)
    contents = sweep_of(code).code_path / f"{copy.fingerprint}.json"
    contents.write_text(json.dumps({"train.py": "f 0"}))
    with pytest.raises(ProgramError, match="cannot be read"):
        code.unpacked(copy)


def test_a_project_that_is_too_large_has_no_copy(code, monkeypatch):
    """That is a reason, no error: the sweep runs from the project."""
    monkeypatch.setattr(listing, "MOST_FILES", 1)
    kept = code.keep()
    assert kept.copy is None
    assert "too large to go along" in kept.problem


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"copies": [{"fingerprint": "../x"}], "pinned": null}', '{"copies": 3}']
)
def test_an_index_that_is_none_says_nothing(code, text):
    """Whatever stands in the file."""
    sweep_of(code).code_path.mkdir()
    (sweep_of(code).code_path / "index.json").write_text(text)
    assert index_of(sweep_of(code)).copies == ()


def test_a_moved_or_copied_project_is_found_from_its_sweep(code, tmp_path, monkeypatch):
    """Where the sweep lies in it; from the current directory where it lies elsewhere; and never what is another project."""
    root = code.project.root
    code.keep()
    assert place_again(sweep_of(code), str(root)) == str(root)
    shutil.copytree(root, tmp_path / "copied")
    assert place_again(SweepDir(tmp_path / "copied/sweep-runs/x-abcd1234"), str(root)) == str(tmp_path / "copied")
    alone = shutil.copytree(sweep_of(code).path, tmp_path / "elsewhere/runs/x-abcd1234")
    assert place_again(SweepDir(alone), str(root)) == str(root)
    root.rename(tmp_path / "moved")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert place_again(SweepDir(alone), str(root)) == str(root)
    monkeypatch.chdir(tmp_path / "moved")
    assert place_again(SweepDir(alone), str(root)) == str(tmp_path / "moved")


def test_a_project_that_is_nowhere_is_put_beside_the_runs(code, tmp_path):
    """As trials ran it last, in the directory that they were launched from; a copy that is damaged is an error."""
    code.keep()
    alone = SweepDir(shutil.copytree(sweep_of(code).path, tmp_path / "elsewhere/runs/x-abcd1234"))
    place = put_back(alone)
    assert place == put_back(alone)
    assert (tmp_path / "elsewhere" / "sweep-projects").samefile(Path(place).parent)
    assert Path(place, "train.py").read_text() == "1"
    shutil.rmtree(place)
    (archive,) = alone.code_path.glob("*.tar.gz")
    archive.unlink()
    with pytest.raises(ProgramError, match="the project cannot be put there"):
        put_back(alone)
    shutil.rmtree(alone.code_path)
    assert put_back(alone) is None
