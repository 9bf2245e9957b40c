"""`sweep nodes` on this machine and on a cluster."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.shell import called, sweep, write_project

FAKE = Path(__file__).parents[2] / "execution/programs/fake_pynvml.py"


def test_a_machine_is_looked_at_without_ray(tmp_path):
    """Its row, what is wrong with it and how to mend that; exit code 1 where it is unfit. Colours and JSON say the same."""
    write_project(tmp_path)
    shutil.copy(FAKE, tmp_path / "pynvml.py")
    (tmp_path / "gpus.json").write_text(json.dumps({"gpus": [{"total": 80, "free": 10, "processes": [[1 << 22, 70]]}]}))
    program = tmp_path / "train.py"
    program.write_text(program.read_text() + "try:\n    import not_there_at_all\nexcept ImportError:\n    pass\n")
    done = sweep("nodes", "sweep.yaml", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1, done.stderr
    assert "1 x H100 80GB HBM3 (driver 550.54.15)" in done.stdout
    assert "GPU 0: 70 GB of 80 GB are held by pid 4194304" in done.stdout
    assert "mend: end that process" in done.stdout
    assert "this node is unfit" in done.stdout
    program.write_text("import not_there_at_all\n" + program.read_text())
    found = sweep("nodes", "sweep.yaml", "--json", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    (node,) = json.loads(found.stdout)
    assert (found.returncode, node["fit"], node["driver"]) == (1, False, "550.54.15")
    assert any("not_there_at_all" in finding["what"] for finding in node["findings"])


@pytest.mark.ray
def test_a_cluster_is_looked_at(tmp_path, ray_head, monkeypatch):
    """Each node has a row; it sees the runs directory, and nothing of the question stays there."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.chdir(write_project(tmp_path))
    (node,) = json.loads(called("nodes", "sweep.yaml", "--address", ray_head, "--json"))
    assert (node["fit"], node["sees_runs_dir"], node["cpus"], node["absent"]) == (True, True, 2.0, [])
    assert node["link"]["round_trip_s"] < 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sweep.yaml", "train.py"]
