from pathlib import Path

import hypothesis.strategies as st
import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from orchestrator.spec import dump, load_file, load_text
from orchestrator.spec.dump import to_dict
from orchestrator.spec.model import (
    Beta,
    Budget,
    Categorical,
    Constant,
    EarlyTerminate,
    Gaussian,
    Goal,
    Interval,
    Kind,
    Method,
    Metric,
    Nested,
    Options,
    Patience,
    Resources,
    Scheduler,
    SweepSpec,
)
from orchestrator.spec.options import SAMPLERS

SWEEPS = sorted((Path(__file__).parents[2] / "sweeps").glob("*.yaml"))

carried = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
anything = st.text(carried, max_size=12)
words = st.text(st.characters(categories=["L", "N", "P", "Zs"], max_codepoint=0x2FFF), min_size=1, max_size=8).filter(
    lambda w: ".." not in w
)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,6}", fullmatch=True).filter(lambda w: ".." not in w)
finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(1e-300, 1e300)
tricky = st.sampled_from(
    ["1e-5", "1E5", "off", "010", "12:30", "null", "", "<<", "=", "2020-01-01", "0x1", "~", "!x", "&a"]
)
json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | finite | anything | tricky,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def intervals(draw, kind, numbers):
    low, high = sorted(draw(st.lists(numbers, min_size=2, max_size=2, unique=True)))
    q = draw(st.sampled_from([1, 3, 0.1, 1.0])) if kind.startswith("q_") else None
    return Interval(kind=kind, min=low, max=high, q=q)


def optional_q(kind):
    return st.sampled_from([1, 3, 0.1, 1.0]) if kind.startswith("q_") else st.none()


