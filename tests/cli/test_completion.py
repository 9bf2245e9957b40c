import os
import subprocess

import pytest

from tests.cli.shell import SWEEP, environ, sweep
from tests.sweeps import RANDOM, Sweep


@pytest.fixture
def project(tmp_path):
    """A folder with specs, and a sweep of two trials in its runs directory."""
    for name in ("digits.yaml", "other.yml", ".hidden.yaml", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "deep.yaml").touch()
    (tmp_path / "sweep-runs").mkdir()
    made = Sweep(tmp_path / "sweep-runs", RANDOM.format(run_cap=2))
    ledger = made.ledger()
    for _ in range(2):
        ledger.add_trial({"lr": 0.5})
    ledger.close()
    return tmp_path


def offered(line, project):
    """What bash offers after `line` and Tab."""
    words = line.split()
    count = len(words) if line.endswith(" ") else len(words) - 1
    done = sweep(cwd=project, COMP_WORDS=line, COMP_CWORD=str(count), _SWEEP_COMPLETE="complete_bash")
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sweep res", ["resume"]),
        ("sweep run ", ["digits.yaml", "other.yml"]),
        ("sweep run d", ["digits.yaml"]),
        ("sweep run specs/", ["specs/deep.yaml"]),
        ("sweep run missing/", []),
        ("sweep plan .", [".hidden.yaml"]),
        ("sweep try d", ["digits.yaml"]),
        ("sweep show ", ["last", "abcd1234", "1", "0"]),
        ("sweep show 1", ["1"]),
        ("sweep logs last/", ["last/1", "last/0"]),
        ("sweep compare abcd1234 ", ["last", "abcd1234", "1", "0"]),
        ("sweep best ", ["last", "abcd1234"]),
        ("sweep resume a", ["abcd1234"]),
        ("sweep stop t", ["test-abcd1234"]),
        ("sweep show abcd1234 ", ["1", "0"]),
        ("sweep logs last 1", ["1"]),
        ("sweep logs nope ", []),
    ],
)
def test_tab_completes(project, line, words):
    """Commands, specs, sweeps and the numbers of their trials."""
    assert offered(line, project) == words


def test_options_are_completed(project):
    """With everything the command takes."""
    assert {"--count", "--set", "--runs-dir", "--json"} <= set(offered("sweep run --", project))


def test_another_runs_directory_is_looked_into(project):
    """Said on the same line, or by the environment."""
    (project / "elsewhere").mkdir()
    assert offered("sweep show --runs-dir elsewhere ", project) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_shown(tmp_path, shell):
    """A script that the shell can source; it calls `sweep` back."""
    done = sweep("--show-completion", shell, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "_SWEEP_COMPLETE" in done.stdout


@pytest.mark.parametrize("parent", ["sh", "bash"])
@pytest.mark.parametrize("words", [["--show-completion", "fish"], ["--show-completion=fish"]])
def test_a_named_shell_is_the_one_meant(tmp_path, parent, words):
    """Whatever shell the command is called from."""
    call = [parent, "-c", f"'{SWEEP}' {' '.join(words)}; exit $?"]
    done = subprocess.run(call, cwd=tmp_path, env=environ(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("complete --command sweep")


@pytest.mark.parametrize("option", ["--show-completion", "--install-completion"])
def test_an_unknown_shell_is_told_what_is_known(tmp_path, option):
    """In one line, with the name; nothing is written."""
    done = sweep(option, "tcsh", cwd=tmp_path, HOME=str(tmp_path))
    assert done.returncode == 2
    assert "'tcsh' is not one of bash, zsh, fish, powershell, pwsh" in done.stderr
    assert not list(tmp_path.iterdir())


def test_completion_can_be_installed(tmp_path):
    """Into the user's own bash, and nowhere else."""
    done = sweep("--install-completion", "bash", cwd=tmp_path, HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    installed = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("_SWEEP_COMPLETE" in path.read_text(encoding="utf-8") for path in installed)
    assert os.path.commonpath(installed) == str(tmp_path)
