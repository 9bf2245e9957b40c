"""A shim of pyenv is asked once, and again when it may choose another interpreter; other scripts are asked each time."""

import os

import pytest

from orchestrator.interpreters import probe, pyenv
from tests.interpreters.environments import python

SHIM = """#!/usr/bin/env bash
set -e
[ -n "$PYENV_DEBUG" ] && set -x

program="${{0##*/}}"

export PYENV_ROOT="{root}"
exec "{root}/libexec/pyenv" exec "$program" "$@"
"""

PYENV = """#!/usr/bin/env bash
shift 2
while [ ! -f .python-version ] && [ "$PWD" != / ]; do cd ..; done
version="${PYENV_VERSION:-$(cat .python-version 2>/dev/null || cat "$PYENV_ROOT/version")}"
exec "$PYENV_ROOT/versions/$version/bin/python" "$@"
"""
"""What of pyenv's choice is tried here."""


@pytest.fixture
def shim(tmp_path):
    """A shim as pyenv 2 writes it, with two versions, of which the second is the one to use everywhere."""
    root = tmp_path / "root"
    for version in ("3.12", "3.13"):
        folder = root / "versions" / version / "bin"
        folder.mkdir(parents=True)
        (folder / "python").symlink_to(python(version))
    (root / "version").write_text("3.13\n")
    for name, text in (("shims/python", SHIM.format(root=root)), ("libexec/pyenv", PYENV)):
        path = root / name
        path.parent.mkdir()
        path.write_text(text)
        path.chmod(0o755)
    return root / "shims/python"


def test_a_shim_is_asked_when_it_may_choose_another(tmp_path, shim, monkeypatch):
    """By its variable, by a file in the folder or above it, by the file for everywhere, by what is installed."""
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin"}
    env.pop("PYENV_VERSION", None)
    asked: list[str] = []
    ask = probe.ask
    monkeypatch.setattr(probe, "ask", lambda *a, **k: asked.append("") or ask(*a, **k))
    work = tmp_path / "above/work"
    work.mkdir(parents=True)

    def look(cwd=work, **more):
        before = len(asked)
        found = probe.probe(str(shim), cwd=str(cwd), environ={**env, **more})
        return found.version[1], len(asked) - before

    assert [look(), look()] == [(13, 1), (13, 0)]
    (tmp_path / "above/.python-version").write_text("3.12\n")
    assert [look(), look()] == [(12, 1), (12, 0)]
    (work / ".python-version").write_text("3.13\n")
    assert [look(), look()] == [(13, 1), (13, 0)]
    assert [look(tmp_path / "above"), look(tmp_path / "above")] == [(12, 1), (12, 0)]
    assert [look(PYENV_VERSION="3.12"), look(PYENV_VERSION="3.12"), look()] == [(12, 1), (12, 0), (13, 0)]
    (shim.parents[1] / "versions/3.14").mkdir()
    assert [look(), look()] == [(13, 1), (13, 0)]
    shim.write_text(shim.read_text().replace("set -e", "set -e; PYENV_VERSION=3.12"))
    assert [look(), look()] == [(13, 1), (13, 1)]


def test_what_only_looks_like_a_shim_is_asked_each_time(tmp_path, shim):
    """A line more may choose by anything."""
    assert pyenv.choice(str(shim), str(tmp_path), {}).key
    shim.write_text(SHIM.format(root=shim.parents[1]).replace("exec", "cd /; exec", 1))
    assert pyenv.choice(str(shim), str(tmp_path), {}) == pyenv.Choice(key={})