moderate = st.floats(-1e6, 1e6)
leaves = st.one_of(
    json.map(lambda value: Constant(value=value)),
    st.lists(json, min_size=1, max_size=4).map(lambda values: Categorical(values=tuple(values))),
    st.lists(json, min_size=2, max_size=2).map(
        lambda values: Categorical(values=tuple(values), probabilities=(0.25, 0.75))
    ),
    intervals(Kind.INT_UNIFORM, st.integers(-(10**12), 10**12)),
    intervals(Kind.UNIFORM, finite | st.integers(-9, 9)),
    *(intervals(kind, st.integers(-9, 9) | moderate) for kind in (Kind.Q_UNIFORM,)),
    *(intervals(Kind(f"{p}log_uniform"), st.floats(-700, 700)) for p in ("", "q_", "inv_")),
    *(intervals(Kind(f"{p}log_uniform_values"), st.floats(1e-6, 1e6)) for p in ("", "q_", "inv_")),
    *(
        st.builds(Gaussian, kind=st.just(kind), mu=finite, sigma=positive, q=optional_q(kind))
        for kind in (Kind.NORMAL, Kind.Q_NORMAL, Kind.LOG_NORMAL, Kind.Q_LOG_NORMAL)
    ),
    *(
        st.builds(Beta, kind=st.just(kind), a=positive, b=positive, q=optional_q(kind))
        for kind in (Kind.BETA, Kind.Q_BETA)
    ),
)
parameters = st.recursive(
    leaves,
    lambda inner: st.dictionaries(names, inner, min_size=1, max_size=3).map(lambda p: Nested(parameters=p)),
    max_leaves=4,
)
metrics = st.builds(
    Metric,
    name=words,
    goal=st.sampled_from(Goal),
    target=st.none() | finite,
    impute=st.sampled_from([None, "worst", "best", "latest"]),
    impute_while_running=st.sampled_from(["false", "worst", "best", "latest"]),
)
patience = st.builds(Patience, after=st.integers(1, 99), min_delta=st.floats(0, 10))
rules = st.one_of(
    st.builds(
        EarlyTerminate,
        type=st.sampled_from(["hyperband", "asha"]),
        min_iter=st.integers(1, 99),
        eta=st.floats(1.1, 9),
        strict=st.booleans(),
        no_improvement=st.none() | patience,
    ),
    st.builds(EarlyTerminate, type=st.just("asha"), min_iter=st.integers(1, 9), max_t=st.integers(9, 99)),
    st.builds(EarlyTerminate, type=st.just("hyperband"), max_iter=st.integers(9, 99), s=st.integers(1, 5)),
    st.builds(EarlyTerminate, type=st.just("median"), percentile=st.floats(1, 99), min_trials=st.integers(1, 9)),
)
resources = st.builds(
    Resources,
    gpu=st.none() | st.sampled_from([0.0, 0.25, 1.0, 8.0]),
    cpu=st.none() | st.just(0.0) | st.floats(0.0001, 99),
    memory_bytes=st.none() | st.integers(1, 2**50),
    custom=st.dictionaries(words, st.floats(0.1, 9), max_size=2),
)
options = st.builds(
    Options,
    resources=resources,
    concurrency=st.none() | st.integers(1, 999),
    seed=st.none() | st.integers(0, 2**63 - 1),
    retries=st.integers(0, 9),
    objective=st.sampled_from(["best", "last"]),
    timeout_trial_s=st.none() | positive,
    timeout_sweep_s=st.none() | positive,
    budget=st.builds(Budget, gpu_hours=st.none() | positive, price=st.none() | positive),
    grace_s=positive,
    sampler=st.sampled_from(SAMPLERS),
    sampler_options=st.dictionaries(words, json, max_size=2),
    grid_order=st.sampled_from(["wandb", "shuffled"]),
    allow_repeats=st.booleans(),
    stop_when=st.sampled_from([(), ("nan",), ("nan", "diverging"), ("diverging",)]),
    stop=st.dictionaries(words, positive, max_size=2),
    preload=st.none() | st.lists(names, max_size=3).map(tuple),
    wandb=st.sampled_from(["auto", "online", "offline", "off"]),
    gradients=st.sampled_from(["on", "off"]),
)
specs = st.builds(
    SweepSpec,
    method=st.sampled_from([Method.RANDOM, Method.CUSTOM]),
    parameters=st.dictionaries(names, parameters, min_size=1, max_size=4),
    program=words,
    command=st.none() | st.lists(anything, min_size=1, max_size=4).map(tuple),
    metric=metrics,
    early_terminate=st.none() | rules,
    run_cap=st.none() | st.integers(1, 10**9),
    name=st.none() | words,
    description=st.none() | st.text(st.characters(categories=["L", "P"], include_characters="\n\t"), max_size=20),
    project=st.none() | words,
    entity=st.none() | words,
    controller=st.none() | st.just({"type": "local"}),
    job=st.none() | words,
    image_uri=st.none() | words,
    options=options,
).map(
    lambda spec: (
        spec
        if spec.method is Method.RANDOM
        else SweepSpec(
            **{
                **{name: getattr(spec, name) for name in SweepSpec.__slots__},
                "scheduler": Scheduler(engine="optuna", source="s.py", optimizer="make"),
                "metric": None,
                "metrics": (Metric(name="a"), Metric(name="b", goal=Goal.MAXIMIZE, target=0.5)),
            }
        )
    )
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(specs)
def test_every_spec_comes_back(spec):
    """Spec -> YAML -> spec is the identity, over all kinds, sections and options, however odd their strings."""
    reading = load_text(dump(spec))
    assert reading.errors == ()
    assert reading.spec == spec
    assert dump(reading.spec) == dump(spec)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_example_comes_back(path):
    """YAML -> spec -> YAML -> spec, without a finding."""
    reading = load_file(path)
    assert reading.findings == ()
    assert load_text(dump(reading.spec)).spec == reading.spec


def test_what_was_corrected_is_written_correctly():
    """A spec with warnings becomes one without."""
    text = """
program: 7
method: random
metric: {name: acc, goal: max}
parameters: {lr: {min: 1e-5, max: 1}, b: {values: [off, 1e-3, 2]}}
early_terminate: {type: hyperband, min_iter: 3.0}
command: python t.py ${args}
controller: cloud
"""
    reading = load_text(text)
    assert len(reading.warnings) > 5
    again = load_text(dump(reading.require()))
    assert again.findings == ()
    assert again.spec == reading.spec


def test_defaults_are_left_out():
    """What was not said is not written."""
    reading = load_text("program: t.py\nmethod: random\nparameters: {a: {values: [1, 2]}}")
    assert to_dict(reading.spec) == {
        "method": "random",
        "program": "t.py",
        "parameters": {"a": {"values": [1, 2]}},
    }


def test_shared_values_are_written_out():
    """No anchors, which a person would have to follow."""
    reading = load_text("program: t.py\nmethod: random\nparameters: {a: &x {values: [[1], [1]]}, b: *x}")
    assert "&" not in dump(reading.spec)
    assert yaml.safe_load(dump(reading.spec))["parameters"]["b"] == {"values": [[1], [1]]}
