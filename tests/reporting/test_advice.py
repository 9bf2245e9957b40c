import itertools
from dataclasses import replace

import pyarrow as pa
import pytest

from orchestrator.diagnosis.model import Issue
from orchestrator.reporting import facts as facts_module
from orchestrator.reporting.advice import advice_for, certainty, failures_by_cause
from orchestrator.reporting.facts import read_facts
from orchestrator.reporting.importance import importances
from orchestrator.reporting.narrow import narrowed
from orchestrator.reporting.page.render import write_report
from orchestrator.reporting.table import as_columns, table_of
from orchestrator.reporting.usage import usage_of
from orchestrator.space import SearchSpace
from orchestrator.spec import load_text
from orchestrator.trial.contract.events import Cause
from orchestrator.trial.contract.resource_use import GpuUse, Look, Use
from tests.reporting.planted import Plan, accuracy, plant

ONE = "{program: t.py, method: random, metric: {name: loss}, parameters: {x: {min: 0.0, max: 1.0}, c: {values: [a, b, c]}}}"


def facts_of(path, **options):
    return read_facts(plant(path, **options))


def said(facts):
    usage = usage_of(facts)
    return {advice.kind: advice.text for advice in advice_for(facts, importances(facts), usage)}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return facts_of(tmp_path_factory.mktemp("runs"), n=60)


def test_a_path_that_running_trials_shared_is_said(tmp_path):
    """What trials noted of paths they overwrote for each other is advice; damaged lines and a link out of the sweep are none."""
    facts = facts_of(tmp_path, n=8)
    assert "overwritten" not in said(facts)
    noted = facts.results.sweep_dir.path / "shared-paths.jsonl"
    noted.write_text(
        '{"path": "/m.pt", "trials": [0, 1]}\nnull\n{"path": "/m.pt", "trials": [1, 4]}\n[[[\n{"path": "/b", "trials": [2]}\n'
    )
    text = said(replace(facts))["overwritten"]
    assert text.startswith("trials 0, 1, 4 wrote /m.pt while the others did (and 1 other path)")
    noted.rename(tmp_path / "elsewhere")
    noted.symlink_to(tmp_path / "elsewhere")
    assert "overwritten" not in said(replace(facts))


def test_few_trials_have_no_importance(tmp_path):
    """Below a dozen nothing is claimed; one more thing to do is named instead."""
    facts = facts_of(tmp_path, n=5, spec=ONE, play=lambda n, c, rng: Plan([{"loss": c["x"]}]))
    assert importances(facts) == []
    assert said(facts)["few"] == "only 5 trials with a score for 2 parameters"


def test_what_the_digits_sweep_should_know(digits):
    """The planted troubles are named with their numbers, and none that is not there."""
    found = said(digits)
    assert found["no_metric"] == "3 of 60 trials never logged valid/accuracy; they logged accuracy, train/loss"
    assert found["edge"] == "the best model.width, 32, is at the high edge of its range (32)"
    assert found["no_effect"].startswith("no visible effect of dropout, ")
    assert found["effect"].startswith("model.width=32 is best: with 8 valid/accuracy is worse by about 0.0")
    assert "within noise" in found["noise"]
    assert found["stalled"] == "nothing better was found in the last 40 trials"
    assert not {"failures", "idle", "few", "improving"} & set(found)


@pytest.mark.parametrize(("best", "edge"), [(0.0, "low"), (1.0, "high"), (0.5, None)])
def test_the_edge_of_a_range(tmp_path, best, edge):
    """A range is to be widened only where its best values crowd at one end."""
    facts = facts_of(tmp_path, n=60, spec=ONE, play=lambda n, c, rng: Plan([{"loss": abs(c["x"] - best)}]))
    text = said(facts).get("edge")
    assert (text is None) == (edge is None)
    assert edge is None or f"is at the {edge} edge of its range ({best:.0f})" in text


