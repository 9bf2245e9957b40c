"""`uv run` and its like: how a command line divides, and what the wrapper's answer becomes."""

import os
import sys

import pytest

from orchestrator.errors import ProgramError
from orchestrator.interpreters.wrappers import ask_wrapper, wrapped
from tests.cli.shell import SWEEP
from tests.scripts import run
from tests.trial.environments.pythons import made

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
    """With its exit code, or that it is not there, and the cure."""
    with pytest.raises(ProgramError, match=r"`uv run --bad python` does not run \(exit code 2\)(.|\n)*--python PATH"):
        ask_wrapper(wrapped(["uv", "run", "--bad", "python", "x.py"], tmp_path), cwd=str(tmp_path), environ=uv)
    with pytest.raises(ProgramError, match=r"`uv run python` does not start: there is no uv on PATH"):
        ask_wrapper(wrapped(["uv", "run", "x.py"], tmp_path), cwd=str(tmp_path), environ={"PATH": str(tmp_path)})


PROJECTS = {
    "uv": '[project]\nname = "p"\nversion = "0"\nrequires-python = ">=3.11"\n',
    "poetry": '[project]\nname = "p"\nversion = "0"\nrequires-python = ">=3.11"\n[tool.poetry]\npackage-mode = false\n',
    "pdm": '[project]\nname = "p"\nversion = "0"\nrequires-python = ">=3.11"\n[tool.pdm]\ndistribution = false\n',
}
"""pyproject.toml of projects that need nothing: what wrappers make of a project is theirs."""

CONDA = """#!/bin/sh
[ "$1 $2 $3" = "run -n work" ] || exit 9
shift 3
export CONDA_PREFIX={prefix} CONDA_DEFAULT_ENV=work PATH={prefix}/bin:$PATH
for hook in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do . "$hook"; done
exec "$@"
"""

SPEC = """
program: train.py
method: random
metric: {{name: loss}}
run_cap: 1
parameters: {{lr: {{min: 0.0, max: 1.0}}}}
command: [{wrapper}, python, "${{program}}", "${{args}}"]
"""

PROGRAM = """
import os, sys, orchestrator
print("prefix", sys.prefix, os.environ.get("OF_THE_HOOK"))
orchestrator.report({"loss": 1.0})
"""


def tried(project, wrapper, **changes):
    (project / "train.py").write_text(PROGRAM)
    (project / "sweep.yaml").write_text(SPEC.format(wrapper=wrapper))
    done = run(SWEEP, "try", "sweep.yaml", cwd=project, **changes)
    return done.stdout + done.stderr


@pytest.mark.soak
@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_of_a_real_wrapper_runs_warm(tmp_path, name):
    """uv, poetry and pdm as pip installs them: the environment that they make for a project is the trials'."""
    tool = made("3.11", (name,))
    if isinstance(tool, str):
        pytest.skip(tool)
    (tmp_path / "pyproject.toml").write_text(PROJECTS[name])
    changes = {"PATH": f"{tool.parent}:{os.environ['PATH']}", "UV_PYTHON_DOWNLOADS": "never"}
    changes |= {"POETRY_VIRTUALENVS_IN_PROJECT": "true", "UV_PYTHON": str(tool), "PDM_CHECK_UPDATE": "false"}
    said = tried(tmp_path, f"{name}, run", **changes, VIRTUAL_ENV="")
    assert f"(by `{name} run`)" in said
    assert f"prefix {tmp_path}/.venv" in said
    assert "warm" in said


@pytest.mark.soak
def test_an_environment_of_condas_runs_warm(tmp_path):
    """What its activation scripts set reaches trials that start without it; the one that is activated needs no wrapper."""
    base, prefix = made("3.11", ()), tmp_path / "envs" / "work"
    if isinstance(base, str):
        pytest.skip(base)
    run(base, "-m", "venv", "--without-pip", prefix, cwd=tmp_path)
    (prefix / "conda-meta").mkdir()
    (prefix / "etc" / "conda" / "activate.d").mkdir(parents=True)
    (prefix / "etc" / "conda" / "activate.d" / "of.sh").write_text("export OF_THE_HOOK=set\n")
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / "conda").write_text(CONDA.format(prefix=prefix))
    (shims / "conda").chmod(0o755)
    said = tried(tmp_path, "conda, run, -n, work", PATH=f"{shims}:{base.parent}:{os.environ['PATH']}", VIRTUAL_ENV="")
    assert "(by `conda run`)" in said
    assert f"prefix {prefix} set" in said
    (tmp_path / "activated").mkdir()
    active = {"CONDA_PREFIX": str(prefix), "CONDA_DEFAULT_ENV": "work", "VIRTUAL_ENV": ""}
    said = tried(tmp_path / "activated", "/usr/bin/env", PATH=f"{base.parent}:{os.environ['PATH']}", **active)
    assert f"prefix {prefix} None" in said
