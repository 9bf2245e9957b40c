"""Each kind of sweep that W&B's documentation shows, in words of our own, with the meaning that W&B gives it."""

import pytest

from orchestrator.arguments.command import expand
from orchestrator.space import Grid, SearchSpace
from orchestrator.spec.model import EarlyTerminate, Goal, Kind, Method, Metric
from orchestrator.stopping.rungs import bands
from tests.spec.readings import read, said


def clean(text):
    """Return the spec of text without findings."""
    reading = read(text)
    assert said(reading) == []
    return reading.require()


def test_a_grid_over_lists():
    """The last name in the alphabet varies fastest, values as listed."""
    spec = clean("""
program: train.py
method: grid
parameters:
  units: {values: [16, 8]}
  activation: {values: [relu, tanh]}
""")
    assert [tuple(c.values()) for c in Grid.of(SearchSpace.of(spec.parameters))] == [
        ("relu", 16),
        ("relu", 8),
        ("tanh", 16),
        ("tanh", 8),
    ]


def test_a_random_search_with_typical_distributions():
    """Int bounds, float bounds, a logarithmic and a quantised range, a list, a constant."""
    spec = clean("""
program: train.py
method: random
metric: {name: val_loss, goal: minimize}
parameters:
  epochs: {value: 5}
  optimizer: {values: [adam, sgd]}
  layers: {min: 1, max: 6}
  dropout: {min: 0.0, max: 0.5}
  learning_rate: {distribution: log_uniform_values, min: 0.00001, max: 0.1}
  batch_size: {distribution: q_log_uniform_values, q: 8, min: 32, max: 256}
""")
    assert [p.kind for p in spec.parameters.values()] == [
        Kind.CONSTANT,
        Kind.CATEGORICAL,
        Kind.INT_UNIFORM,
        Kind.UNIFORM,
        Kind.LOG_UNIFORM_VALUES,
        Kind.Q_LOG_UNIFORM_VALUES,
    ]


def test_a_bayesian_search_with_hyperband_from_below():
    """Rungs at min_iter times powers of eta, 3 by default; strict by default in the engine."""
    spec = clean("""
program: train.py
method: bayes
metric: {goal: maximize, name: val_accuracy}
early_terminate: {type: hyperband, min_iter: 3}
parameters: {lr: {min: 0.0001, max: 0.1}}
""")
    assert spec.method is Method.BAYES
    assert spec.metric == Metric(name="val_accuracy", goal=Goal.MAXIMIZE)
    assert spec.early_terminate == EarlyTerminate(type="hyperband", min_iter=3, eta=3.0, strict=True)
    assert bands(spec.early_terminate)[:4] == [3, 9, 27, 81]


def test_hyperband_from_above():
    """max_iter divided by eta, s times; max_iter itself is no rung."""
    spec = clean("""
program: train.py
method: random
metric: {name: loss}
early_terminate: {type: hyperband, s: 2, eta: 3, max_iter: 27}
parameters: {lr: {min: 0.0001, max: 0.1}}
""")
    assert bands(spec.early_terminate) == [3, 9]


def test_nested_parameters():
    """One argument per top-level name, its dictionary as Python writes it; sorted names, nested ones last."""
    spec = clean("""
program: train.py
method: grid
parameters:
  optimizer:
    parameters:
      name: {value: adam}
      schedule: {parameters: {gamma: {values: [0.9]}}}
  batch: {value: 8}
""")
    (config,) = Grid.of(SearchSpace.of(spec.parameters))
    argv = expand(spec.command, program=spec.program, config=config, env={}, json_file="c.json")
    assert argv == [
        "/usr/bin/env",
        "python",
        "train.py",
        "--batch=8",
        "--optimizer={'name': 'adam', 'schedule': {'gamma': 0.9}}",
    ]


