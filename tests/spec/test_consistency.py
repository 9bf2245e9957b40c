import pytest

from tests.spec.readings import problem, read, said, with_keys

GRID = "program: train.py\nmethod: grid\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("method: random", "1:1 error : has no `program`"),
        ("method: random\ncommand: [python, '${program}']", "1:1 error : has no `program`"),
        ("method: random\nprogram:", "1:1 error : has no `program`"),
    ],
)
def test_a_program_is_needed_where_the_command_uses_it(text, expected):
    """W&B's default command does."""
    assert said(read(f"{text}\nparameters: {{a: {{value: 1}}}}")) == [expected]


def test_a_command_of_its_own_needs_no_program():
    """The command names what is run."""
    assert said(read("method: random\ncommand: [python, t.py]\nparameters: {a: {value: 1}}")) == []


def test_bayes_needs_a_metric_and_something_to_vary():
    """Both are errors of W&B's engine."""
    reading = read("program: t.py\nmethod: bayes\nparameters: {a: {value: 1}, o: {parameters: {b: {value: 2}}}}")
    assert said(reading) == ["1:1 error : has no `metric`", "3:13 error parameters: all are constant"]


def test_a_broken_parameter_is_not_called_constant():
    """One root cause, one finding."""
    assert len(with_keys("metric: {name: a}").findings) == 0
    text = "program: t.py\nmethod: bayes\nmetric: {name: l}\nparameters: {a: {value: 1}, b: {min: 2, max: 1}}"
    assert said(read(text)) == ["4:32 error parameters.b: min 2 is not less than max 1"]


def test_a_broken_metric_is_not_called_missing():
    """Neither by bayes nor by early_terminate."""
    keys = "metric: {name: 3.5, goal: up}\nearly_terminate: {type: hyperband, min_iter: 3}"
    assert [f.where for f in with_keys(keys, "bayes").findings] == ["metric.name", "metric.goal"]


def test_early_terminate_without_a_metric_judges_nothing():
    """W&B's engine raises an error there at last; here it is a warning, and no rule is left in the spec."""
    reading = with_keys("early_terminate: {type: hyperband, min_iter: 3}")
    assert said(reading) == ["4:18 warning early_terminate: has no `metric` to judge by"]
    assert reading.spec.early_terminate is None


def test_metric_and_metrics_exclude_each_other():
    """As in W&B."""
    reading = with_keys("metric: {name: a}\nmetrics: [{name: a}, {name: b}]", "bayes")
    assert said(reading) == ["5:10 error metrics: stands beside `metric`"]


@pytest.mark.parametrize("method", ["grid", "random"])
def test_metrics_do_not_steer_a_grid_or_random_search(method):
    """They are shown as a Pareto front: a warning."""
    reading = with_keys("metrics: [{name: a}, {name: b}]", method)
    assert said(reading) == [f"4:10 warning metrics: has no influence on `method: {method}`"]


def test_bayes_looks_for_the_front_of_several_metrics():
    """W&B's knows one; what is done here is said."""
    reading = with_keys("metrics: [{name: a}, {name: b}]", "bayes")
    assert said(reading) == ["4:10 warning metrics: stands beside `method: bayes`"]
    assert "the Pareto front of a, b" in reading.findings[0].hint


def test_what_a_study_of_ones_own_ignores():
    """The search space stands in its file, and the study is told of a failure, not of an imputed value."""
    scheduler = "scheduler: {engine: optuna, source: s.py, optimizer: make, search_space: space}"
    metric = "{name: a, impute: best, impute_while_running: latest}"
    assert [(f.where, f.severity) for f in with_keys(f"{scheduler}\nmetric: {metric}", "custom").findings] == [
        ("parameters", "warning"),
        ("metric.impute", "warning"),
        ("metric.impute_while_running", "warning"),
    ]
    several = with_keys(f"{scheduler}\nmetrics: [{metric}, {{name: b}}]", "custom")
    assert [f.where for f in several.findings if "impute" in f.where] == [
        "metrics[0].impute",
        "metrics[0].impute_while_running",
    ]


def test_a_misspelt_method_is_judged_as_what_it_means():
    """Nothing is said about the method that stands in for it."""
    reading = with_keys("metrics: [{name: a}, {name: b}]", "ramdom")
    assert said(reading) == ["2:9 error method: 'ramdom' is not allowed"]
    reading = read("program: t.py\nmethod: gird\nparameters: {a: {min: 0.0, max: 1.0}}")
    assert [f.where for f in reading.findings] == ["method", "parameters.a"]


def test_custom_needs_a_scheduler():
    """Which decides what is tried."""
    assert said(with_keys("", "custom")) == ["2:9 error method: custom needs a `scheduler`"]


@pytest.mark.parametrize(
    ("method", "engine", "wanted"),
    [("random", "optuna", "custom"), ("bayes", "ax", "custom"), ("custom", "wandb", "grid, random or bayes")],
)
def test_engines_go_with_methods(method, engine, wanted):
    """As in W&B's schema."""
    reading = with_keys(f"metric: {{name: a}}\nscheduler: {{engine: {engine}}}", method)
    assert said(reading) == [f"5:21 error scheduler.engine: {engine} goes with `method: {wanted}`"]


