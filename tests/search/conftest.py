"""Spaces and sweeps in memory that the search's tests share."""

import pytest

from orchestrator.search.factory import make_search
from orchestrator.search.protocol import Observation, Outcome, Pending
from orchestrator.space import SearchSpace
from orchestrator.spec.model import (
    Beta,
    Categorical,
    Constant,
    Gaussian,
    Goal,
    Interval,
    Kind,
    Method,
    Metric,
    Nested,
    Options,
    SweepSpec,
)

LOSS = Metric(name="loss")

EVERY_KIND = {
    "constant": Constant(value={"a": 1}),
    "categorical": Categorical(values=("adam", "sgd", None)),
    "weighted": Categorical(values=(1, "x", True), probabilities=(0.2, 0.5, 0.3)),
    "numbers": Categorical(values=(16, 32, 64, 128)),
    "int_uniform": Interval(kind=Kind.INT_UNIFORM, min=-3, max=9),
    "big": Interval(kind=Kind.INT_UNIFORM, min=1, max=10**12),
    "uniform": Interval(kind=Kind.UNIFORM, min=-1.0, max=1.0),
    "q_uniform": Interval(kind=Kind.Q_UNIFORM, min=0.0, max=1.0, q=0.1),
    "log_uniform": Interval(kind=Kind.LOG_UNIFORM, min=-5, max=-1),
    "inv_log_uniform": Interval(kind=Kind.INV_LOG_UNIFORM, min=1, max=4),
    "nested": Nested(
        parameters={
            "log_uniform_values": Interval(kind=Kind.LOG_UNIFORM_VALUES, min=1e-5, max=1.0),
            "inv_log_uniform_values": Interval(kind=Kind.INV_LOG_UNIFORM_VALUES, min=1e-3, max=1.0),
            "q_log_uniform_values": Interval(kind=Kind.Q_LOG_UNIFORM_VALUES, min=8, max=512, q=8),
            "deeper": Nested(parameters={"q_log_uniform": Interval(kind=Kind.Q_LOG_UNIFORM, min=1, max=5, q=1)}),
        }
    ),
    "normal": Gaussian(kind=Kind.NORMAL),
    "q_normal": Gaussian(kind=Kind.Q_NORMAL, sigma=3.0, q=0.5),
    "log_normal": Gaussian(kind=Kind.LOG_NORMAL),
    "q_log_normal": Gaussian(kind=Kind.Q_LOG_NORMAL, mu=2.0, q=1),
    "beta": Beta(kind=Kind.BETA, a=2.0, b=5.0),
    "q_beta": Beta(kind=Kind.Q_BETA, a=2.0, b=2.0, q=0.25),
}

FINITE = {
    "a": Categorical(values=(1, 2, 4)),
    "b": Categorical(values=("x", "y")),
    "c": Categorical(values=(True, False)),
}


@pytest.fixture(scope="session")
def every_kind():
    return EVERY_KIND


@pytest.fixture(scope="session")
def finite():
    return FINITE


@pytest.fixture(scope="session")
def spec_of():
    """A function: method, parameters and options to a spec with a metric."""

    def make(method, parameters, *, metrics=(), goal=Goal.MINIMIZE, scheduler=None, **options):
        return SweepSpec(
            method=Method(method),
            parameters=parameters,
            metric=None if metrics else Metric(name="loss", goal=goal),
            metrics=tuple(metrics),
            scheduler=scheduler,
            options=Options(**options),
        )

    return make


@pytest.fixture(scope="session")
def sweep():
    """A function that runs a sweep in memory and returns the observations in order of completion."""
    return run_sweep


def run_sweep(spec, loss, *, n, seed=1, parallel=1, search=None, prior=()):
    """Run trials whose `loss` returns a tuple of scores, or None for a failure; the oldest or newest one ends next."""
    search = search or make_search(spec, SearchSpace.of(spec.parameters), seed)
    observations, pending, number = list(prior), [], 0
    while len(observations) - len(prior) < n:
        while len(pending) < parallel and number < n:
            config = search.suggest(number, observations, pending)
            if config is None:
                break
            pending.append(Pending(number=number, config=config))
            number += 1
        if not pending:
            break
        trial = pending.pop(-1 if number % 3 == 0 else 0)
        scores = loss(trial.config)
        observations.append(
            Observation(
                number=trial.number,
                config=trial.config,
                outcome=Outcome.FAILED if scores is None else Outcome.FINISHED,
                scores=scores or (),
                order=len(observations),
            )
        )
    return observations[len(prior) :]
