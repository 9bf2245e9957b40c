import re

import pytest

from orchestrator.ledger.lock import controlling
from orchestrator.reporting.advice import advice_for
from orchestrator.reporting.facts import read_facts
from orchestrator.reporting.importance import importances
from orchestrator.reporting.page.sections import (
    Content,
    Fact,
    commands,
    environment,
    failures,
    header,
    numbers,
    plots,
    prose,
    spec,
    timeline,
    winner,
)
from orchestrator.reporting.usage import usage_of
from orchestrator.trial.contract.events import Cause
from tests.reporting.planted import Plan, ninth_overfits, plant

NOTHING_TO_OPTIMISE = """
program: train.py
method: random
parameters: {x: {min: 0.0, max: 1.0}}
"""


def content_of(sweep_dir):
    facts = read_facts(sweep_dir)
    found, usage = importances(facts), usage_of(facts)
    return Content(facts=facts, importances=found, usage=usage, advice=advice_for(facts, found, usage))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """60 trials with every state and several errors."""
    return content_of(plant(tmp_path_factory.mktemp("runs"), n=60, play=ninth_overfits))


@pytest.fixture(scope="module")
def early(tmp_path_factory):
    """A sweep before its first trial, which has nothing to optimise and is being run."""
    sweep_dir = plant(tmp_path_factory.mktemp("runs"), n=4, spec=NOTHING_TO_OPTIMISE, until=0.5, play=lambda *_: None)
    with controlling(sweep_dir.lock_path):
        return content_of(sweep_dir)


def test_the_header_says_what_and_where(digits, early):
    """Method, metric and goal, beginning and reason; links only to what there is."""
    said = header(digits)
    assert (said.name, said.sweep_id, said.state) == ("digits", "k3x9w2ab", "finished")
    assert re.fullmatch(
        r"random search for valid/accuracy \(maximize\), started [-\d]+ [:\d]+: all 60 trials are done", said.sentence
    )
    assert [link.section for link in said.links] == [
        "verdict", "history", "parameters", "trials", "timeline", "failures", "spec", "environment",
    ]  # fmt: skip
    assert header(early).sentence.startswith("random search, started ")
    assert {"timeline", "failures"}.isdisjoint(link.section for link in header(early).links)


def test_the_winner_is_ready_to_run(digits, early):
    """Its value, which report it is from, its config and the command line that trains it."""
    best = winner(digits.facts)
    assert (best.metric, best.value) == ("valid/accuracy", "0.98003")
    assert best.standing == "trial 16, row 10 of 10, finished"
    assert {fact.name for fact in best.config} == {"lr", "batch_size", "dropout", "model.width", "model.act"}
    assert "--lr=0.0041860053093558895" in best.command
    assert winner(early.facts) is None


def test_what_goes_on_needs_a_result(digits, early):
    """Commands that go on from the winners are named where there are winners."""
    assert [fact.name for fact in commands(digits.facts)] == [
        "sweep resume k3x9w2ab --add 20",
        "sweep export k3x9w2ab --to wandb-yaml -o next.yaml",
    ]
    assert commands(early.facts) == ()


def test_the_numbers_add_up(digits, early):
    """Each state's trials make all trials together, and the costs stand where something was spent."""
    found = {fact.name: fact.value for fact in numbers(digits)}
    assert sum(int(found[name]) for name in ("finished", "stopped early", "failed")) == int(found["trials"]) == 60
    assert list(found)[-4:] == ["wall time", "trial time", "GPU hours", "slots busy"]
    assert numbers(early) == (Fact("trials", "0"),)


def test_what_does_not_apply_is_left_out(digits, early):
    """No plots without a metric, no timeline before the first trial, no failures without one."""
    assert plots(digits).metric == "valid/accuracy"
    assert re.fullmatch(r"\d+", timeline(digits).busy)
    assert (plots(early), timeline(early), failures(early.facts)) == (None, None, None)


def test_many_errors_are_grouped_and_counted(tmp_path):
    """Those that most trials share come first, with the end of a log; what there is no room for is counted."""

    def play(number, config, rng):
        error = "ValueError: always" if number < 30 else f"ValueError: {chr(65 + number % 26) * (1 + number // 26)}"
        return Plan([], cause=Cause.FAILED, error=error, log=[f"line {i}\x1b[31m" for i in range(20)])

    found = failures(content_of(plant(tmp_path, n=100, play=play)).facts)
    first = found.shown[0]
    assert (first.counted, first.said, first.open) == ("30 trials", "failed: ValueError: always", True)
    assert (first.trials, first.n_more) == (tuple(range(20)), 10)
    assert first.tail.splitlines() == [f"line {i}?[31m" for i in range(8, 20)]
    assert found.n_more == 71 - len(found.shown)
    assert not found.shown[1].open


def test_the_spec_is_the_one_that_was_given(digits):
    """Without changes from the command line there is one text."""
    said = spec(digits.facts)
    assert "valid/accuracy" in said.given
    assert said.as_run is None


def test_the_environment_needs_no_record(digits):
    """Directory and seed are known also where nothing else was recorded."""
    said = environment(digits.facts)
    assert [fact.name for fact in said.facts] == ["Directory", "Launched from", "Seed"]
    assert said.changed == ""


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("try `a` and `b`", ("Try ", "a", " and ", "b", "")),
        ("no code", ("No code",)),
        ("`all` code", ("", "all", " code")),
        ("one ` alone", ("One ` alone",)),
    ],
)
def test_prose_is_text_and_code_in_turn(text, parts):
    """What stands between backticks is code; a single backtick stays."""
    assert prose(text) == parts


@pytest.mark.parametrize("text", ["lr is best", "lr=0.1 is best", "lr, opt matter"])
def test_a_parameter_that_begins_a_sentence_keeps_its_name(text):
    """It is no word that could be written with a capital."""
    assert prose(text, {"lr"}) == (text,)
    assert prose("lrs are best", {"lr"}) == ("Lrs are best",)