def test_what_wandb_refuses_beside_a_scheduler():
    """Early termination works here; a controller has no meaning."""
    reading = with_keys(
        "metric: {name: a}\nscheduler: {engine: optuna}\ncontroller: {type: local}\n"
        "early_terminate: {type: hyperband, min_iter: 3}",
        "custom",
    )
    assert said(reading) == [
        "6:13 warning controller: stands beside `scheduler` and is ignored",
        "7:18 warning early_terminate: stands beside `scheduler`",
    ]


@pytest.mark.parametrize(
    "given",
    [
        "{min: 0.0, max: 1.0}",
        "{distribution: normal}",
        "{distribution: beta}",
        "{distribution: log_uniform_values, min: 1, max: 2}",
        "{distribution: q_log_uniform_values, min: 1, max: 2}",
        "{values: [1], probabilities: [1]}",
    ],
)
def test_a_grid_over_what_has_no_list_is_an_error(given):
    """W&B's engine raises one at the first config; here it has the parameter's line."""
    finding, found = problem(given, GRID)
    assert found is None
    assert "has no finite list of values for a grid" in finding.message


def test_a_grid_over_a_nested_range_is_an_error():
    """To any depth."""
    reading = read(GRID + "parameters: {o: {parameters: {p: {parameters: {x: {min: 0.0, max: 1.0}}}}}}")
    assert [f.where for f in reading.errors] == ["parameters.o.parameters.p.parameters.x"]


@pytest.mark.parametrize(
    ("bounds", "last", "fix"),
    [
        ("min: 0, max: 8, q: 2", "6", "max: 9"),
        ("min: 0.0, max: 1.0, q: 0.1", "0.9", "max: 1.05"),
        ("min: 0, max: 3", "2", "max: 3.5"),
    ],
)
def test_a_grid_leaves_the_maximum_of_steps_out(bounds, last, fix):
    """As numpy.arange: a warning with what includes it, which has no warning."""
    finding, _ = problem(f"{{distribution: q_uniform, {bounds}}}", GRID)
    assert finding.severity == "warning"
    assert finding.message.endswith(f"its last value is {last}")
    assert finding.fix == fix
    mended = bounds.split(", max")[0] + ", " + fix + (", q" + bounds.split(", q")[1] if ", q" in bounds else "")
    assert said(read(f"{GRID}parameters: {{a: {{distribution: q_uniform, {mended}}}}}")) == []


@pytest.mark.parametrize(
    ("given", "place", "message"),
    [
        ("min: 1, max: 10, q: 4", "q", "min and max are out of reach in steps of 4: values are 4 to 8"),
        ("min: 0, max: 10, q: 4", "q", "max is out of reach in steps of 4: values are 0 to 8"),
        ("min: 0.5, max: 3", "min", "min is out of reach in steps of 1.0: values are 1 to 3"),
        ("min: 0.05, max: 0.9, q: 0.1", "q", "min is out of reach in steps of 0.1: values are 0.1 to 0.9"),
    ],
)
def test_ends_that_steps_do_not_reach(given, place, message):
    """W&B rounds beyond them; a warning says which values there are."""
    finding, found = problem(f"{{distribution: q_uniform, {given}}}")
    assert found is not None
    assert (finding.where, finding.message) == (f"parameters.a.{place}", message)


@pytest.mark.parametrize("given", ["min: 0.0, max: 0.3, q: 0.1", "min: 0.1, max: 0.7, q: 0.1", "min: -4, max: 4, q: 2"])
def test_ends_that_steps_reach_but_for_rounding(given):
    """3 * 0.1 is not 0.3 in floats, and no reason to complain."""
    assert said(read(f"program: t.py\nmethod: random\nparameters: {{a: {{distribution: q_uniform, {given}}}}}")) == []


@pytest.mark.parametrize(("given", "value"), [("min: 1, max: 2, q: 7", "0"), ("min: 3, max: 4, q: 7", "0 or 7")])
def test_a_range_between_two_steps_is_what_wandb_makes_of_it(given, value):
    """It rounds beyond both ends: a warning."""
    finding, found = problem(f"{{distribution: q_uniform, {given}}}")
    assert found is not None
    assert finding.message == f"no multiple of q=7 lies between min and max: every value is {value}"


def test_configs_to_try_first_fit_the_parameters():
    """Each names every parameter that varies, and no other; what is no config does not shift the places."""
    text = """
program: t.py
method: random
parameters: {a: {values: [1, 2]}, b: {min: 0, max: 3}, c: {value: 1}}
orchestrator:
  first:
    - {a: 1, b: 2}
    - 7
    - {a: 1, d: 2}
"""
    assert said(read(text)) == [
        "8:7 error orchestrator.first[1]: 7 is not a config: a mapping of parameter values",
        "9:7 error orchestrator.first[2]: has no value for b",
        "9:14 error orchestrator.first[2].d: is not a parameter",
    ]


def test_first_without_parameters():
    """The user's own search space knows whether a config fits."""
    text = "program: t.py\nmethod: custom\nscheduler: {engine: optuna, source: s.py, search_space: space}\n"
    assert said(read(text + "orchestrator: {first: [{x: 1}]}")) == []
