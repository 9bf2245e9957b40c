import json
import math
import re
import time
from dataclasses import replace

import numpy as np
import pytest

from orchestrator.errors import SweepError
from orchestrator.reporting.advice import advice_for
from orchestrator.reporting.facts import read_facts
from orchestrator.reporting.finals import final_scores
from orchestrator.reporting.importance import assess, importances
from orchestrator.reporting.usage import usage_of
from orchestrator.space import SearchSpace
from orchestrator.spec import load_text
from tests.cli.shell import called
from tests.reporting.planted import Plan, plant

FLOATS = "x0: {min: 0.0, max: 1.0}, x1: {min: 0.0, max: 1.0}, x2: {min: 0.0, max: 1.0}"
RATES = "lr: {distribution: log_uniform_values, min: 0.00001, max: 1.0}, opt: {values: [sgd, adam]}, junk: {min: 0.0, max: 1.0}"


def space_of(parameters):
    spec = load_text(f"{{method: random, parameters: {{{parameters}}}}}", path="s", needs_program=False).require()
    return SearchSpace.of(spec.parameters)


def shares(parameters, loss, *, n=40, seed=0, points=None, keep=lambda config: config):
    """The importances by name, of a loss at random points of a space, or at those given."""
    space, rng = space_of(parameters), np.random.default_rng(seed)
    configs = space.configs(rng.random((n, space.n_axes)) if points is None else points)
    scores = np.array([loss(config) for config in configs])
    order = np.argsort(scores)
    return {i.name: i for i in assess(space, [keep(configs[k]) for k in order], scores[order])}


def tuned(c):
    return 0.05 * (math.log10(c["lr"]) + 2) ** 2 + 2 * (c["opt"] == "sgd") + 0.01 * c["junk"]


def concentrated(n, n_spread, rng):
    """Points as a search leaves them: a few all over the space, the others close to the best."""
    spread = rng.random((n_spread, 3))
    near = np.column_stack([rng.random(n - n_spread), rng.normal(0.6, 0.03, n - n_spread), np.full(n - n_spread, 0.9)])
    return np.clip(np.vstack([spread, near]), 0, 1)


@pytest.mark.parametrize("seed", range(3))
def test_a_search_that_tried_the_winner_alone_hides_nothing(seed):
    """Where most trials have adam already, it is still the optimizer that matters: of the space, not of the trials."""
    found = shares(RATES, tuned, points=concentrated(30, 8, np.random.default_rng(seed)))
    assert list(found) == ["opt", "lr", "junk"]
    assert found["opt"].share == pytest.approx(0.985, abs=0.02)
    assert found["opt"].visible
    assert found["opt"].effect.best == ("adam",)
    assert found["opt"].effect.cost == pytest.approx(2, abs=0.1)
    assert found["opt"].effect.is_sure
    assert (found["junk"].visible, found["junk"].note) == (False, "no visible effect")


def test_shares_are_those_of_the_function():
    """Slopes of 3, 1.7 and 1 are 70, 22 and 8 % of the variance; each lies in its interval."""
    found = shares(FLOATS, lambda c: 3 * c["x0"] + 1.7 * c["x1"] + c["x2"])
    for i, share in zip(found.values(), (0.698, 0.224, 0.078), strict=True):
        assert i.low - 0.005 <= share <= i.high + 0.005
        assert i.low <= i.share <= i.high
        assert i.alone == pytest.approx(i.share, abs=0.02)
        assert (i.visible, i.note) == (True, "")


def test_what_acts_together_is_said():
    """Two parameters whose product counts have the whole variance each, and nothing alone."""
    found = shares(FLOATS, lambda c: (c["x0"] - 0.5) * (c["x1"] - 0.5))
    assert {found[name].note for name in ("x0", "x1")} == {"mostly together with others"}
    assert min(found["x0"].share, found["x1"].share) > 0.9
    assert found["x2"].visible is False


def test_scores_of_chance_alone_have_no_visible_effects():
    """Few of them are called visible: more than three of twelve come in one of 400 times, each being so in one of 20.

    Below what could be told, nothing is called invisible either.
    """
    alarms, early = 0, set()
    for seed in range(4):
        noise = np.random.default_rng([seed, 7])
        early |= {i.visible for i in shares(FLOATS, lambda _: noise.normal(), n=12, seed=seed).values()}  # noqa: B023 - called at once
        alarms += sum(bool(i.visible) for i in shares(FLOATS, lambda _: noise.normal(), n=64, seed=seed).values())  # noqa: B023
    assert alarms <= 3
    assert False not in early


@pytest.mark.parametrize("seed", range(4))
def test_an_effect_on_all_trials_is_seen_with_few(seed):
    """A slope under noise in 30 trials is no chance, though hardly any of them are among the best."""
    noise = np.random.default_rng(seed)
    assert shares(FLOATS, lambda c: c["x0"] + noise.normal(0, 0.25), n=30, seed=seed)["x0"].visible


def test_diverged_trials_do_not_hide_the_others():
    """A loss of 1e12 counts as one far out: the parameter that did not diverge keeps a share."""
    found = shares(FLOATS, lambda c: 1e12 if c["x0"] > 0.85 else c["x0"] + c["x1"], n=60)
    assert found["x0"].share > 0.5
    assert found["x1"].visible
    assert found["x2"].visible is False


