"""A project that changes while trials run."""

import threading

from orchestrator.layout import SweepDir
from orchestrator.project.kept import KeptCode, index_of
from orchestrator.project.snapshot import shortly
from orchestrator.project.watching import CodeWatch


def test_a_change_is_said_once_and_kept(tmp_path):
    """A file that was touched is no change; one with other contents is, from then on with a copy of it."""
    sweep_dir = SweepDir(tmp_path / "runs/x-abcd1234")
    sweep_dir.path.mkdir(parents=True)
    project = tmp_path / "project"
    project.mkdir()
    for name in ("train.py", "lib.py"):
        (project / name).write_text("1")
    code = KeptCode(sweep_dir, project)
    code.keep()
    said = []
    watch = CodeWatch(code, say=said.append, every_s=0.01)
    first = watch.expected
    (project / "lib.py").touch()
    (project / "train.py").write_text("22")
    pause = threading.Event()
    while not said:
        pause.wait(0.01)
        watch.refresh(None)
    watch.refresh(None)
    watch.close()
    assert len(said) == 1
    assert "(M train.py)" in said[0]
    assert len(index_of(sweep_dir).copies) == 2
    assert (first.root, watch.expected.contents.changes_since(first.contents)) == (str(project), ["M train.py"])
    assert CodeWatch(code, say=said.append, is_live=False).expected is None


def test_what_changes_again_and_again_is_written_by_the_run(tmp_path):
    """It is said, and no longer looked at nor expected of nodes; source that is edited twice stays what it is."""
    sweep_dir = SweepDir(tmp_path / "runs/x-abcd1234")
    sweep_dir.path.mkdir(parents=True)
    project = tmp_path / "project"
    project.mkdir()
    for name in ("train.py", "results.csv", ".sweepignore"):
        (project / name).write_text("")
    code = KeptCode(sweep_dir, project)
    code.keep()
    said = []
    watch = CodeWatch(code, say=said.append, every_s=0.01)
    pause = threading.Event()
    for n, names in enumerate(["results.csv", "train.py", "results.csv", "train.py", "results.csv train.py"], 1):
        for name in names.split():
            (project / name).write_text("1" * n)
        while len(said) < n:
            pause.wait(0.01)
            watch.refresh(None)
    watch.close()
    assert ["results.csv" in line for line in said] == [True, False, True, False, False]
    assert "results.csv changed again: this counts as written by the run" in said[2]
    assert ["(M train.py)" in line for line in said] == [False, True, False, True, True]
    assert list(watch.expected.contents.entries) == ["train.py"]


def test_many_changes_are_counted():
    """The first few by name."""
    assert shortly([f"M {n}" for n in range(7)]) == "M 0, M 1, M 2, M 3, M 4 and 2 more"
