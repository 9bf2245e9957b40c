import pytest

from orchestrator.spec import SpecError, load_text, parse_settings
from orchestrator.spec.model import Categorical, Interval, Kind

SPEC = """\
program: train.py
method: random
run_cap: 5
parameters:
  lr: {min: 0.1, max: 1.0}
  model.lr: {values: [1, 2]}
  o: {parameters: {n: {min: 1, max: 3}}}
"""


def changed(*settings):
    reading = load_text(SPEC, path="s.yaml", overrides=parse_settings(list(settings)))
    assert reading.findings == ()
    return reading.spec


@pytest.mark.parametrize(
    ("setting", "find", "expected"),
    [
        ("run_cap=7", lambda s: s.run_cap, 7),
        ("run_cap=", lambda s: s.run_cap, None),
        ("name=a=b", lambda s: s.name, "a=b"),
        (" name =x", lambda s: s.name, "x"),
        ("parameters.lr.max=2.0", lambda s: s.parameters["lr"].max, 2.0),
        ("parameters.lr.min=1e-3", lambda s: s.parameters["lr"].min, 0.001),
        ("parameters.lr={values: [1, 2]}", lambda s: s.parameters["lr"], Categorical(values=(1, 2))),
        ("parameters.model.lr.values=[3]", lambda s: s.parameters["model.lr"].values, (3,)),
        ("parameters.model.lr={value: 3}", lambda s: s.parameters["model.lr"].value, 3),
        ("parameters.o.parameters.n.max=9", lambda s: s.parameters["o"].parameters["n"].max, 9),
        ("parameters.new={value: 1}", lambda s: s.parameters["new"].value, 1),
        ("orchestrator.resources.gpu=2", lambda s: s.options.resources.gpu, 2.0),
        ("run_cap=1e3", lambda s: s.run_cap, 1000),
        ("lr=1e-3", lambda s: s.parameters["lr"].value, 0.001),
        ("lr=[1, 2]", lambda s: s.parameters["lr"].value, [1, 2]),
        ("model.lr=2", lambda s: s.parameters["model.lr"].value, 2),
        ("o.n=7", lambda s: s.parameters["o"].parameters["n"].value, 7),
    ],
)
def test_any_key_can_be_changed(setting, find, expected):
    """By its dotted location, names with dots included; keys that are not there are made."""
    assert find(changed(setting)) == expected


def test_the_last_of_equal_keys_wins():
    """As options of a command line do."""
    assert changed("run_cap=1", "run_cap=2").run_cap == 2


def test_a_value_that_stands_in_the_way_is_replaced():
    """Then the finding points at the option."""
    reading = load_text(SPEC, path="s.yaml", overrides={"run_cap.x": "1"})
    assert reading.text() == ("--set run_cap.x: error: run_cap: {'x': 1} is not a whole number of at least 1")


def test_findings_point_at_the_option():
    """Not at a line of the file."""
    reading = load_text(SPEC, path="s.yaml", overrides={"parameters.lr.max": "fast", "speed": "[1, 2]"})
    assert "--set parameters.lr.max: error: parameters.lr.max: 'fast' is not a number" in reading.text()
    assert "--set speed: error: speed: the spec has no such parameter, nor is it a key of specs\n" in reading.text()


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("lrr", "did you mean `lr`?"),
        ("o", "its parameters are lr"),
        ("o.m", "did you mean `o.n`?"),
        ("metod", "did you mean `method`?"),
    ],
)
def test_what_is_neither_parameter_nor_key(key, hint):
    """The near one of both kinds is named, once; a group of parameters has no value of its own."""
    (finding,) = load_text(SPEC, overrides={key: "3"}).findings
    assert (finding.where, finding.message) == (key, "the spec has no such parameter, nor is it a key of specs")
    assert finding.hint.startswith(hint)


def test_a_key_of_specs_comes_before_a_parameter_of_that_name():
    """Which is fixed by its whole location."""
    text = "{program: t.py, method: random, parameters: {name: {values: [a, b]}}, unknown: 1}"
    spec = load_text(text, overrides={"name": "c", "parameters.name": "{value: d}"}).spec
    assert (spec.name, spec.parameters["name"].value) == ("c", "d")
    assert "unknown" in load_text(text, overrides={"unknown": "2"}).text()


@pytest.mark.parametrize(
    ("key", "where", "hint"),
    [
        ("parameters.lrr.min", "parameters.lrr", "did you mean `lr`?"),
        ("parameters.zoom.max", "parameters.zoom", "its parameters are "),
        ("parameters.o.parameters.nn.min", "parameters.o.parameters.nn", "did you mean `n`?"),
    ],
)
def test_a_misspelt_parameter(key, where, hint):
    """It is said to be unknown, with the likely one, not to be half a parameter."""
    reading = load_text(SPEC, overrides={key: "3"})
    (finding,) = reading.errors
    assert (finding.where, finding.message) == (where, "the spec has no such parameter")
    assert finding.hint.startswith(hint)


def test_parameters_that_are_none_are_told_once():
    """A setting beside them changes nothing about that."""
    reading = load_text("program: t.py\nmethod: random\nparameters: 3\n", overrides={"run_cap": "3"})
    assert [finding.where for finding in reading.errors] == ["parameters"]


def test_a_parameter_can_be_added():
    """One that is complete, in one setting or in several, is no mistake."""
    overrides = {"parameters.lr2.value": "3", "parameters.x.min": "1", "parameters.x.max": "4"}
    assert {"lr2", "x"} <= set(load_text(SPEC, overrides=overrides).require().parameters)


def test_inference_sees_the_change():
    """The type of the new bound decides."""
    spec = changed("parameters.lr.min=1", "parameters.lr.max=3")
    assert spec.parameters["lr"] == Interval(kind=Kind.INT_UNIFORM, min=1, max=3)


@pytest.mark.parametrize("setting", ["run_cap", "=3", "", " =3"])
def test_settings_have_a_key_and_a_value(setting):
    """The message has an example."""
    with pytest.raises(SpecError, match=r"is not KEY=VALUE\n  For example: --set run_cap=10"):
        parse_settings([setting])


@pytest.mark.parametrize("value", ["[1, 2", "{a: b: c}", "!!python/object:os.system {}", "2020-01-01"])
def test_a_value_that_is_no_yaml(value):
    """The message names the option."""
    with pytest.raises(SpecError, match=r"--set run_cap=.*: "):
        load_text(SPEC, overrides={"run_cap": value})


def test_a_parameter_made_incomplete_is_not_called_unknown():
    """It is in the spec: what is missing is said."""
    reading = load_text(SPEC, path="s.yaml", overrides={"parameters.lr": "{min: 0.0}"})
    assert "no such parameter" not in reading.text()
    assert "parameters.lr" in reading.text()