def test_a_bound_is_shown_as_it_was_written(tmp_path):
    """In all its digits: a range that is to be widened is looked for in the spec."""
    spec = "{program: t.py, method: random, metric: {name: loss}, parameters: {n: {min: 1.5, max: 131072.25}}}"
    facts = facts_of(tmp_path, n=60, spec=spec, play=lambda n, c, rng: Plan([{"loss": -c["n"]}]))
    assert said(facts)["edge"].endswith("is at the high edge of its range (131072.25)")


def test_failures_that_have_a_value_in_common(tmp_path):
    """A value with which trials fail is named."""

    def play(_, config, rng):
        if config["c"] == "b":
            return Plan([], cause=Cause.FAILED, error="ValueError: b")
        return Plan([{"loss": rng.random()}])

    facts = facts_of(tmp_path, n=30, spec=ONE, play=play)
    failed = [t for t in facts.results.trials if t.state == "failed"]
    told = f"{len(failed)} of 30 trials failed, all with an error; all {len(failed)} have c = b"
    assert said(facts)["failures"] == f"{told}, as has none of the {30 - len(failed)} others"
    assert failures_by_cause(facts.results.trials) == [("failed: ValueError: b", failed)]


def test_counts_of_failures_add_up(tmp_path):
    """Every failed trial is counted by how it failed, and a rule for one cause is told where there is none for all."""

    def play(number, config, rng):
        if config["x"] > 0.8:
            return Plan([], cause=Cause.OUT_OF_MEMORY, error="OutOfMemoryError: no room")
        if number % 9 == 0:
            return Plan([], cause=Cause.FAILED, error=f"ValueError: bad {config['x']}")
        return Plan([{"loss": rng.random()}])

    facts = facts_of(tmp_path, n=30, spec=ONE, seed=2, play=play)
    text = said(facts)["failures"]
    assert text == (
        "12 of 30 trials failed, 10 out of GPU memory, 2 with an error; "
        "all 10 out of GPU memory have x >= 0.8, as has none of the 20 others"
    )
    assert [len(trials) for _, trials in failures_by_cause(facts.results.trials)] == [10, 2]


def test_equal_trials_are_called_equal_and_never_0_apart(tmp_path):
    """Two that share the first place differ by nothing; with noise or without."""
    for i, tail in enumerate(([0.5], [0.5, 0.4, 0.5, 0.3, 0.5])):
        play = lambda n, c, rng, tail=tail: Plan([{"loss": v + (n > 1)} for v in tail])  # noqa: E731 - one line
        facts = facts_of(tmp_path, n=20, spec=ONE, sweep_id=f"abcd000{i}", play=play)
        assert said(facts)["noise"] == f"trials 0, 1 are equally good, loss {min(tail)}"
        assert certainty(facts).startswith("As good as trial 1, of 20 trials with a score")


def test_a_clear_winner_is_not_called_noise(tmp_path):
    """A lead larger than the jumps of the curves is believed."""

    def play(number, _, rng):
        return Plan([{"loss": 10.0 * number + rng.random()} for _ in range(12)])

    assert "noise" not in said(facts_of(tmp_path, n=20, spec=ONE, play=play))


def test_usage_counts_every_second_once(digits):
    """Lanes per GPU without overlap; their bars add up to the hours; idle gaps lower the busy share."""
    usage = usage_of(digits)
    assert [lane.name for lane in usage.lanes] == [f"gpubox GPU {i}" for i in range(4)]
    for lane in usage.lanes:
        assert all(a.ended <= b.began for a, b in itertools.pairwise(lane.bars))
    seconds = sum(bar.ended - bar.began for lane in usage.lanes for bar in lane.bars)
    assert usage.trial_s == usage.gpu_s == pytest.approx(seconds)
    assert usage.busy == pytest.approx(seconds / (4 * usage.wall_s))


