import os
import stat
from pathlib import Path

import pytest

from orchestrator.ledger import folders
from orchestrator.ledger.folders import is_there, remember, remembered


def test_folders_are_remembered_the_latest_first(tmp_path):
    """Each once, in a file for this user alone; what is gone stays, for it may be on a disk that comes back."""
    environ = {"XDG_STATE_HOME": str(tmp_path / "state"), "HOME": "/nowhere"}
    assert remembered(environ) == []
    places = [tmp_path / name for name in ("a", "b", "c\udcff\n")]
    for place in (*places, places[0]):
        place.mkdir(exist_ok=True)
        remember(place, environ)
    assert remembered(environ) == [places[0], places[2], places[1]]
    (file,) = (tmp_path / "state" / "sweep-orchestrator").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    places[2].rmdir()
    remember(places[1], environ)
    assert remembered(environ) == [places[1], places[0], places[2]]
    assert [is_there(each) for each in remembered(environ)] == [True, True, False]


def test_no_folder_is_looked_at_but_where_that_is_asked(tmp_path, monkeypatch):
    """One of a file system that does not answer would hold up every command."""
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    remember(tmp_path / "hangs", environ)
    stat_of = os.stat

    def guarded(path, **how):
        assert not str(path).endswith("hangs")
        return stat_of(path, **how)

    monkeypatch.setattr(os, "stat", guarded)
    remember(tmp_path, environ)
    assert remembered(environ) == [tmp_path, tmp_path / "hangs"]


def test_there_are_never_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "MOST_FOLDERS", 2)
    environ = {"HOME": str(tmp_path)}
    for name in "abc":
        (tmp_path / name).mkdir()
        remember(tmp_path / name, environ)
    assert remembered(environ) == [tmp_path / "c", tmp_path / "b"]
    assert (tmp_path / ".local" / "state" / "sweep-orchestrator" / "folders.json").is_file()


@pytest.mark.parametrize("text", ["", "[]", '{"folders": 3}', '{"folders": [3, "x"]}', "[" * 9999])
def test_what_is_none_of_ours_is_nothing(tmp_path, text):
    """It is written anew where a sweep is next kept."""
    environ = {"XDG_STATE_HOME": str(tmp_path)}
    file = tmp_path / "sweep-orchestrator" / "folders.json"
    file.parent.mkdir()
    file.write_text(text)
    assert remembered(environ) == []
    remember(tmp_path, environ)
    assert remembered(environ) == [tmp_path]


def test_nothing_fails_where_it_cannot_be_kept(tmp_path):
    (tmp_path / "file").write_text("")
    for environ in ({}, {"HOME": "relative"}, {"XDG_STATE_HOME": str(tmp_path / "file")}):
        remember(Path("/"), environ)
        assert remembered(environ) == []
