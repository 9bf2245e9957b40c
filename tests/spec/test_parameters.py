import pytest

from orchestrator.spec import load_text
from orchestrator.spec.findings import Severity
from orchestrator.spec.model import Beta, Categorical, Constant, Gaussian, Interval, Kind, Nested
from tests.spec.readings import HEAD, parameter, problem, read, said, with_parameter

KINDS = {
    "constant": ("{value: 3}", Constant(value=3)),
    "categorical": ("{values: [1, 2.5, x, null, true, [1], {k: v}]}", None),
    "categorical_w_probabilities": (
        "{values: [a, b], probabilities: [0.25, 0.75]}",
        Categorical(values=("a", "b"), probabilities=(0.25, 0.75)),
    ),
    "int_uniform": ("{distribution: int_uniform, min: 1, max: 9}", None),
    "uniform": ("{distribution: uniform, min: 1, max: 9.5}", Interval(kind=Kind.UNIFORM, min=1, max=9.5)),
    "q_uniform": ("{distribution: q_uniform, min: 0, max: 8, q: 2}", Interval(kind=Kind.Q_UNIFORM, min=0, max=8, q=2)),
    "log_uniform_values": ("{distribution: log_uniform_values, min: 0.1, max: 10}", None),
    "q_log_uniform_values": ("{distribution: q_log_uniform_values, min: 8, max: 64, q: 8}", None),
    "inv_log_uniform_values": ("{distribution: inv_log_uniform_values, min: 0.1, max: 10}", None),
    "normal": ("{distribution: normal, mu: 1, sigma: 2}", Gaussian(kind=Kind.NORMAL, mu=1.0, sigma=2.0)),
    "q_normal": ("{distribution: q_normal, mu: 1, sigma: 2, q: 3}", None),
    "log_normal": ("{distribution: log_normal}", Gaussian(kind=Kind.LOG_NORMAL, mu=0.0, sigma=1.0)),
    "q_log_normal": ("{distribution: q_log_normal}", Gaussian(kind=Kind.Q_LOG_NORMAL, q=1.0)),
    "beta": ("{distribution: beta, a: 2, b: 3}", Beta(kind=Kind.BETA, a=2.0, b=3.0)),
    "q_beta": ("{distribution: q_beta, q: 0.1}", Beta(kind=Kind.Q_BETA, a=1.0, b=1.0, q=0.1)),
}
DEPRECATED = {"log_uniform", "q_log_uniform", "inv_log_uniform"}


def test_the_kinds_here_are_all_18():
    """No distribution of W&B's is forgotten."""
    assert set(KINDS) | DEPRECATED == {str(kind) for kind in Kind}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_read_without_a_finding(kind):
    """Every distribution, written as W&B documents it."""
    given, expected = KINDS[kind]
    found = parameter(given)
    assert found.kind == kind
    assert expected is None or found == expected


@pytest.mark.parametrize("kind", sorted(DEPRECATED))
def test_exponent_kinds_are_read_with_a_warning(kind):
    """They still work, as in W&B; the warning says what the bounds mean, and names the form to use."""
    finding, found = problem(f"{{distribution: {kind}, min: -4, max: -2}}")
    assert found == Interval(kind=Kind(kind), min=-4, max=-2, q=1.0 if kind == "q_log_uniform" else None)
    assert finding.severity is Severity.WARNING
    meant = "min: 7.389, max: 54.6" if kind == "inv_log_uniform" else "min: 0.01832, max: 0.1353"
    assert meant in finding.hint
    assert finding.fix == f"distribution: {kind}_values"


def test_log_uniform_given_values_is_seen_through():
    """`log_uniform` from 0.0001 to 0.1 draws from 1 to 1.105 in W&B: the warning says so."""
    finding, found = problem("{distribution: log_uniform, min: 0.0001, max: 0.1}")
    assert found.kind is Kind.LOG_UNIFORM
    assert "these mean 1 to 1.105" in finding.message


def test_exponents_out_of_range_are_an_error():
    """exp(1000) is infinite; whoever writes it means the value."""
    finding, found = problem("{distribution: log_uniform, min: 1, max: 1000}")
    assert found is None
    assert finding.message == "exp(1000) is out of range"
    assert finding.fix == "distribution: log_uniform_values"


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("{value: null}", Kind.CONSTANT),
        ("{value: [1, 2]}", Kind.CONSTANT),
        ("{value: {k: 1}}", Kind.CONSTANT),
        ("{values: [1]}", Kind.CATEGORICAL),
        ("{values: [1], probabilities: [1]}", Kind.CATEGORICAL_W_PROBABILITIES),
        ("{min: 1, max: 3}", Kind.INT_UNIFORM),
        ("{min: 1.0, max: 3.0}", Kind.UNIFORM),
        ("{min: -0.5, max: .5}", Kind.UNIFORM),
    ],
)
def test_kinds_are_inferred_as_in_wandb(given, kind):
    """Without `distribution` the keys decide, and for bounds their types."""
    assert parameter(given).kind is kind


