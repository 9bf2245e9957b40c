import sys
from pathlib import Path

import pytest

from orchestrator.reporting.their_commands import tensorboard_command, wandb_sync_command


@pytest.fixture
def with_tensorboard(tmp_path):
    """Return `made(folder)`: the path of TensorBoard in a folder of an environment, which has W&B's command, too."""

    def made(name):
        path = tmp_path / name / "bin" / "tensorboard"
        path.parent.mkdir(parents=True)
        path.touch(0o755)
        path.with_name("wandb").touch(0o755)
        return path

    return made


def test_it_is_named_where_it_is(tmp_path, monkeypatch, with_tensorboard):
    """From PATH by its name; else by its path beside the command's own Python, or a trial's; else what to install."""
    trial, own = str(tmp_path / "project" / "bin" / "python"), str(tmp_path / "tool" / "bin" / "python")
    monkeypatch.setattr(sys, "executable", own)
    monkeypatch.setenv("PATH", str(tmp_path / "path" / "bin"))
    assert tensorboard_command("a b", ["", trial]) == (
        "tensorboard --logdir 'a b'  (install sweep-orchestrator[board], or tensorboard anywhere)"
    )
    assert wandb_sync_command("a b", ["", trial]) == "wandb sync 'a b'"
    for folder in ("project", "tool"):
        program = with_tensorboard(folder)
        assert tensorboard_command("runs", ["", trial]) == f"{program} --logdir runs"
        assert wandb_sync_command("run", ["", trial]) == f"{program.with_name('wandb')} sync run"
    with_tensorboard("path")
    assert tensorboard_command("runs", [trial]) == "tensorboard --logdir runs"
    assert wandb_sync_command("run", [trial]) == "wandb sync run"


def test_an_interpreter_by_a_relative_name_is_none(tmp_path, monkeypatch, with_tensorboard):
    """A name without a place says nothing of where TensorBoard is, whatever lies in the working directory."""
    monkeypatch.chdir(with_tensorboard("here").parent)
    monkeypatch.setattr(sys, "executable", str(Path("/none/python")))
    monkeypatch.setenv("PATH", "/none")
    assert "(install" in tensorboard_command("runs", ["python"])
