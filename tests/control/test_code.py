"""Which code trials run, and what is said of it."""

import os

import pytest

from orchestrator.control.code import baggage_of, settle_code
from orchestrator.errors import ProgramError
from orchestrator.layout import SweepDir
from orchestrator.project import listing
from orchestrator.project.kept import KeptCode
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind


@pytest.fixture
def settle(tmp_path):
    """Begins or goes on with a sweep in a project; returns what it runs from and what was said."""
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "src/train.py").write_text("1")
    sweep_dir = SweepDir(project / "sweep-runs/x-abcd1234")
    sweep_dir.path.mkdir(parents=True)

    def settled(pin, **more):
        said = []
        found = settle_code(KeptCode(sweep_dir, project), sweep_dir, pin=pin, say=said.append, **more)
        return found, said

    return settled


def test_a_sweep_runs_from_its_project_and_says_what_changed(settle, tmp_path):
    """Nothing at first, nor when nothing changed; then which files."""
    assert settle(None) == (None, [])
    assert settle(None) == (None, [])
    (tmp_path / "project/src/train.py").write_text("2")
    found, said = settle(None)
    assert found is None
    assert "has changed since trials last ran: M src/train.py" in said[0]
    assert settle(None) == (None, [])


def test_a_pinned_sweep_goes_on_with_its_copy_until_it_is_told_otherwise(settle, tmp_path):
    """Whatever happens to the project."""
    first, said = settle(True)
    assert said == [f"trials run from a copy of {tmp_path / 'project'}: {first.path}"]
    (tmp_path / "project/src/train.py").write_text("2")
    again, said = settle(None)
    assert again == first
    assert "M src/train.py" in said[0]
    assert (tmp_path / again.cwd / "src/train.py").read_text() == "1"
    found, said = settle(False)
    assert found is None
    assert "from now on they run it so" in said[0]
    assert settle(None) == (None, [])


def test_what_is_too_large_is_refused_only_where_it_has_to_go_along(settle, monkeypatch):
    """With what to do about it."""
    monkeypatch.setattr(listing, "MOST_FILES", 0)
    assert settle(None) == (None, [])
    with pytest.raises(ProgramError, match="too large to go along"):
        settle(True)


def test_a_launch_moves_into_the_copy(settle, tmp_path, monkeypatch):
    """Its directory, a script by its whole path, PYTHONPATH; neither data nor the trial's own directory."""
    pinned, _ = settle(True)
    root = str(tmp_path / "project")
    script = f"{root}/src/train.py"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/opt/x", f"{root}/src", f"{root}/missing"]))
    launch = Launch(
        sweep_id="abcd1234",
        sweep_name="x",
        trial=0,
        attempt=0,
        trial_dir=f"{root}/sweep-runs/x-abcd1234/trials/0000",
        cwd=root,
        program=Program(kind=ProgramKind.SCRIPT, target=script),
        argv=("python", script, f"--data={root}/data"),
        config={},
    )
    moved = pinned.moved(launch)
    assert (moved.cwd, moved.trial_dir) == (pinned.path, launch.trial_dir)
    assert moved.program.target == f"{pinned.path}/src/train.py"
    assert moved.argv == ("python", f"{pinned.path}/src/train.py", f"--data={root}/data")
    assert moved.env == {"PYTHONPATH": os.pathsep.join(["/opt/x", f"{pinned.path}/src", f"{root}/missing"])}


def test_on_a_cluster_code_goes_along_unless_it_cannot_or_must_not(settle, tmp_path, monkeypatch):
    """A copy by default, of what the project is each time; none with --no-pin; what is too large is said, and not compared."""
    found, _ = settle(None, on_cluster=True)
    (tmp_path / "project/src/train.py").write_text("2")
    again, said = settle(None, on_cluster=True)
    assert [(tmp_path / each.cwd / "src/train.py").read_text() for each in (found, again)] == ["1", "2"]
    assert "M src/train.py; from now on they run it so" in said[0]
    assert settle(None) == (None, [])
    assert settle(False, on_cluster=True) == (None, [])
    monkeypatch.setattr(listing, "MOST_FILES", 0)
    found, said = settle(None, on_cluster=True)
    assert found is None
    assert "which every node must see" in said[0]


def test_a_node_apart_is_given_the_copy_and_the_function(settle, tmp_path):
    """Unpacked there, they are what they are here, at the same place in the sweep's directory."""
    pinned, _ = settle(True)
    sweep_dir = SweepDir(tmp_path / "project/sweep-runs/x-abcd1234")
    sweep_dir.function_path.write_bytes(b"f")
    code = KeptCode(sweep_dir, tmp_path / "project")
    baggage_of(sweep_dir, code, pinned).unpack(tmp_path / "node")
    there = tmp_path / "node" / os.path.relpath(pinned.path, sweep_dir.path)
    assert (there / "src/train.py").read_text() == "1"
    assert (tmp_path / "node/function.pkl").read_bytes() == b"f"
    assert baggage_of(sweep_dir, code, None).code is None
