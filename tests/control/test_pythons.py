"""What a spec says of the Python of its trials, and what comes of it."""

import os
import sys

import pytest

from orchestrator.control.pythons import named_pythons, one_python, own_pythons, pythons_of
from orchestrator.errors import ProgramError
from orchestrator.interpreters.probe import own
from orchestrator.spec import load_text

SPEC = (
    "program: train.py\nmethod: grid\nmetric: {name: loss}\nparameters: {net: {parameters: {kind: {values: [a, 2]}}}}\n"
)
BY = f"orchestrator: {{python: {{by: net.kind, a: {sys.prefix}, '2': {sys.executable}}}}}\n"


def found(text, **given):
    """The Pythons of a spec, in an activated environment that is this one."""
    environ = {"PATH": os.environ["PATH"], "VIRTUAL_ENV": sys.prefix} | given.pop("environ", {})
    return pythons_of(load_text(text).require(), cwd="/", environ=environ, **given)


def test_one_python_is_for_every_trial():
    """Also as lines and as data."""
    pythons = found(SPEC)
    assert pythons.of({"net": {"kind": 2}}).python is own()
    (line,) = pythons.lines("/nowhere/else")
    assert line.endswith("(VIRTUAL_ENV)")
    assert [(entry["for"], entry["path"], entry["own"]) for entry in pythons.data()] == [(None, sys.executable, True)]


def test_a_parameters_value_decides():
    """Nested parameters and values that are no text too; a line and an entry for each."""
    pythons = found(SPEC + BY)
    assert {kind: pythons.of({"net": {"kind": kind}}).at for kind in ("a", 2)} == {
        "a": f"{sys.prefix}/bin/python",
        2: sys.executable,
    }
    assert [line.split()[0] for line in pythons.lines("/")] == ["net.kind=a", "net.kind=2"]
    assert [entry["for"] for entry in pythons.data()] == [{"net.kind": "a"}, {"net.kind": "2"}]


def test_what_is_named_for_this_run_holds_for_every_value():
    """`--python` and SWEEP_PYTHON come before the spec, the command's own path before both."""
    assert found(SPEC + BY, option=sys.prefix).of({}).why == "--python"
    assert found(SPEC + BY, environ={"SWEEP_PYTHON": sys.prefix}).of({}).why == "SWEEP_PYTHON"
    command = f'command: [{sys.executable}, "${{program}}"]\n'
    assert found(SPEC + BY + command, option="/nowhere").of({}).why == "named in the command"
    with pytest.raises(ProgramError, match="--python: /nowhere does not exist"):
        found(SPEC, option="/nowhere")


def test_a_sweep_goes_on_in_what_its_trials_ran_in():
    """Whatever is activated now."""
    assert (
        found(SPEC, before=sys.executable, environ={"VIRTUAL_ENV": "/nowhere"}).of({}).why.startswith("as the sweep's")
    )


def test_calls_from_python_run_trials_where_they_are():
    """In a notebook's own Python, unless the spec or SWEEP_PYTHON names another."""
    spec = load_text(SPEC).require()
    assert named_pythons(spec, cwd="/", environ={"VIRTUAL_ENV": "/nowhere"}, default=own_pythons()) is own_pythons()
    with pytest.raises(ProgramError, match="SWEEP_PYTHON: /nowhere does not exist"):
        named_pythons(spec, cwd="/", environ={"SWEEP_PYTHON": "/nowhere"}, default=own_pythons())


def test_a_named_python_is_used_or_refused_with_what_named_it():
    """That of a function's maker, say; nobody names one: the one that runs this."""
    assert (
        one_python(None, "it", cwd="/", environ={})
        is one_python(sys.executable, "it", cwd="/", environ={})
        is own_pythons()
    )
    with pytest.raises(ProgramError, match=r"/nowhere \(it made the function\) does not exist"):
        one_python("/nowhere", "it made the function", cwd="/", environ={})