def test_a_parameter_that_some_trials_lack_has_a_share():
    """A value that is missing is no reason to forget the trial; one outside of the space is."""

    def keep(config):
        return {"x0": config["x0"], "x2": config["x2"]} if config["x2"] > 0.7 else config

    found = shares(FLOATS, lambda c: c["x0"] + c["x1"] * (c["x2"] <= 0.7), keep=keep, n=60)
    assert found["x1"].visible
    assert shares(FLOATS, lambda c: c["x0"], keep=lambda c: c | {"x0": 7.0}) == {}


def test_nothing_is_said_of_too_few_or_equal_scores():
    """Seven trials, or scores without a difference, say nothing; neither does a space of one config."""
    assert shares(FLOATS, lambda c: c["x0"], n=7) == {}
    assert shares(FLOATS, lambda _: 1.0) == {}
    assert shares("x0: {values: [1]}", lambda _: 1.0) == {}


def test_long_lists_and_lists_of_lists_have_an_importance():
    """A list of many names, numbers or lists is rated whatever of it was tried."""
    names = ", ".join(f"name{i}" for i in range(300))
    found = shares(
        f"many: {{values: [{names}]}}, two: {{values: [[1, 2], [3]]}}, n: {{values: [1, 2, 4, 8]}}",
        lambda c: c["n"] + len(c["two"]) + (c["many"] == "name7"),
    )
    assert next(iter(found)) == "n"
    assert found["two"].effect.best == ([3],)
    assert found["n"].effect.best == (1,)


def test_three_thousand_trials_take_no_longer_than_a_few():
    """Of many trials those that lie apart are taken."""
    began = time.process_time()
    found = shares(RATES, tuned, n=3000)
    assert time.process_time() - began < 10
    assert list(found) == ["opt", "lr", "junk"]


SPEC = f"{{program: t.py, method: random, metric: {{name: acc, goal: maximize}}, parameters: {{{RATES}}}}}"


def test_what_its_values_cost_is_said(tmp_path):
    """The best value is named, and what the others cost, in the metric's own terms, whichever way it is good."""
    facts = read_facts(plant(tmp_path, n=30, spec=SPEC, play=lambda n, c, rng: Plan([{"acc": -tuned(c)}])))
    advice = {a.kind: a for a in reversed(advice_for(facts, importances(facts), usage_of(facts)))}
    assert advice["effect"].text == "opt=adam is best: with sgd acc is worse by about 2"
    assert advice["effect"].todo == "fix opt to adam, and search the others"
    junk = facts.results.ranked[0].config["junk"]
    assert advice["no_effect"].text == "no visible effect of junk"
    assert advice["no_effect"].todo == f"fix it to what the best trial has, junk={junk:.5g}, and search the others"


def test_trials_that_ended_early_count_for_what_they_would_have_come_to(tmp_path):
    """Stopped trials are carried to the end: their length is not taken for an effect of what made them short."""

    def play(n, c, rng):
        return Plan([{"acc": 5 - tuned(c) - 3 * math.exp(-e / 4)} for e in range(10)])

    spec = SPEC.replace("parameters", "early_terminate: {type: hyperband, min_iter: 3, eta: 2}, parameters", 1)
    facts = read_facts(plant(tmp_path, n=60, spec=spec, play=play))
    assert facts.counts["stopped"] > 10
    wanted = [tuned(trial.config) - 5 + 3 * math.exp(-9 / 4) for trial in facts.results.ranked]
    raw = [trial.score for trial in facts.results.ranked]
    got = final_scores(facts)
    assert np.abs(got - wanted).max() < 0.01 < np.abs(np.array(raw) - wanted).max()
    few = replace(facts, curves={})
    assert final_scores(few).tolist() == raw


@pytest.mark.soak
def test_false_alarms_are_as_rare_as_the_test_says():
    """Of parameters without an effect, one in twenty is called visible, beside ones that have one or not."""
    alarms = []
    for seed in range(60):
        noise = np.random.default_rng([seed, 1])
        found = shares(FLOATS, lambda c: 2 * c["x0"] + noise.normal(), n=30, seed=seed)  # noqa: B023 - called at once
        alarms += [bool(found[name].visible) for name in ("x1", "x2")]
    assert np.mean(alarms) < 0.1


def test_each_of_several_objectives_has_its_own_importances(tmp_path):
    """The first one's are shown unless another is named; one that there is not is an error that names those that there are."""
    both = "program: t.py, method: random, metrics: [{name: acc, goal: maximize}, {name: size, goal: minimize}]"
    sizes = {"sgd": 1.0, "adam": 2.0}

    def play(n, c, rng):
        return Plan([{"acc": c["junk"], "size": sizes[c["opt"]] + 0.1 * c["junk"]}])

    plant(tmp_path, n=30, spec=f"{{{both}, parameters: {{{RATES}}}}}", play=play)
    found = json.loads(called("show", "--json", "--runs-dir", tmp_path))["importance"]
    assert (found[0]["name"], round(found[0]["share"], 1)) == ("junk", 1.0)
    of_size = called("show", "--metric", "size", "--runs-dir", tmp_path)
    assert re.search(r"importance for size .*\n.*\n  opt +(9[0-9]|100) %", of_size)
    assert "--metric acc" in of_size
    with pytest.raises(SweepError, match="'loss' is no objective of this sweep; it has 'acc', 'size'"):
        called("show", "--metric", "loss", "--runs-dir", tmp_path)