@pytest.mark.parametrize(("given", "key"), [("{min: 0, max: 0.5}", "min"), ("{min: 0.5, max: 2}", "max")])
def test_mixed_bounds_are_uniform_with_a_warning(given, key):
    """W&B's client refuses an int with a float; everybody means a float."""
    finding, found = problem(given)
    assert found.kind is Kind.UNIFORM
    assert finding.severity is Severity.WARNING
    assert finding.where == f"parameters.a.{key}"
    assert finding.fix in {"min: 0.0", "max: 2.0"}


def test_categorical_with_probabilities_is_read_with_a_warning():
    """W&B's schema refuses the explicit `categorical` beside probabilities."""
    finding, found = problem("{distribution: categorical, values: [1, 2], probabilities: [0.5, 0.5]}")
    assert found == Categorical(values=(1, 2), probabilities=(0.5, 0.5))
    assert finding.fix == "distribution: categorical_w_probabilities"


def test_nesting_to_any_depth_and_dotted_names():
    """`o.lr` and nested `o: {lr}` stand side by side; a parameter may be called `parameters`."""
    text = """
parameters:
  o.lr: {value: 1}
  o:
    parameters:
      lr: {values: [1, 2]}
      deep: {parameters: {deeper: {parameters: {x: {min: 1, max: 2}}}}}
  parameters: {value: 2}
"""
    reading = read(HEAD + text)
    assert said(reading) == []
    parameters = reading.spec.parameters
    assert list(parameters) == ["o.lr", "o", "parameters"]
    deep = parameters["o"].parameters["deep"].parameters["deeper"]
    assert deep == Nested(parameters={"x": Interval(kind=Kind.INT_UNIFORM, min=1, max=2)})


def test_nesting_50_levels_deep():
    """Far beyond what anybody writes."""
    given = "{value: 1}"
    for _ in range(25):
        given = f"{{parameters: {{x: {given}}}}}"
    assert said(with_parameter(given)) == []


