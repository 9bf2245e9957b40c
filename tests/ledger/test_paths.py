import os
from pathlib import Path

import pytest

from orchestrator.errors import UnknownSweepError
from orchestrator.ledger.paths import (
    all_sweeps,
    create_sweep_dir,
    find_sweep,
    leave_way_in,
    new_sweep_id,
    runs_dir,
    slug,
)


@pytest.fixture
def runs(tmp_path):
    """Three sweeps, the last one named the newest."""
    for age, (name, sweep_id) in enumerate([("mnist", "ab000003"), ("digits", "abc00002"), ("digits", "xyz00001")]):
        made = create_sweep_dir(tmp_path, name, sweep_id)
        made.ledger_path.touch()
        made.spec_path.touch()
        os.utime(made.spec_path, (1000 + age, 1000 + age))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("last", "xyz00001"),
        ("abc00002", "abc00002"),
        ("abc", "abc00002"),
        ("x", "xyz00001"),
        ("mnist", "ab000003"),
        ("digits-xyz00001", "xyz00001"),
    ],
)
def test_a_sweep_answers_to_its_id_its_name_and_their_beginnings(runs, name, found):
    """As short as it is clear."""
    assert find_sweep(runs, name).sweep_id == found


def test_a_sweep_answers_to_its_directory(runs, tmp_path_factory):
    """Wherever the runs directory is said to be."""
    assert find_sweep(tmp_path_factory.mktemp("empty"), str(runs / "mnist-ab000003")).sweep_id == "ab000003"


def test_a_file_inside_its_directory_names_it_too(runs):
    """Completed by the shell."""
    assert find_sweep(runs, str(runs / "mnist-ab000003" / "ledger.sqlite")).sweep_id == "ab000003"


def test_an_ambiguous_name_lists_what_it_may_mean(runs):
    """With the ids to choose from."""
    with pytest.raises(UnknownSweepError, match="'ab' means 2 sweeps; give more of the id") as caught:
        find_sweep(runs, "ab")
    assert "ab000003  mnist-ab000003" in str(caught.value)
    assert "xyz" not in str(caught.value)


def test_a_misspelt_name_gets_the_nearest(runs):
    """Did you mean."""
    with pytest.raises(UnknownSweepError, match=r"no sweep 'xzy00001' in .*\n  Did you mean xyz00001"):
        find_sweep(runs, "xzy00001")


def test_a_misspelt_beginning_gets_the_nearest(runs):
    """As whole names do."""
    with pytest.raises(UnknownSweepError, match=r"Did you mean xyz00001\?"):
        find_sweep(runs, "zxy0")


def test_a_name_like_no_other_is_told_which_there_are(runs):
    """No guess is better than a bad one; of many the newest are named."""
    with pytest.raises(
        UnknownSweepError, match=r"There are xyz00001 \(digits\), abc00002 \(digits\), ab000003 \(mnist\)\."
    ):
        find_sweep(runs, "qqqqqqqqqqqq")
    for number in range(4):
        create_sweep_dir(runs, "more", f"zz00000{number}").ledger_path.touch()
    with pytest.raises(UnknownSweepError, match="and 2 more; `sweep ls` lists them"):
        find_sweep(runs, "qqqqqqqqqqqq")


def test_a_whole_name_comes_before_one_that_begins_so(runs):
    """As it was given, with whatever its directory cannot carry."""
    create_sweep_dir(runs, "mnist big", "big00001").ledger_path.touch()
    assert find_sweep(runs, "mnist").sweep_id == "ab000003"
    assert find_sweep(runs, "mnist big").sweep_id == find_sweep(runs, "mnist-b").sweep_id == "big00001"


def test_no_sweeps_at_all(tmp_path):
    """How to start one, and where it was looked for."""
    with pytest.raises(UnknownSweepError, match=r"there is no sweep in .*/none\.\n  Start one with `sweep run SPEC`"):
        find_sweep(tmp_path / "none")


def test_sweeps_are_listed_the_newest_first(runs):
    """By when they were started, not by when something was written."""
    assert [sweep.sweep_id for sweep in all_sweeps(runs)] == ["xyz00001", "abc00002", "ab000003"]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("digits", "digits"),
        ("../../etc/passwd", "etc-passwd"),
        ("a b/c\\d\n", "a-b-c-d"),
        ("Größe", "Groe"),
        ("...", "sweep"),
        ("", "sweep"),
        ("-rf", "rf"),
        ("x" * 300, "x" * 60),
    ],
)
def test_a_name_never_leaves_the_runs_directory(tmp_path, name, safe):
    """Whatever it is, it becomes one plain folder name."""
    assert slug(name) == safe
    assert create_sweep_dir(tmp_path, name, "abcd1234").path.parent == tmp_path.resolve()


def test_ids_are_eight_lower_case_characters():
    """As W&B's."""
    ids = {new_sweep_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(i) == 8 and i.isalnum() and i == i.lower() for i in ids)


def test_where_sweeps_are_kept(monkeypatch):
    """As given, else SWEEP_RUNS_DIR, else ./sweep-runs; an empty variable is no directory."""
    monkeypatch.delenv("SWEEP_RUNS_DIR", raising=False)
    assert runs_dir(None) == Path("sweep-runs")
    monkeypatch.setenv("SWEEP_RUNS_DIR", "/data/sweeps")
    assert runs_dir(None) == Path("/data/sweeps")
    assert runs_dir(Path("here")) == Path("here")
    monkeypatch.setenv("SWEEP_RUNS_DIR", "")
    assert runs_dir(None) == Path("sweep-runs")


def test_sweeps_of_version_0_1_are_found_in_the_usual_place(tmp_path, monkeypatch):
    """What lies in ./runs is listed beside what lies in ./sweep-runs, each once, though it is linked; elsewhere it is not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_RUNS_DIR", raising=False)
    old = create_sweep_dir(Path("runs"), "old", "aaaaaaaa")
    new = create_sweep_dir(runs_dir(None), "new", "bbbbbbbb")
    for sweep in (old, new):
        sweep.ledger_path.touch()
    leave_way_in(new)
    assert (tmp_path / "runs" / "new-bbbbbbbb").resolve() == new.path
    assert {sweep.sweep_id for sweep in all_sweeps(runs_dir(None))} == {"aaaaaaaa", "bbbbbbbb"}
    assert len(all_sweeps(runs_dir(None))) == 2
    assert find_sweep(runs_dir(None), "aaaa").path == old.path
    assert all_sweeps(tmp_path / "elsewhere") == []
    leave_way_in(new)
    leave_way_in(create_sweep_dir(tmp_path / "elsewhere", "other", "cccccccc"))
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["new-bbbbbbbb", "old-aaaaaaaa"]
