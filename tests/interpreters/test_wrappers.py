"""`uv run` and its like: how a command line divides, and what the wrapper's answer becomes."""

import os
import sys

import pytest

from orchestrator.errors import ProgramError
from orchestrator.interpreters.wrappers import ask_wrapper, wrapped

LINES = [
    ("uv run python train.py --lr=1", "uv run", "python"),
    ("uv run --extra gpu train.py --lr=1", "uv run --extra gpu", ""),
    ("conda run -n work --no-capture-output python3 train.py", "conda run -n work --no-capture-output", "python3"),
    ("poetry run python -m pkg.train", "poetry run", "python"),
    ("pixi run python3.10 train.py", "pixi run", "python3.10"),
]


@pytest.mark.parametrize(("line", "wrapper", "python"), LINES)
def test_a_wrappers_words_are_told_from_pythons(tmp_path, line, wrapper, python):
    """What comes before `python`, or before the script that uv runs, is the wrapper's."""
    found = wrapped(line.split(), tmp_path)
    assert (" ".join(found.wrapper), found.python) == (wrapper, python)


@pytest.mark.parametrize(
    "line",
    [
        "python train.py",
        "uv run torchrun train.sh",
        "uv run -m pkg",
        "poetry run train.py",
        "uv run own.py",
        "pixi shell python x.py",
    ],
)
def test_what_runs_in_a_way_of_its_own_is_left_alone(tmp_path, line):
    """Other programs, and a script that brings its own environment: the wrapper itself runs them."""
    (tmp_path / "own.py").write_text("# /// script\n# dependencies = []\n# ///\n")
    assert wrapped(line.split(), tmp_path) is None


@pytest.fixture
def uv(tmp_path):
    """A wrapper that sets variables and runs what it is given, as `uv run` does."""
    path = tmp_path / "bin" / "uv"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nshift\n[ "$1" = --bad ] && exit 2\nADDED=1 VIRTUAL_ENV={tmp_path} exec "$@"\n')
    path.chmod(0o755)
    return {**os.environ, "PATH": f"{path.parent}:{os.environ['PATH']}"}


def test_a_wrapper_is_asked_once_for_python_and_variables(tmp_path, uv):
    """What it sets is what trials get that start without it."""
    words = wrapped(["uv", "run", "python", "train.py"], tmp_path)
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    found = ask_wrapper(words, cwd=str(tmp_path), environ=uv)
    assert found.environ == {"ADDED": "1", "VIRTUAL_ENV": str(tmp_path)}
    assert (found.why, found.wrapper) == ("by `uv run`", ("uv", "run"))


def test_a_wrapper_that_fails_says_so(tmp_path, uv):
    """With its exit code and the cure."""
    with pytest.raises(ProgramError, match=r"`uv run --bad python` does not run \(exit code 2\)(.|\n)*--python PATH"):
        ask_wrapper(wrapped(["uv", "run", "--bad", "python", "x.py"], tmp_path), cwd=str(tmp_path), environ=uv)