ERRORS = [
    ("5", "4:6 error parameters.a: 5 is a value, not a parameter"),
    ("off", "4:6 error parameters.a: off (YAML 1.1 reads it as false) is a value, not a parameter"),
    ("[1, 2]", "4:6 error parameters.a: [1, 2] is a list, not a parameter"),
    ("", "4:5 error parameters.a: is empty"),
    ("{}", "4:6 error parameters.a: does not say which values it takes"),
    ("{vlaues: [1]}", "4:7 error parameters.a.vlaues: the key `vlaues` means nothing here"),
    ("{min: 1}", "4:6 error parameters.a: has `min` but no `max`"),
    ("{max: 1}", "4:6 error parameters.a: has `max` but no `min`"),
    ("{mu: 0}", "4:6 error parameters.a: has no `distribution`"),
    ("{a: 0}", "4:6 error parameters.a: has no `distribution`"),
    ("{values: 3}", "4:15 error parameters.a.values: 3 is not a list of values"),
    ("{values: []}", "4:15 error parameters.a.values: is empty"),
    ("{distribution: categorical}", "4:6 error parameters.a: has no `values`"),
    ("{distribution: constant}", "4:6 error parameters.a: a constant has a `value`"),
    ("{distribution: categorical_w_probabilities, values: [1]}", "4:6 error parameters.a: has no `probabilities`"),
    ("{value: 1, values: [1]}", "4:17 error parameters.a.values: `values` does not belong to constant"),
    ("{values: [1], min: 3}", "4:20 error parameters.a.min: `min` does not belong to categorical"),
    ("{distribtion: uniform, min: 1, max: 2}", "4:7 error parameters.a.distribtion: `distribtion` does not belong to "),
    ("{min: 1, max: 2, q: 1}", "4:23 error parameters.a.q: `q` does not belong to int_uniform"),
    ("{distribution: loguniform, min: 1, max: 2}", "4:21 error parameters.a.distribution: 'loguniform' is not allowed"),
    ("{distribution: uniform, min: 1}", "4:6 error parameters.a: has no `max`"),
    ("{distribution: int_uniform, min: 1.0, max: 2}", "4:6 error parameters.a: int_uniform has whole bounds without a"),
    ("{distribution: int_uniform, min: 1.5, max: 2}", "4:6 error parameters.a: int_uniform has whole bounds without a"),
    ("{min: 3, max: 1}", "4:6 error parameters.a: min 3 is not less than max 1"),
    ("{min: 3, max: 3}", "4:6 error parameters.a: min and max are both 3"),
    ("{min: true, max: 3}", "4:12 error parameters.a.min: true is not a number"),
    ("{min: null, max: 3}", "4:12 error parameters.a.min: null is not a number"),
    ('{min: "1", max: 3}', "4:12 error parameters.a.min: '1' is not a number"),
    ("{min: .inf, max: 3.0}", "4:12 error parameters.a.min: .inf is not a finite number"),
    ("{distribution: uniform, min: x, max: 2}", "4:35 error parameters.a.min: 'x' is not a number"),
    ("{distribution: log_uniform_values, min: 0, max: 1}", "4:46 error parameters.a.min: 0 has no logarithm"),
    ("{distribution: q_uniform, min: 1, max: 9, q: 0}", "4:51 error parameters.a.q: 0 is not greater than 0"),
    ("{distribution: q_uniform, min: 1, max: 1.0e+300, q: 1.0e-300}", "4:58 error parameters.a.q: 1e-300 is too small"),
    ("{distribution: normal, sigma: 0}", "4:36 error parameters.a.sigma: 0 makes every value the same, and W&B NaN"),
    ("{distribution: normal, sigma: -1}", "4:36 error parameters.a.sigma: -1 is not greater than 0"),
    ("{distribution: normal, mu: x}", "4:33 error parameters.a.mu: 'x' is not a number"),
    ("{distribution: beta, a: 0}", "4:30 error parameters.a.a: 0 is not greater than 0"),
    ("{values: [1, 2], probabilities: [0.5, 0.6]}", "4:38 error parameters.a.probabilities: sums to 1.1, not to 1"),
    ("{values: [1, 2], probabilities: [0, 0]}", "4:38 error parameters.a.probabilities: sums to 0, not to 1"),
    ("{values: [1, 2], probabilities: [1]}", "4:38 error parameters.a.probabilities: has 1 for 2 values"),
    ("{values: [1, 2], probabilities: 1}", "4:38 error parameters.a.probabilities: 1 is not a list of numbers"),
    ("{values: [1, 2], probabilities: [2, -1]}", "4:42 error parameters.a.probabilities[1]: -1 is not at least 0"),
    ("{parameters: {}}", "4:19 error parameters.a.parameters: has no entries"),
    ("{parameters: 3}", "4:19 error parameters.a.parameters: 3 is not a mapping of parameter names"),
    ("{parameters: {x: {value: 1}}, value: 3}", "4:36 error parameters.a.value: `value` beside `parameters`"),
    ("{parameters: {x: {min: 3, max: 1}}}", "4:23 error parameters.a.parameters.x: min 3 is not less than max 1"),
]


@pytest.mark.parametrize(("given", "expected"), ERRORS)
def test_what_cannot_be_run_is_one_error_with_its_place(given, expected):
    """What W&B's schema or engine refuses, nested or not: line, column, location and reason, once."""
    (message,) = said(with_parameter(given))
    assert message.startswith(expected)


@pytest.mark.parametrize(
    ("given", "fix"),
    [
        ("5", "{value: 5}"),
        ("[1, x]", '{values: [1, "x"]}'),
        ("{min: 3, max: 3}", "{value: 3}"),
        ('{min: "0.1", max: 3.0}', "0.1"),
        ('{min: "3", max: 4}', "3"),
        ("{distribution: int_uniform, min: 1.0, max: 2}", "{min: 1, max: 2}"),
        ("{distribution: int_uniform, min: 1.5, max: 2}", "distribution: uniform"),
    ],
)
def test_the_fix_can_be_pasted(given, fix):
    """Where only one thing can be meant, the corrected YAML is there."""
    assert problem(given)[0].fix == fix


def test_the_fix_of_probabilities_is_accepted():
    """Shares that are proposed sum to 1 within W&B's tolerance, also thirds and sevenths."""
    for n in (3, 7, 21):
        values = list(range(n))
        finding, _ = problem(f"{{values: {values}, probabilities: {[0.5] * n}}}")
        assert parameter(f"{{values: {values}, {finding.fix}}}").probabilities


