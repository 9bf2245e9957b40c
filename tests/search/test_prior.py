"""Trials of earlier sweeps."""

import pytest

from orchestrator.errors import SearchSpaceError
from orchestrator.search.prior import PriorTrial, as_observations, from_csv, from_wandb
from orchestrator.search.protocol import Outcome
from orchestrator.space import SearchSpace
from orchestrator.spec.model import Categorical, Goal, Interval, Kind, Nested

PARAMETERS = {
    "lr": Interval(kind=Kind.LOG_UNIFORM_VALUES, min=1e-5, max=1.0),
    "layers": Interval(kind=Kind.INT_UNIFORM, min=1, max=4),
    "bias": Categorical(values=(True, False, None)),
    "name": Categorical(values=("1", "two")),
    "opt": Nested(parameters={"beta": Categorical(values=(0.9, 0.99))}),
}


def test_a_table_becomes_trials(spec_of):
    """Cells are read as the value of the parameter they stand for, and other numbers are metrics."""
    text = "Name,lr,layers,bias,name,opt.beta,loss\nrun-1,1e-3,2,True,1,0.9,0.5\nrun-2,0.01,3,None,two,0.99,\n"
    trials = from_csv(text, SearchSpace.of(PARAMETERS))
    assert trials[0].config == {"bias": True, "layers": 2, "lr": 0.001, "name": "1", "opt": {"beta": 0.9}}
    assert trials[1].config["bias"] is None
    first, second = as_observations(trials, spec_of("bayes", PARAMETERS))
    assert (first.number, first.scores, first.outcome) == (-1, (0.5,), Outcome.FINISHED)
    assert (second.number, second.scores, second.outcome) == (-2, (), Outcome.FAILED)


def test_maximised_metrics_are_turned(spec_of):
    """Scores of a prior sweep are lower is better, as everywhere."""
    spec = spec_of("bayes", PARAMETERS, goal=Goal.MAXIMIZE)
    [observation] = as_observations([PriorTrial(config={}, metrics={"loss": 0.8})], spec)
    assert observation.scores == (-0.8,)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "0.5", None])
def test_what_is_no_finite_number_is_a_failure(value, spec_of):
    """A NaN, a flag or a text is no score."""
    [observation] = as_observations([PriorTrial(config={}, metrics={"loss": value})], spec_of("bayes", PARAMETERS))
    assert observation.outcome is Outcome.FAILED


def test_a_wandb_run_becomes_a_trial():
    """W&B wraps values, adds keys of its own, and nests metrics."""
    trial = from_wandb(
        {"wandb_version": 1, "lr": {"desc": None, "value": 0.1}, "_wandb": {"value": {}}},
        {"loss": 0.2, "val": {"acc": 0.9}},
    )
    assert trial.config == {"lr": 0.1}
    assert trial.metrics == {"loss": 0.2, "val.acc": 0.9}


def test_a_table_without_a_parameter_is_refused():
    """The message names the column that is missing and those that are there."""
    with pytest.raises(SearchSpaceError, match=r"no column bias, layers.*\['lr', 'name', 'opt.beta'\]"):
        from_csv("lr,name,opt.beta\n1,1,0.9\n", SearchSpace.of(PARAMETERS))