COMMANDS = {
    "the default": (None, ["/usr/bin/env", "python", "train.py", "--flag=True", "--lr=0.1", "--off=False"]),
    "no env": ('["${interpreter}", "${program}"]', ["python", "train.py"]),
    "other python": (
        '[python3, "${program}", "${args}"]',
        ["python3", "train.py", "--flag=True", "--lr=0.1", "--off=False"],
    ),
    "more arguments": (
        '["${env}", python, "${program}", --epochs, "5", "${args}"]',
        ["/usr/bin/env", "python", "train.py", "--epochs", "5", "--flag=True", "--lr=0.1", "--off=False"],
    ),
    "hydra": (
        '[python, "${program}", "${args_no_hyphens}"]',
        ["python", "train.py", "flag=True", "lr=0.1", "off=False"],
    ),
    "boolean flags": (
        '[python, "${program}", "${args_no_boolean_flags}"]',
        ["python", "train.py", "--flag", "--lr=0.1"],
    ),
    "json": ('[sh, "${args_json}"]', ["sh", '{"flag": true, "lr": 0.1, "off": false}']),
    "json file": ('[sh, "${args_json_file}"]', ["sh", "c.json"]),
    "environment": ('[python, "${program}", "--out=${envvar:OUT}"]', ["python", "train.py", "--out=/data"]),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands(name):
    """What the agent executes."""
    command, expected = COMMANDS[name]
    spec = clean(f"""
program: train.py
method: grid
{f"command: {command}" if command else ""}
parameters: {{lr: {{value: 0.1}}, flag: {{value: true}}, "off": {{value: false}}}}
""")
    (config,) = Grid.of(SearchSpace.of(spec.parameters))
    argv = expand(spec.command, program=spec.program, config=config, env={"OUT": "/data"}, json_file="c.json")
    assert argv == expected


def test_a_list_with_probabilities():
    """Shares of draws."""
    spec = clean("""
program: train.py
method: random
parameters: {optimizer: {values: [adam, sgd, rmsprop], probabilities: [0.2, 0.5, 0.3]}}
""")
    assert spec.parameters["optimizer"].kind is Kind.CATEGORICAL_W_PROBABILITIES


def test_a_sweep_that_ends():
    """By a cap on its runs, or at a target."""
    spec = clean("""
program: train.py
method: bayes
metric: {name: val_accuracy, goal: maximize, target: 0.95}
run_cap: 100
parameters: {lr: {min: 0.0001, max: 0.1}}
""")
    assert (spec.run_cap, spec.metric.target) == (100, 0.95)


def test_names_places_and_a_local_controller():
    """What W&B shows, and where."""
    spec = clean("""
program: train.py
name: sweepdemo
description: how to
project: fashion
entity: team
controller: {type: local}
method: random
parameters: {lr: {min: 0.0001, max: 0.1}}
""")
    assert (spec.name, spec.description, spec.project, spec.entity) == ("sweepdemo", "how to", "fashion", "team")
    assert spec.controller == {"type": "local"}


def test_a_sweep_of_a_launch_job():
    """The job is remembered; here the program is what runs."""
    spec = clean("""
job: team/project/job:latest
program: train.py
method: bayes
metric: {name: loss}
parameters: {lr: {min: 0.0001, max: 0.1}}
""")
    assert spec.job == "team/project/job:latest"


def test_several_objectives_with_a_scheduler():
    """Wandb 0.31: `metrics` with `method: custom` and an engine."""
    spec = clean("""
program: train.py
method: custom
scheduler: {engine: optuna, source: study.py, search_space: space}
metrics:
  - {name: accuracy, goal: maximize}
  - {name: latency_ms}
""")
    assert [m.name for m in spec.objectives] == ["accuracy", "latency_ms"]
    assert spec.scheduler.search_space == "space"


def test_the_deprecated_logarithmic_form():
    """Exponents of e: read as W&B reads it, with the one warning that tells the modern form."""
    reading = read("""
program: train.py
method: random
parameters: {lr: {distribution: log_uniform, min: -9.21, max: -2.3}}
""")
    assert [f.severity for f in reading.findings] == ["warning"]
    low, high = (SearchSpace.of(reading.spec.parameters).config([u])["lr"] for u in (0, 1))
    assert (round(low, 4), round(high, 1)) == (0.0001, 0.1)


def test_a_python_dictionary():
    """The form of notebooks, with tuples and numpy numbers."""
    from orchestrator.spec import load_dict

    reading = load_dict(
        {
            "method": "random",
            "metric": {"name": "loss", "goal": "minimize"},
            "parameters": {"x": {"max": 0.1, "min": 0.01}, "y": {"values": (1, 3, 7)}},
        },
        needs_program=False,
    )
    assert said(reading) == []
    assert reading.spec.parameters["y"].values == (1, 3, 7)
