"""Asking an interpreter what it is: real ones of every version, broken ones, and the memory of the answer."""

import os
import sys
import time
from pathlib import Path

import pytest

from orchestrator.interpreters import cache, probe
from orchestrator.interpreters.probe import UnfitError, own
from tests.interpreters.environments import python, venv


@pytest.fixture
def env(tmp_path):
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13"])
def test_an_interpreter_says_what_it_is_and_has(tmp_path, env, version):
    """Its path, version and packages, read from what lies beside them: nothing of the environment is imported."""
    path = venv(tmp_path / "env", version)
    packages = next((tmp_path / "env" / "lib").glob("python*/site-packages"))
    for name in (
        "wandb-0.21.4.dist-info",
        "tensorboardX-2.6.dist-info",
        "scikit_learn-1.5.egg-info",
        "torch-2.4.0+cpu.dist-info",
    ):
        (packages / name).mkdir()
    (packages / "sitecustomize.py").write_text("print('noise')")
    found = probe.probe(str(path), cwd=str(tmp_path), environ=env)
    assert (found.path, found.prefix, found.is_own) == (str(path), str(tmp_path / "env"), False)
    assert found.version_text.startswith(f"{version}.")
    assert found.packages == {"wandb": "0.21.4", "tensorboardX": "2.6", "scikit-learn": "1.5", "torch": "2.4.0+cpu"}


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.8"])
def test_one_that_is_too_old_says_so(env, version):
    """The question is understood by any Python since 2.7."""
    with pytest.raises(UnfitError, match=rf"is Python {version}\.\d+; trials need 3\.9 or newer"):
        probe.probe(python(version), cwd="/", environ=env)


def test_the_working_directory_is_not_imported_from(tmp_path, env):
    """A program's folder may hold a json.py."""
    (tmp_path / "json.py").write_text("raise SystemExit(1)")
    path = venv(tmp_path / "env", "3.12")
    assert probe.probe(str(path), cwd=str(tmp_path), environ=env).version[:2] == (3, 12)


def test_the_own_interpreter_is_known_under_every_name():
    """No process is started for it."""
    for name in ("python", "python3"):
        found = probe.probe(str(Path(sys.prefix, "bin", name)), cwd="/", environ={})
        assert found is own()
    assert own().packages["ray"]


BROKEN = [
    ("#!/bin/sh\necho boo >&2; exit 3", "does not run \\(exit code 3\\): boo"),
    ("#!/bin/sh\nexit 0", "does not run \\(exit code 0\\): it says nothing"),
    ("#!/bin/sh\necho 'sweep-python {\"version\": 1}'", "does not say what it is"),
    ("#!/bin/sh\nkill -9 $$", "does not run \\(signal 9\\)"),
    ("#!/nowhere/python", "does not start: No such file"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_a_broken_one_says_how(tmp_path, env, text, message):
    """What it printed, and how it ended."""
    path = tmp_path / "python"
    path.write_text(text)
    path.chmod(0o755)
    with pytest.raises(UnfitError, match=message):
        probe.probe(str(path), cwd=str(tmp_path), environ=env)


def test_one_that_hangs_is_ended_with_all_it_started(tmp_path, env):
    """Nothing of it is left, and the wait is bounded."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\nsleep 600 & echo $! > {tmp_path}/pid; wait")
    path.chmod(0o755)
    with pytest.raises(UnfitError, match="does not answer within 1 seconds"):
        probe.ask([str(path)], cwd=str(tmp_path), environ=env, patience_s=1.0)
    pid = int((tmp_path / "pid").read_text())
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        time.sleep(0.01)


def test_the_answer_is_remembered_until_the_environment_changes(tmp_path, env, monkeypatch):
    """An installed package changes it, a damaged or foreign memory is no memory, and what is kept is private."""
    path = str(venv(tmp_path / "env", "3.12"))
    asked: list[str] = []
    ask = probe.ask
    monkeypatch.setattr(probe, "ask", lambda *a, **k: asked.append("") or ask(*a, **k))

    def n_asked() -> int:
        before = len(asked)
        probe.probe(path, cwd=str(tmp_path), environ=env)
        return len(asked) - before

    assert [n_asked(), n_asked()] == [1, 0]
    packages = next((tmp_path / "env" / "lib").glob("python*/site-packages"))
    (packages / "wandb-0.21.4.dist-info").mkdir()
    assert [n_asked(), n_asked()] == [1, 0]
    folder = cache.folder("interpreters", env)
    kept = next(folder.iterdir())
    kept.write_bytes(kept.read_bytes()[:-20])
    assert [n_asked(), n_asked()] == [1, 0]
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    assert [n_asked(), n_asked()] == [1, 1]
