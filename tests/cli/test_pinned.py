"""A sweep whose project is edited, moved and taken up again runs what it began with."""

from pathlib import Path

from tests.cli.shell import sweep

SPEC = "program: train.py\nmethod: grid\nmetric: {name: loss}\nparameters: {x: {values: [1, 2]}}\n"

PROGRAM = """import argparse, os
from orchestrator import report
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=int)
report(loss=parser.parse_args().x + %d, data=float(open("data/number").read()))
print(os.getcwd())
"""


def test_a_pinned_sweep_runs_its_copy_after_an_edit_and_a_move(tmp_path):
    """Trials see the code as it was, and data that did not go along; resuming finds the project where it lies now."""
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    (project / ".sweepignore").write_text("data/\n")
    (project / "data/number").write_text("7")
    (project / "train.py").write_text(PROGRAM % 0)
    (project / "sweep.yaml").write_text(SPEC)
    first = sweep("run", "sweep.yaml", "--count", "1", "--pin", cwd=project)
    assert first.returncode == 0, first.stderr
    assert f"trials run from a copy of {project}" in first.stderr
    (project / "train.py").write_text(PROGRAM % 100)
    project.rename(tmp_path / "moved")
    second = sweep("resume", "--add", "1", cwd=tmp_path / "moved")
    assert second.returncode == 0, second.stderr
    assert f"the project now lies in {tmp_path / 'moved'} (before: {project})" in second.stderr
    assert "(M train.py)" in second.stderr
    (sweep_dir,) = [
        path for path in (tmp_path / "moved/sweep-runs").iterdir() if path.is_dir() and not path.is_symlink()
    ]
    logs = [(sweep_dir / f"trials/000{n}/output.log").read_text() for n in (0, 1)]
    assert str(project / "sweep-runs") in logs[0]
    assert str(sweep_dir / "code") in logs[1]
    table = Path(sweep_dir, "trials.csv").read_text()
    assert not {"101", "102"} & set(table.replace("\n", ",").split(","))
    assert "cd " + str(tmp_path / "moved") in (sweep_dir / "best.sh").read_text()
