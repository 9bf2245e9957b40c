import errno
import subprocess

import pytest

from orchestrator.cli import main as module
from orchestrator.cli.main import COMMANDS, build, main
from orchestrator.errors import SweepLockedError
from tests.cli.shell import sweep


def test_help_fits_a_terminal_of_eighty_columns(tmp_path):
    """Every command with its whole line; the order is that of a sweep's life."""
    text = sweep("--help", cwd=tmp_path, COLUMNS="80").stdout
    assert text.count("...") == 1  # of ARGS...
    assert all(len(line) <= 80 for line in text.splitlines())
    positions = [text.index(f"\n  {name} ") for name in COMMANDS]
    assert positions == sorted(positions)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name):
    """It can be imported, and its first sentence says what it does."""
    group = build()
    _, command, _ = group.resolve_command(None, [name])
    assert command.help.strip()[0].isupper()


def test_a_command_that_takes_too_long_is_ended(tmp_path):
    """Also in the fork of a process that stays: the next command is answered as if nothing had been."""
    with pytest.raises(subprocess.TimeoutExpired):
        sweep("ls", cwd=tmp_path, timeout=0)
    assert sweep("ls", cwd=tmp_path).returncode == 0


def test_a_misspelt_command_gets_the_nearest(tmp_path):
    """Did you mean."""
    done = sweep("rseume", cwd=tmp_path)
    assert done.returncode == 2
    assert "Did you mean 'resume'" in done.stderr


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (SweepLockedError("held by pid 1 on box"), 6, "error: held by pid 1 on box\n"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), 2, "error: runs/x: No space left on device\n"),
        (PermissionError(errno.EACCES, "Permission denied", "runs/x"), 2, "error: runs/x: Permission denied\n"),
    ],
)
def test_errors_become_one_line_and_an_exit_code(monkeypatch, capsys, error, code, message):
    """No traceback for what the user can mend."""

    def fail(**_):
        raise error

    monkeypatch.setattr(module, "build", lambda: fail)
    with pytest.raises(SystemExit) as exit_:
        main()
    assert (exit_.value.code, capsys.readouterr().err) == (code, message)


def test_a_bug_shows_where_it_is(monkeypatch):
    """An error that nobody foresaw is not dressed up as a user's mistake."""

    def fail(**_):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "x")

    monkeypatch.setattr(module, "build", lambda: fail)
    with pytest.raises(FileNotFoundError):
        main()


@pytest.mark.parametrize("runs", ["afile/runs", "/proc/nowhere"])
def test_a_runs_directory_that_cannot_be_made(tmp_path, runs):
    """Named with the reason, before anything starts."""
    (tmp_path / "afile").touch()
    (tmp_path / "train.py").touch()
    (tmp_path / "sweep.yaml").write_text("{program: train.py, method: random, parameters: {a: {values: [1, 2]}}}")
    done = sweep("run", "sweep.yaml", "--runs-dir", runs, cwd=tmp_path)
    assert done.returncode == 2
    assert "no sweep can be kept in" in done.stderr
    assert "--runs-dir" in done.stderr
    assert "Traceback" not in done.stderr