def test_slots_without_gpus_are_numbered_by_need(tmp_path):
    """As many lanes as ran at once, reused when they are free."""
    facts = facts_of(tmp_path, n=12, gpus=3, play=lambda n, c, rng: accuracy(1, c, rng))
    attempts = [replace(attempt, gpu_ids=()) for attempt in facts.attempts]
    usage = usage_of(replace(facts, attempts=attempts))
    assert [lane.name for lane in usage.lanes] == [f"gpubox slot {i}" for i in range(3)]
    assert usage.gpu_s is None


EVERY_KIND = """
program: t.py
method: bayes
metric: {name: loss}
parameters:
  int: {min: 0, max: 100}
  uniform: {min: 0.0, max: 1.0}
  q: {distribution: q_uniform, min: 0.0, max: 10.0, q: 0.5}
  exponents: {distribution: log_uniform, min: -7.0, max: 0.0}
  log: {distribution: log_uniform_values, min: 0.0001, max: 1.0}
  inverse: {distribution: inv_log_uniform, min: 0.0, max: 7.0}
  qlog: {distribution: q_log_uniform_values, min: 1.0, max: 1000.0, q: 2}
  normal: {distribution: normal, mu: 0.0, sigma: 2.0}
  lognormal: {distribution: log_normal, mu: 0.0, sigma: 1.0}
  beta: {distribution: beta, a: 2.0, b: 2.0}
  listed: {values: [1, "1", true, null]}
  odds: {values: [a, b], probabilities: [0.9, 0.1]}
"""


WIDEST = """
program: t.py
method: random
metric: {name: loss}
parameters:
  integers: {min: -1DIGITS, max: 1DIGITS}
  seed: {min: 0, max: 18446744073709551615}
  uniform: {min: -1.0e+308, max: 1.0e+308}
  tiny: {min: 0.0, max: 1.0e-307}
  close: {min: 1.0, max: 1.0000000000000004}
  decades: {distribution: log_uniform_values, min: 1.0e-323, max: 1.0e+308}
  lognormal: {distribution: log_normal, mu: 0, sigma: 5000}
  normal: {distribution: normal, mu: 1.0e+308, sigma: 1.0e+308}
""".replace("DIGITS", "0" * 307)


def test_every_distribution_is_narrowed_to_one_that_is_accepted(tmp_path):
    """All winners lie in the narrowed ranges, which lie in the old ones; the result reads as a spec."""
    facts = facts_of(tmp_path, n=80, spec=EVERY_KIND, play=lambda n, c, rng: Plan([{"loss": c["uniform"]}]))
    spec = load_text(narrowed(facts), path="narrowed", needs_program=False).require()
    old = facts.results.spec
    assert list(spec.parameters) == list(old.parameters)
    for name in ("int", "uniform", "q", "exponents", "log", "inverse", "qlog"):
        new, before = spec.parameters[name], old.parameters[name]
        assert new.kind == before.kind
        assert before.min <= new.min < new.max <= before.max, name
    assert spec.parameters["uniform"].max < 0.3
    axes = {axis.name: axis for axis in SearchSpace.of(spec.parameters).axes}
    for trial in facts.results.ranked[:8]:
        for name in ("int", "uniform", "q", "exponents", "log", "inverse"):
            assert axes[name].contains(trial.config[name]), (name, trial.config[name], axes[name].allowed)


def test_numbers_at_the_ends_of_the_floats_are_narrowed_too(tmp_path):
    """Where bounds, their distance or what was sampled leave the floats or 64 bits, the result lies inside and reads."""
    facts = facts_of(tmp_path, n=40, spec=WIDEST, play=lambda n, c, rng: Plan([{"loss": n}]))
    spec = load_text(narrowed(facts), path="narrowed", needs_program=False).require()
    for name, before in facts.results.spec.parameters.items():
        if hasattr(before, "min"):
            assert before.min <= spec.parameters[name].min < spec.parameters[name].max <= before.max, name
    pa.table(as_columns(table_of(facts.results)))
    write_report(facts.results.sweep_dir)


