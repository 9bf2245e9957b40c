"""Studies that come to their end: as many trials as there are points, also several at a time."""

import contextlib

import optuna
import pytest

from orchestrator.search.exhausted import why_exhausted

pytestmark = pytest.mark.filterwarnings("ignore")


def branches(trial):
    if trial.suggest_categorical("opt", ["sgd", "adam"]) == "sgd":
        trial.suggest_categorical("momentum", [0.9, 0.99])


def odd(trial):
    trial.suggest_categorical("x", [1, True, float("nan")])


def trials_until_the_end(study, space, parallel):
    """Ask until nothing is left, with so many trials running at once."""
    running, n = [], 0
    while n < 30:
        while len(running) < parallel and why_exhausted(study) is None:
            trial = study.ask()
            space(trial)
            running.append(trial)
            n += 1
        if not running:
            return n
        with contextlib.suppress(RuntimeError):  # the sampler's wish to stop, which only `optimize` can
            study.tell(running.pop(0), 1.0)
    return n


@pytest.mark.parametrize("parallel", [1, 2, 5])
@pytest.mark.parametrize(
    ("sampler", "space", "n"),
    [
        (lambda: optuna.samplers.GridSampler({"opt": ["sgd", "adam"], "momentum": [0.9, 0.99]}), branches, 4),
        (lambda: optuna.samplers.GridSampler({"x": [1, True, float("nan")]}), odd, 3),
        (lambda: optuna.samplers.BruteForceSampler(seed=1), branches, 3),
    ],
)
def test_every_point_is_tried_once(sampler, space, n, parallel):
    """Branches, NaN and values that are equal (1 and True) included."""
    found = trials_until_the_end(optuna.create_study(sampler=sampler()), space, parallel)
    assert found == n


def test_what_is_enqueued_is_tried_first():
    """A study with a waiting trial is not at its end, whatever its grid says."""
    study = optuna.create_study(sampler=optuna.samplers.GridSampler({"x": [1]}))
    study.ask().suggest_categorical("x", [1])
    assert "GridSampler" in why_exhausted(study)
    study.enqueue_trial({"x": 1})
    assert why_exhausted(study) is None


def test_endless_samplers_never_end():
    """Nobody can know that a sampler of numbers has nothing left."""
    assert why_exhausted(optuna.create_study()) is None
