"""The rule that goes with failure: found where it was planted, and hardly ever where there is none."""

import random

import pytest

from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.reporting.blame import rule_for
from orchestrator.space import SearchSpace
from orchestrator.spec import load_text

SPEC = """
program: t.py
method: random
metric: {name: loss}
parameters:
  layers: {min: 1, max: 8}
  lr: {distribution: log_uniform_values, min: 0.0001, max: 1.0}
  opt: {values: [sgd, adam, lamb]}
  epochs: {value: 3}
"""
SPACE = SearchSpace.of(load_text(SPEC, path="s", needs_program=False).require().parameters)


def trials(n, seed=0):
    rng = random.Random(seed)
    configs = (SPACE.config([rng.random() for _ in range(SPACE.n_axes)]) for _ in range(n))
    return [TrialRecord(number=i, config=c, state=TrialState.FINISHED, attempt=0) for i, c in enumerate(configs)]


def rule(all_trials, fails):
    failed = [trial for trial in all_trials if fails(trial)]
    return len(failed), rule_for(SPACE, failed, [trial for trial in all_trials if trial not in failed])


@pytest.mark.parametrize(
    ("fails", "text", "others"),
    [
        (lambda c: c["layers"] >= 6, "layers >= 6", 0),
        (lambda c: c["layers"] <= 2, "layers <= 2", 0),
        (lambda c: c["lr"] > 0.1, "lr >= 0.1", 0),
        (lambda c: c["opt"] == "lamb", "opt = lamb", 0),
        (lambda c: c["layers"] >= 6 and c["opt"] != "sgd", "layers >= 6", 3),
    ],
)
def test_a_planted_rule_is_found(fails, text, others):
    """High, low, one of a list; also where some trials that worked fulfil it, which is counted."""
    _, found = rule(trials(30), lambda trial: fails(trial.config))
    assert (found.text, found.others) == (text, others)


def test_a_bound_is_as_short_as_it_may_be_and_stays_true():
    """Every failure is within, everything that was outside is still outside."""
    all_trials = trials(40)
    _, found = rule(all_trials, lambda trial: trial.config["lr"] > 0.031)
    bound = float(found.text.removeprefix("lr >= "))
    assert len(found.text) <= len("lr >= 0.0345")
    assert all((t.config["lr"] >= bound) == (t.config["lr"] > 0.031) for t in all_trials)


def test_chance_is_not_blamed():
    """Where failures fall by lot, a rule is told in no more than a twentieth of the sweeps."""
    told = 0
    for seed in range(200):
        rng = random.Random(seed)
        n_failed, found = rule(trials(20, seed), lambda _, rng=rng: rng.random() < 0.25)
        told += found is not None and n_failed > 1
    assert told <= 10


@pytest.mark.parametrize("n_failed", [0, 1, 20])
def test_too_little_to_tell_a_rule(n_failed):
    """No failure, one, or nothing else."""
    assert rule(trials(20), lambda trial: trial.number < n_failed)[1] is None