def test_something_is_left_to_search(tmp_path):
    """Where all winners agree on everything, the old lists stay."""
    spec = "{program: t.py, method: bayes, metric: {name: loss}, parameters: {c: {values: [a, b]}}}"
    facts = facts_of(tmp_path, n=12, spec=spec, play=lambda n, c, rng: Plan([{"loss": ord(c["c"])}]))
    assert (
        load_text(narrowed(facts), path="n", needs_program=False).require().parameters == facts.results.spec.parameters
    )


def using(facts, numbers, *, busy, own_gib=5, share=1.0, attempt=0):
    """Trials that used their GPU for a share of the time; what there was to read before is forgotten."""
    gpu = GpuUse(
        gpu="0",
        busy=busy,
        own_busy=busy,
        used_bytes=9 << 30,
        own_bytes=own_gib << 30,
        total_bytes=80 << 30,
        power_w=None,
    )
    use = Use(n_looks=60, seconds=600.0, cpus=1.0, rss_bytes=1, n_processes=1, gpu_share=share, gpus=(gpu,))
    for number in numbers:
        facts.results.sweep_dir.trial(number).use_path.write_text(
            Look(attempt=attempt, time=1e9, now=use, so_far=use).encode()
        )
    return replace(facts)


def test_gpus_that_waited_are_said_of_all_trials_together(tmp_path):
    """With what to try; what an earlier attempt did is not this one's."""
    facts = using(facts_of(tmp_path, n=8), [1, 2, 5], busy=0.3)
    assert said(facts)["idle_gpus"] == "GPUs stood idle 70 % of the time in trials 1, 2, 5: they waited for the program"
    assert "idle_gpus" not in said(using(facts, [1, 2, 5], busy=0.3, attempt=3))
    assert "idle_gpus" not in said(using(facts, [1, 2, 5], busy=0.9))


def test_one_idle_gpu_of_many_is_a_flag_alone(tmp_path):
    """Advice is for what costs a quarter of the GPU hours."""
    facts = using(facts_of(tmp_path, n=8), range(8), busy=0.9)
    one = using(facts, [3], busy=0.1)
    assert [flag.issue for flag in one.flags[3]] == [Issue.IDLE_GPU]
    assert "idle_gpus" not in said(one)
    assert "idle_gpus" in said(using(facts, [5], busy=0.1))


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ({"busy": 0.3}, "nor more than 30 % of its time: 3 would fit on one"),
        ({"busy": 0.02, "own_gib": 20}, "nor more than 2 % of its time: 3 would fit on one"),
        ({"busy": 0.01, "own_gib": 1}, "nor more than 1 % of its time: 8 would fit on one"),
        ({"busy": 0.6}, None),
        ({"busy": 0.1, "own_gib": 40}, None),
        ({"busy": 0.3, "share": 0.5}, None),
        ({"busy": 0.1, "share": 0.5}, "nor more than 10 % of its time: 8 would fit on one"),
    ],
    ids=["by time", "by memory", "at most", "busy", "large", "two already", "two, more"],
)
def test_how_many_trials_would_fit_on_a_gpu(tmp_path, use, expected):
    """By the largest of them and the busiest; nothing is said of two trials."""
    facts = facts_of(tmp_path, n=8)
    assert "gpu_room" not in said(using(facts, [0, 1], **use))
    text = said(using(facts, [0, 1, 2], **use)).get("gpu_room")
    assert text is None if expected is None else text.endswith(expected)


def test_no_use_is_read_where_no_trial_has_a_gpu(tmp_path, monkeypatch):
    """Advice is about GPUs alone; who asks for one trial's use has that one read, once."""
    facts = using(facts_of(tmp_path, n=4), range(4), busy=0.3)
    assert "gpu_room" in said(facts)
    read = []
    monkeypatch.setattr(facts_module, "last_look", lambda trial_dir: read.append(trial_dir.number))
    trials = [replace(trial, gpu_ids=()) for trial in facts.results.trials]
    without = replace(facts, results=replace(facts.results, trials=trials))
    assert "gpu_room" not in said(without)
    assert read == []
    assert (without.use_of(2), without.use_of(2), read) == (None, None, [2])