@pytest.mark.parametrize(
    ("wrong", "meant"), [("loguniform", "log_uniform"), ("nomal", "normal"), ("Uniform", "uniform")]
)
def test_a_misspelt_distribution_gets_a_suggestion(wrong, meant):
    """And the whole list."""
    finding, _ = problem(f"{{distribution: {wrong}, min: 1, max: 2}}")
    assert finding.hint.startswith(f"did you mean `{meant}`? allowed: constant, ")


def test_exponents_without_a_dot_are_numbers_in_bounds():
    """`1e-5` is a string in YAML 1.1: read as the number, with a warning for each and the text to write."""
    reading = with_parameter("{distribution: log_uniform_values, min: 1e-5, max: 1e2}")
    assert reading.spec.parameters["a"] == Interval(kind=Kind.LOG_UNIFORM_VALUES, min=1e-5, max=100.0)
    assert [(f.severity, f.fix) for f in reading.findings] == [("warning", "1.0e-05"), ("warning", "100.0")]


@pytest.mark.parametrize(
    ("given", "values", "n_warnings"),
    [
        ("[1e-5, 0.1]", (1e-5, 0.1), 1),
        ("[1e-5, 1e-4]", (1e-5, 1e-4), 2),
        ("[1e-5, sgd]", ("1e-5", "sgd"), 0),
        ("['1e-5', 0.1]", ("1e-5", 0.1), 1),
        ("[1.0e-5, 2]", (1e-5, 2), 0),
        ("[!!float 1e-5, !!str 1e-5, 2]", (1e-5, "1e-5", 2), 1),
        ("[1e999, 2]", (None, 2), 1),
    ],
)
def test_exponents_among_values(given, values, n_warnings):
    """They are numbers among numbers, and strings among strings; in quotes among numbers they are named."""
    reading = with_parameter(f"{{values: {given}}}")
    assert len(reading.findings) == n_warnings
    if None not in values:
        assert reading.spec.parameters["a"].values == values


def test_a_constant_exponent_is_a_number():
    """`value: 1e-5` as well."""
    finding, found = problem("{value: 1e-5}")
    assert found == Constant(value=1e-5)
    assert finding.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("written", "read_as"), [("off", False), ("no", False), ("Yes", True), ("010", 8), ("12:30", 750), ("1:30.5", 90.5)]
)
def test_what_yaml_1_1_reads_differently_is_a_warning(written, read_as):
    """The value stays W&B's; the warning tells what became of the text."""
    finding, found = problem(f"{{values: [{written}, x]}}")
    assert found.values == (read_as, "x")
    assert finding.message.startswith(f"YAML 1.1 reads {written} as ")
    assert finding.fix == f'"{written}"'


@pytest.mark.parametrize("written", ["true", "False", "0x10", "1_000", "0b11", "0", "+1", "~", ".5", "'off'", "'010'"])
def test_what_reads_as_it_looks_is_no_warning(written):
    """Also quoted text."""
    assert said(with_parameter(f"{{value: {written}}}")) == []


@pytest.mark.parametrize("name", ["a", "_", "model.lr", "lr-max", "A9", "a..b"])
def test_names_that_wandb_takes(name):
    """Letters, digits, `_`, `.` and `-`, with a letter or `_` first."""
    assert said(read(f"{HEAD}parameters: {{{name}: {{value: 1}}}}")) == []


@pytest.mark.parametrize("name", ["9a", "a/b", "x[0]", "a b", "é", ".a"])
def test_names_that_wandb_runs_all_the_same(name):
    """Its schema complains and its engine does not: a warning."""
    reading = read(f'{HEAD}parameters: {{"{name}": {{value: 1}}}}')
    assert list(reading.spec.parameters) == [name]
    assert said(reading) == [f"3:14 warning parameters.{name}: {name!r} is an unusual parameter name"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "'' is not a parameter name"),
        ("\\e[2J", r"'\x1b[2J' is not a parameter name"),
        ("\\n", r"'\n' is not a parameter name"),
        ("../x", "'../x' leads out of a directory"),
        ("a/../../b", "'a/../../b' leads out of a directory"),
        ("a\\\\..\\\\b", r"'a\\..\\b' leads out of a directory"),
    ],
)
def test_names_that_could_do_harm(name, why):
    """Empty, with control characters, or leading upwards."""
    reading = load_text(f'{HEAD}parameters: {{"{name}": {{value: 1}}}}')
    assert reading.spec is None
    assert [f.message for f in reading.findings] == [why]
