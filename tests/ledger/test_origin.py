"""Whether a sweep's directory is this user's own work: renamed and moved it is, copied and others' it is not."""

import json
import os
import shutil

import pytest

from orchestrator import session
from orchestrator.layout import SweepDir
from orchestrator.ledger import origin
from orchestrator.spec import load_text

SPEC = "program: train.py\nmethod: grid\nmetric: {name: loss}\nparameters: {x: {values: [1, 2]}}\n"


@pytest.fixture
def sweep_dir(tmp_path):
    """A sweep as `sweep run` makes it."""
    return session.create(load_text(SPEC).require(), name="s", runs=tmp_path / "runs")


def recorded(sweep_dir, **changes):
    path = sweep_dir.origin_path
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_sweep_that_was_made_here_is_not_doubted(sweep_dir, tmp_path):
    """Nor when its directory or the project around it is renamed or moved, or reached by a link."""
    assert origin.doubt(sweep_dir) is None
    sweep_dir.path.parent.rename(tmp_path / "moved")
    moved = tmp_path / "moved" / sweep_dir.path.name
    assert origin.doubt(SweepDir(moved)) is None
    (tmp_path / "link").symlink_to(moved)
    assert origin.doubt(SweepDir((tmp_path / "link").resolve())) is None


def test_a_copy_is_doubted_until_it_is_trusted(sweep_dir, tmp_path):
    """It is asked once: what was agreed to is recorded in the copy."""
    copy = SweepDir(tmp_path / "copy")
    shutil.copytree(sweep_dir.path, copy.path)
    assert "is a copy of one that was made on" in origin.doubt(copy)
    origin.record(copy)
    assert origin.doubt(copy) is None


def test_what_another_user_made_is_doubted(sweep_dir, monkeypatch):
    """Made by another, or owned by another; root trusts nobody either."""
    recorded(sweep_dir, uid=12345)
    assert origin.doubt(sweep_dir) == "it was made by the user 12345"
    recorded(sweep_dir, uid=os.geteuid(), owner=54321)
    assert "it belongs to" in origin.doubt(sweep_dir)
    sweep_dir.origin_path.unlink()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert "it belongs to" in origin.doubt(sweep_dir)


def test_a_sweep_of_an_earlier_release_is_judged_by_when_its_files_came_to_be(sweep_dir, monkeypatch):
    """Its spec is as old as its ledger's first row; a copy's is younger, whatever date was set on it."""
    sweep_dir.origin_path.unlink()
    assert origin.doubt(sweep_dir) is None
    monkeypatch.setattr(origin, "AT_ONCE_S", -1.0)
    assert origin.doubt(sweep_dir) == "it was copied, or changed since it was made"
    sweep_dir.spec_path.unlink()
    assert origin.doubt(sweep_dir) == "nothing tells where it was made"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", "[" * 100_000, '{"uid": "root"}', '{"uid": 1e999, "host": {}}']
)
def test_a_damaged_record_is_no_error(sweep_dir, text):
    """It is judged as what it says, or as if it were not there."""
    sweep_dir.origin_path.write_text(text)
    doubt = origin.doubt(sweep_dir)
    assert doubt is None or doubt.startswith("it was made by ")
