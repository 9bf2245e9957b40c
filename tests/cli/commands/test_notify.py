import sys

import pytest

from orchestrator.cli.main import main
from orchestrator.errors import ExitCode

SPEC = """
program: train.py
method: random
parameters: {a: {min: 1, max: 3}}
orchestrator:
  notify: [{command: [sh, -c, 'cat >> told']}, '${NOT_SET_HERE}', {command: no-such-program}]
"""


@pytest.fixture
def notify(tmp_path, monkeypatch, capsys):
    """Return `notify(*words)`: run the command in a folder with a spec; (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").touch()
    (tmp_path / "spec.yaml").write_text(SPEC)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["sweep", "notify", "spec.yaml", *words])
        with pytest.raises(SystemExit) as exit_:
            main()
        return exit_.value.code, *capsys.readouterr()

    return run


def test_who_would_be_told_and_who_cannot_be(notify, tmp_path):
    """Nobody is told without `--test`; who cannot be is an exit code of its own."""
    code, out, err = notify()
    assert code == ExitCode.NO_TRIAL_SUCCEEDED
    assert out.splitlines() == ["sh: would be told"]
    assert err.splitlines() == [
        "${NOT_SET_HERE}: cannot be told: this variable is not set here",
        "no-such-program: cannot be told: there is no such program here",
    ]
    assert not (tmp_path / "told").exists()
    assert notify("--test", "-q") == (ExitCode.NO_TRIAL_SUCCEEDED, "", "")
    assert "This is what `sweep notify --test` sends." in (tmp_path / "told").read_text()
