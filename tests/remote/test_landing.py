"""How a project gets its place on a head, and what is refused there."""

import io
import json
import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.errors import ProgramError, SweepError
from orchestrator.layout import SweepDir
from orchestrator.project.kept import KeptCode
from orchestrator.project.listing import files_of, git_state, project_of
from orchestrator.remote.landing import JOB_CONFIG, land
from orchestrator.remote.parcel import Parcel, packed


def parcel_of(project, **changes):
    fields = {
        "project": project.root.name,
        "cwd": project.cwd,
        "entries": {},
        "git": None,
        "spec_name": "sweep.yaml",
        "spec_text": "method: grid  # mine\n",
        "words": ["--id", "abcdefgh"],
        "version": "1",
    }
    return packed(Parcel(**{**fields, **changes}), project)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository whose program lies in a folder; with data that git ignores, and a folder that caches are called like."""
    top = tmp_path / "there" / "project"
    (top / "exp/wandb").mkdir(parents=True)
    for name in ("exp/train.py", "exp/wandb/keys.py", ".env", "data.bin"):
        (top / name).write_text(name)
    (top / ".gitignore").write_text("*.bin\n")
    (top / "link").symlink_to("exp/train.py")
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "-q"], ["add", "-f", "."], [*who, "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", top, *words], check=True, env=environ, capture_output=True)
    (top / "exp/train.py").write_text("changed")
    monkeypatch.chdir(tmp_path)
    return project_of(top / "exp")


def test_a_parcel_that_no_head_would_read_is_refused_here(project, monkeypatch):
    """With what it is that is so large, before anything is sent."""
    monkeypatch.setattr("orchestrator.remote.parcel.MOST_HEAD", 1 << 20)
    with pytest.raises(ProgramError, match=r"1 MiB is the most: earlier trials 1.5 MiB, names of 5 files.*\n.*--prior"):
        parcel_of(project, prior="x" * (3 << 19))


def test_a_project_lands_as_it_was(project, tmp_path):
    """Its files, links and working directory, in a place of its own; its commit and diff are those from there."""
    parcel, data = parcel_of(project)
    runs = tmp_path / "here" / "sweep-runs"
    words = land(io.BytesIO(data), runs, "1")
    assert words[:1] + words[2:] == ["run", "--pin", "--runs-dir", str(runs), "--id", "abcdefgh"]
    assert Path(words[1]).read_text() == "method: grid  # mine\n"
    place = Path.cwd()
    assert place.parts[-3:-1] == ("sweep-projects", f"project-{parcel.contents.fingerprint}")
    assert (place / "train.py").read_text() == "changed"
    found = project_of(place)
    assert files_of(found) == files_of(project)
    assert git_state(found) == git_state(project)
    assert not (place.parent / ".env").exists()
    assert (place.parent / "link").is_symlink()


def test_a_sweep_there_keeps_the_same_copy(project, tmp_path):
    """By the same fingerprint as on the machine that it came from, with its commit beside it."""
    parcel, data = parcel_of(project)
    land(io.BytesIO(data), tmp_path / "here" / "sweep-runs", "1")
    sweep_dir = SweepDir(tmp_path / "here" / "sweep-runs" / "train-abcdefgh")
    sweep_dir.path.mkdir(parents=True)
    kept = KeptCode(sweep_dir, Path.cwd()).keep()
    assert kept.copy.fingerprint == parcel.contents.fingerprint
    assert kept.copy.sha == git_state(project)["sha"]
    assert (sweep_dir.code_path / f"{kept.copy.fingerprint}.diff").read_text() == git_state(project)["diff"]


def test_landing_twice_is_landing_once(project, tmp_path):
    """What is there stays; a file that was changed there is put right."""
    _, data = parcel_of(project)
    runs = tmp_path / "here" / "sweep-runs"
    land(io.BytesIO(data), runs, "1")
    (Path.cwd() / "train.py").write_text("spoilt")
    land(io.BytesIO(data), runs, "1")
    assert (Path.cwd() / "train.py").read_text() == "changed"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda data: data[: len(data) // 2], "half of one|unpacked|damaged"),
        (lambda data: b"", "no parcel"),
        (lambda data: b"{}\n", "another release"),
        (lambda data: data.replace(b'"version": "1"', b'"version": "2"', 1), "release 2, and this is 1"),
        (lambda data: data.replace(b'"cwd": "exp"', b'"cwd": "../../.."', 1), "out of the project"),
        (lambda data: data.replace(b'"cwd": "exp"', b'"cwd": ["exp"]', 1), "no parcel"),
    ],
)
def test_what_is_no_whole_parcel_of_this_release_is_refused(project, tmp_path, spoil, why):
    """Nothing runs then."""
    _, data = parcel_of(project)
    with pytest.raises(ProgramError, match=why):
        land(io.BytesIO(spoil(data)), tmp_path / "here" / "sweep-runs", "1")


def test_a_place_that_cannot_be_written_is_said(project, tmp_path):
    """With its path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SweepError, match="file/sweep-projects"):
        land(io.BytesIO(parcel_of(project)[1]), tmp_path / "file" / "sweep-runs", "1")


@pytest.mark.parametrize("config", ['{"runtime_env": {"working_dir": "gcs://x", "env_vars": {}}, "metadata": {}}', "?"])
def test_workers_do_not_want_the_jobs_package(project, tmp_path, monkeypatch, config):
    """The sweep brings the project to them itself; what is not understood stays."""
    monkeypatch.setenv(JOB_CONFIG, config)
    land(io.BytesIO(parcel_of(project)[1]), tmp_path / "here" / "sweep-runs", "1")
    after = os.environ[JOB_CONFIG]
    assert after == "?" or json.loads(after) == {"runtime_env": {"env_vars": {}}, "metadata": {}}
