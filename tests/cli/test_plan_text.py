import json
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.plan_text import aligned, as_data, command_line, lines
from orchestrator.cli.preview import preview
from orchestrator.control.pythons import Pythons
from orchestrator.interpreters.finding import Found
from orchestrator.interpreters.probe import Interpreter
from orchestrator.printable import clean
from orchestrator.spec.model import (
    Categorical,
    Constant,
    EarlyTerminate,
    Gaussian,
    Interval,
    Kind,
    Method,
    Metric,
    Nested,
    Options,
    Resources,
    SweepSpec,
)

PARAMETERS = {
    "lr": Interval(kind=Kind.LOG_UNIFORM_VALUES, min=0.0003, max=0.03),
    "batch_size": Categorical(values=(16, 32, 64, 128)),
    "epochs": Constant(value=8),
    "opt": Nested(parameters={"name": Categorical(values=("adam", "sgd"), probabilities=(0.9, 0.1))}),
    "noise": Gaussian(kind=Kind.NORMAL),
    "steps": Interval(kind=Kind.INT_UNIFORM, min=1, max=10**15),
}
FULL = SweepSpec(
    method=Method.RANDOM,
    name="digits",
    description="Find \x1b[31mit",
    program="train.py",
    metric=Metric(name="accuracy", target=0.98),
    parameters=PARAMETERS,
    early_terminate=EarlyTerminate(type="hyperband", min_iter=3),
    run_cap=24,
    options=Options(
        resources=Resources(gpu=0.5, cpu=4, memory_bytes=8 * 2**30, custom={"tpu": 1}),
        concurrency=8,
        seed=7,
        retries=1,
        timeout_trial_s=7200,
        timeout_sweep_s=43200,
    ),
)
GRID = SweepSpec(
    method=Method.GRID,
    command=("bash", "run.sh", "${args_no_hyphens}"),
    parameters={"a": Categorical(values=("x", "it's $1")), "b": Interval(kind=Kind.Q_UNIFORM, min=0, max=3, q=1)},
)
ENDLESS = SweepSpec(
    method=Method.BAYES,
    program="package.module:train",
    metric=Metric(name="loss"),
    parameters={"lr": PARAMETERS["lr"]},
    early_terminate=EarlyTerminate(type="median", min_iter=5),
    options=Options(retries=2),
)


PYTHONS = Pythons(
    found={
        "": Found(
            python=Interpreter(
                path="/project/.venv/bin/python",
                version=(3, 11, 7),
                prefix="/project/.venv",
                packages={"numpy": "1.26.4", "wandb": "0.21.4"},
            ),
            why="found beside train.py",
        )
    }
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.py").touch()
    return tmp_path


@pytest.mark.parametrize(("name", "spec", "n"), [("full", FULL, 3), ("grid", GRID, 9), ("endless", ENDLESS, 0)])
def test_golden_plans(golden, folder, name, spec, n):
    """The whole text, for a full spec, a small grid with a command of its own, and a sweep without an end."""
    found = preview(spec, n_trials=n, cwd=folder, environ={}, pythons=PYTHONS)
    golden(f"plan-{name}.txt", "".join(f"{line}\n" for line in lines(found)))


def test_golden_data(golden, folder):
    """The same plan as JSON."""
    found = preview(FULL, n_trials=2, cwd=folder, environ={}, pythons=PYTHONS)
    golden("plan-full.json", json.dumps(as_data(found), indent=2) + "\n")


def test_no_line_can_drive_the_terminal(folder):
    """Control characters of a spec do not get out."""
    spec = SweepSpec(
        method=Method.GRID, program="train.py", parameters={"a": Constant(value="\x1b[2J\x07")}, name="\x9b"
    )
    text = lines(preview(spec, n_trials=1, cwd=folder, environ={}))
    assert all(clean(line) == line for line in text)


def test_examples_are_called_examples(folder):
    """Configs of a spec without a seed are not what the sweep will run."""
    spec = SweepSpec(method=Method.RANDOM, program="train.py", parameters={"lr": PARAMETERS["lr"]})
    text = lines(preview(spec, n_trials=1, cwd=folder, environ={}))
    assert "first 1 trial, with seed 0 (the spec has none: each sweep draws its own)" in text


@pytest.mark.parametrize(
    ("bits", "words"), [(1, "4 configs"), (40, "about 1.21e+24 configs"), (600, "countless configs")]
)
def test_large_spaces_are_counted_in_words(folder, bits, words):
    """No thousand-digit numbers."""
    whole = Interval(kind=Kind.INT_UNIFORM, min=1, max=2**bits)
    spec = SweepSpec(method=Method.RANDOM, program="train.py", parameters={"a": whole, "b": whole})
    text = "\n".join(lines(preview(spec, n_trials=0, cwd=folder, environ={})))
    assert f"2 parameters to vary, {words}" in text


@given(argv=st.lists(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]))))
def test_command_lines_are_read_back(argv):
    """What is shown is what a shell makes of it."""
    assert shlex.split(command_line(argv)) == argv


def test_control_characters_are_read_back_by_bash():
    """In the form $'...', which shows them and keeps them."""
    argv = ["a\nb", "\x1b[31m'x' \\ \u202e", "\té"]
    line = command_line(argv)
    assert clean(line) == line
    result = subprocess.run(
        ["bash", "-c", f"printf '%s|' {line}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert result.stdout.decode() == "".join(f"{word}|" for word in argv)


def test_columns_are_aligned():
    """Two spaces apart, nothing trailing."""
    assert aligned([("a", "bb", ""), ("ccc", "d", "e")], indent=" ") == [" a    bb", " ccc  d   e"]
