"""Spaces of Optuna, Ray Tune and W&B become parameters that mean the same."""

import optuna.distributions as od
import pytest
from ray import tune

from orchestrator.errors import SearchSpaceError
from orchestrator.space.foreign import parameters_of
from orchestrator.spec import load_dict


def read(parameters):
    """The spec accepts them."""
    spec = {"program": "t.py", "method": "random", "metric": {"name": "loss"}, "parameters": parameters}
    assert load_dict(spec, needs_program=False).require()
    return parameters


def test_optunas_distributions():
    """Continuous, logarithmic, stepped, whole and by name."""
    space = {
        "lr": od.FloatDistribution(1e-5, 1e-1, log=True),
        "drop": od.FloatDistribution(0.0, 0.5),
        "share": od.FloatDistribution(0.0, 1.0, step=0.25),
        "layers": od.IntDistribution(1, 4),
        "width": od.IntDistribution(8, 512, log=True),
        "heads": od.IntDistribution(2, 8, step=2),
        "opt": od.CategoricalDistribution(["adam", "sgd"]),
        "one": od.IntDistribution(3, 3),
    }
    assert read(parameters_of(space)) == {
        "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
        "drop": {"distribution": "uniform", "min": 0.0, "max": 0.5},
        "share": {"distribution": "q_uniform", "min": 0.0, "max": 1.0, "q": 0.25},
        "layers": {"distribution": "int_uniform", "min": 1, "max": 4},
        "width": {"distribution": "q_log_uniform_values", "min": 8, "max": 512, "q": 1},
        "heads": {"distribution": "q_uniform", "min": 2, "max": 8, "q": 2},
        "opt": {"values": ["adam", "sgd"]},
        "one": {"value": 3},
    }


def test_ray_tunes_domains():
    """The end of `randint` is left out there and is not here; nested dicts are nested parameters."""
    space = {
        "lr": tune.loguniform(1e-4, 1e-1),
        "drop": tune.uniform(0, 0.5),
        "layers": tune.randint(1, 5),
        "width": tune.qrandint(32, 128, 32),
        "noise": tune.randn(0.0, 2.0),
        "opt": {"name": tune.choice(["adam", "sgd"]), "nesterov": tune.grid_search([True, False])},
        "data": "mnist",
    }
    assert read(parameters_of(space)) == {
        "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-1},
        "drop": {"distribution": "uniform", "min": 0, "max": 0.5},
        "layers": {"distribution": "int_uniform", "min": 1, "max": 4},
        "width": {"distribution": "q_uniform", "min": 32, "max": 128, "q": 32},
        "noise": {"distribution": "normal", "mu": 0.0, "sigma": 2.0},
        "opt": {"parameters": {"name": {"values": ["adam", "sgd"]}, "nesterov": {"values": [True, False]}}},
        "data": {"value": "mnist"},
    }


def test_a_bare_list_is_a_choice():
    """In each library's space."""
    assert read(parameters_of({"opt": ["adam", "sgd"], "width": (8, 16)})) == {
        "opt": {"values": ["adam", "sgd"]},
        "width": {"values": [8, 16]},
    }


def test_wandbs_dict():
    """A whole sweep, or its parameters alone."""
    parameters = {"lr": {"min": 0.1, "max": 1.0}, "opt": {"parameters": {"name": {"values": ("a", "b")}}}}
    expected = {"lr": {"min": 0.1, "max": 1.0}, "opt": {"parameters": {"name": {"values": ["a", "b"]}}}}
    assert read(parameters_of(parameters)) == expected
    assert parameters_of({"method": "grid", "parameters": parameters}) == expected


def test_what_no_spec_can_say_is_refused_by_name():
    """A function of the config, and what is no space at all."""
    with pytest.raises(SearchSpaceError, match=r"f: no spec can say "):
        parameters_of({"f": tune.sample_from(lambda _: 1)})
    with pytest.raises(SearchSpaceError, match="f: no spec can say OddDistribution"):
        parameters_of({"f": type("OddDistribution", (), {})()})
    with pytest.raises(SearchSpaceError, match="a list is no search space here"):
        parameters_of([1, 2])
