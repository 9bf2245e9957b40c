"""Which files go along."""

import os
import subprocess
import sys

import pytest

from orchestrator.errors import ProgramError
from orchestrator.project import listing
from orchestrator.project.listing import files_of, git_state, project_of


def git(where, *arguments):
    environ = {"PATH": os.environ["PATH"], "HOME": str(where)}
    for role in ("AUTHOR", "COMMITTER"):
        environ |= {f"GIT_{role}_NAME": "x", f"GIT_{role}_EMAIL": "x@example.org"}
    subprocess.run(["git", "-C", where, *arguments], check=True, env=environ, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    """A repository with tracked, untracked, ignored and secret files, a link, a pipe, and one inside of it."""
    top = tmp_path / "project"
    (top / "exp").mkdir(parents=True)
    git(tmp_path, "init", "-q", top)
    for name in ("exp/train.py", "lib.py", "gone.py", "wandb_keys.pem"):
        (top / name).write_text(name)
    (top / ".gitignore").write_text("data/\n*.ckpt\n")
    git(top, "add", "-f", ".")
    git(top, "commit", "-qm", "x")
    (top / "gone.py").unlink()
    (top / "new.py").write_text("untracked")
    (top / "exp/train.py").write_text("changed")
    for name in ("data/big", "m.ckpt", ".env", "sweep-runs/x/ledger.sqlite", "__pycache__/lib.pyc", "my-runs/y/z"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text("secret" if name == ".env" else "no")
    (top / "link").symlink_to("lib.py")
    os.mkfifo(top / "pipe")
    (top / "into").symlink_to("my-runs/y")
    (top / "exp/run.sh").touch(mode=0o755)
    (top / "inner").mkdir()
    git(tmp_path, "init", "-q", top / "inner")
    (top / "inner/sub.py").touch()
    return top


def test_a_repository_gives_what_git_knows_or_would_add(repository):
    """Seen from a directory inside: tracked and untracked files of the whole, none ignored, secret, gone or a result."""
    project = project_of(repository / "exp")
    assert (project.root, project.cwd, project.is_git) == (repository, "exp", True)
    found = files_of(project, without=[repository / "my-runs"])
    assert [each.path for each in found] == [
        ".gitignore",
        "exp/run.sh",
        "exp/train.py",
        "inner/sub.py",
        "lib.py",
        "link",
        "new.py",
    ]
    assert [each.path for each in found if each.is_link] == ["link"]
    assert [each.path for each in found if each.is_executable] == ["exp/run.sh"]
    (repository / ".sweepignore").write_text("# not needed\nnew.py\n/inner/\n")
    left = {each.path for each in found} - {each.path for each in files_of(project, without=[repository / "my-runs"])}
    assert left == {"new.py", "inner/sub.py"}


def test_the_commit_and_the_patch_are_told_without_secrets(repository):
    """What differs from the commit, but not in files that never go along."""
    (repository / "wandb_keys.pem").write_text("hunter2")
    state = git_state(project_of(repository))
    assert len(state["sha"]) == 40
    assert "+changed" in state["diff"]
    assert "hunter2" not in state["diff"]


def test_a_directory_without_git_gives_all_but_results_and_environments(tmp_path):
    """Odd names included; what holds a sweep or an environment is left out with all that is in it."""
    for name in (
        "train.py",
        "a/b.txt",
        "env/pyvenv.cfg",
        "env/lib/x.py",
        "out/ledger.sqlite",
        "out/y",
        ".venv/z",
        "k.pem",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).touch()
    project = project_of(tmp_path)
    assert not project.is_git
    assert [each.path for each in files_of(project)] == ["a/b.txt", os.fsdecode(b"caf\xe9.txt"), "train.py"]


def test_what_the_own_output_is_written_to_is_no_part(tmp_path):
    """`sweep run > run.out 2> err.out` in the project."""
    for name in ("train.py", "old.out"):
        (tmp_path / name).write_text("1")
    code = "from orchestrator.project.listing import *; print([x.path for x in files_of(project_of('.'))])"
    with (tmp_path / "run.out").open("w") as out, (tmp_path / "err.out").open("w") as err:
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, stdout=out, stderr=err, check=True)
    assert (tmp_path / "run.out").read_text() == "['old.out', 'train.py']\n"


def test_a_home_directory_under_git_is_no_project(tmp_path, monkeypatch):
    """Only the working directory is."""
    git(tmp_path, "init", "-q", tmp_path)
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert project_of(tmp_path / "work").root == tmp_path / "work"


def test_a_project_that_is_too_large_is_refused_with_its_largest_files(tmp_path, monkeypatch):
    """The limit, the largest files with their sizes, and what to do."""
    monkeypatch.setattr(listing, "MOST_BYTES", 1 << 20)
    (tmp_path / "train.py").touch()
    with (tmp_path / "weights.bin").open("wb") as file:
        file.truncate(3 << 20)
    with pytest.raises(
        ProgramError, match=r"3 MiB in 2 files, at most 1 MiB.*\n +3\.0 MiB  weights\.bin(.|\n)*\.sweepignore"
    ):
        files_of(project_of(tmp_path))
    (tmp_path / ".sweepignore").write_text("*.bin\n")
    assert [each.path for each in files_of(project_of(tmp_path))] == [".sweepignore", "train.py"]
