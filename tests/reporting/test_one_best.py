"""Everything that names the best trial and its value names the same."""

import csv
import io
import json
import math

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import orchestrator
from orchestrator.api.wandb_api import Sweep
from orchestrator.ledger.reader import LedgerReader
from orchestrator.reporting.compare import compare_sweeps
from orchestrator.reporting.experiment import Experiment
from orchestrator.reporting.facts import read_facts
from orchestrator.reporting.files import write_files
from orchestrator.reporting.page.payload import payload
from orchestrator.reporting.page.sections import winner
from orchestrator.reporting.results import read_results
from orchestrator.reporting.usage import usage_of
from orchestrator.trial.contract.events import Cause
from orchestrator.trial.formats.eventfile import STANDING
from orchestrator.watch.ending import _print_best
from orchestrator.watch.scoreboard import Scoreboard
from tests.cli.shell import called
from tests.reporting.planted import Plan, plant

ONE = """
program: train.py
method: random
metric: {name: loss, goal: %s}
parameters: {lr: {min: 0.0, max: 1.0}}
orchestrator: {objective: %s}
"""
LOSSES = [
    Plan([{"loss": value} for value in (3.0, 1.0, 2.0)]),
    Plan([{"loss": value} for value in (math.nan, 1.0, 2.0)]),
    Plan([{"loss": 5.0}, {"loss": math.inf}]),
    Plan([{"loss": 0.5}], cause=Cause.FAILED, error="planted"),
    Plan([{"loss": 1.0}, {"loss": 2.0}], cause=Cause.STOPPED),
    Plan([{"loss": math.nan}]),
    Plan([{"loss": 0.25}], cause=Cause.KILLED, error="planted"),
    Plan([]),
]
CLOSE = Plan([{"loss": 0.999998}, {"loss": 1.999998}])
"""In five digits, as the page has numbers, it is equal to the best of the others."""

SEVERAL = """
program: train.py
method: random
metrics: [{name: loss, goal: minimize}, {name: size, goal: maximize}]
parameters: {lr: {min: 0.0, max: 1.0}}
"""
PAIRS = [
    Plan([{"loss": 1.0, "size": 1.0}]),
    Plan([{"loss": 1.0, "size": 2.0}]),
    Plan([{"loss": 0.5}]),
    Plan([{"loss": 1.0, "size": 2.0}]),
    Plan([{"loss": 2.0, "size": 9.0}]),
    Plan([{"loss": 0.1, "size": 9.0}], cause=Cause.FAILED, error="planted"),
]


def planted(tmp_path, spec, plans, sign=1):
    def play(number, *_):
        plan = plans[number]
        rows = [{name: sign * value for name, value in row.items()} for row in plan.rows]
        return Plan(rows, cause=plan.cause, error=plan.error)

    return plant(tmp_path, n=len(plans), gpus=3, spec=spec, play=play)


def from_api(sweep_dir):
    best = orchestrator.load(str(sweep_dir.path)).best
    return best.number, best.value


def from_wandb_api(sweep_dir):
    run = Sweep(orchestrator.load(str(sweep_dir.path))).best_run()
    return run._trial.number, run._trial.value


def from_data_frame(sweep_dir):
    results = orchestrator.load(str(sweep_dir.path))
    row = results.df.set_index("trial").loc[results.best.number]
    return results.best.number, row["loss"]


def from_show(sweep_dir):
    text = called("show", sweep_dir.path)
    words = next(line for line in text.splitlines() if line.startswith("best ")).replace(",", "").split()
    number = int(words[words.index("trial") + 1])
    shown = json.loads(called("show", sweep_dir.path, "--json"))
    assert shown["sweep"]["best"] == json.loads(called("show", sweep_dir.path, number, "--json"))["value"]
    return number, shown["sweep"]["best"]


def from_best(sweep_dir):
    first = json.loads(called("best", sweep_dir.path, "--json"))["trials"][0]
    text = called("best", sweep_dir.path).splitlines()
    assert int(text[2].split()[0]) == first["number"]
    assert f"trial {first['number']}" in text
    return first["number"], first["value"]


def from_ls(sweep_dir):
    (row,) = json.loads(called("ls", "--runs-dir", sweep_dir.path.parent, "--json"))
    return from_show(sweep_dir)[0], row["best"]


def from_best_yaml(sweep_dir):
    with LedgerReader(sweep_dir.ledger_path) as reader:
        results = read_results(sweep_dir, reader)
    write_files(results)
    path = sweep_dir.path / "best.yaml"
    number = int(path.read_text().split()[2])
    assert yaml.safe_load(path.read_text()) == results.by_number[number].config
    row = list(csv.DictReader(io.StringIO((sweep_dir.path / "trials.csv").read_text())))[number]
    return number, float(row["loss"])


def from_comparison(sweep_dir):
    facts = read_facts(sweep_dir)
    found = {line.name: line.values[0] for line in compare_sweeps([facts]) if line.group == "result"}
    same = compare_sweeps([facts, read_facts(sweep_dir)])
    return found.get("best trial", from_show(sweep_dir)[0]), next(d.values[1] for d in same if d.name == "best")


def from_page(sweep_dir):
    facts = read_facts(sweep_dir)
    data = payload(facts, [], usage_of(facts))
    number = data["ranked"][0]
    assert winner(facts).standing.startswith(f"trial {number},")
    assert data["values"][0][number] == float(f"{facts.results.trials[number].value:.5g}")
    return number, facts.results.trials[number].value


def from_hparams(sweep_dir):
    """What somebody finds who sorts the HParams page by the objective's column."""
    with LedgerReader(sweep_dir.ledger_path) as reader:
        results = read_results(sweep_dir, reader)
    Experiment(sweep_dir, results.spec).keep_current(results.trials)
    Experiment(sweep_dir, results.spec).keep_current(results.trials)
    tags = [STANDING + metric.name for metric in results.spec.objectives]
    found = []
    for trial in results.trials:
        run = EventAccumulator(str(sweep_dir.trial(trial.number).path)).Reload()
        assert set(run.Tags()["scalars"]) in ({*tags}, set())
        if run.Tags()["scalars"]:
            assert all(len(run.Scalars(tag)) == 1 for tag in tags)
            values = [run.Scalars(tag)[0].value for tag in tags]
            scores = [metric.goal.sign * value for metric, value in zip(results.spec.objectives, values, strict=True)]
            found.append((scores, trial.number, values[0]))
    _, number, value = min(found)
    return number, value


def from_live_view(sweep_dir):
    """Trials are considered in the order of their ends, as a controller does."""
    board = Scoreboard()
    with LedgerReader(sweep_dir.ledger_path) as reader:
        for trial in sorted(reader.trials(), key=lambda trial: -trial.number):
            board.consider(trial)
    return board.best.number, board.best.value


def from_the_end(sweep_dir, capsys):
    with LedgerReader(sweep_dir.ledger_path) as reader:
        results = read_results(sweep_dir, reader)
    capsys.readouterr()
    _print_best(results)
    said = capsys.readouterr().err.split("in trial ")
    return int(said[1].split()[0]), results.by_number[int(said[1].split()[0])].value


FACES = [
    from_api, from_wandb_api, from_data_frame, from_show, from_best, from_ls, from_best_yaml, from_comparison, from_page,
    from_hparams, from_live_view,
]  # fmt: skip


def agreed(sweep_dir, capsys):
    """What all of them say."""
    said = {face.__name__: face(sweep_dir) for face in FACES} | {"from_the_end": from_the_end(sweep_dir, capsys)}
    assert len({number for number, _ in said.values()}) == 1, said
    values = [value for _, value in said.values()]
    assert values == pytest.approx([values[0]] * len(values), rel=1e-7)
    return said["from_api"]


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
@pytest.mark.parametrize(
    ("objective", "plans", "number", "value"),
    [
        ("best", LOSSES, 0, 1.0),
        ("last", LOSSES, 0, 2.0),
        ("best", [*LOSSES, CLOSE], 8, 0.999998),
        ("last", [*LOSSES, CLOSE], 8, 1.999998),
    ],
)
def test_there_is_one_best(tmp_path, capsys, goal, objective, plans, number, value):  # noqa: PLR0917 - what varies
    """Ties go to the lower number; what failed, was killed or has no finite value is never it; close ones are told apart."""
    sign = 1 if goal == "minimize" else -1
    sweep_dir = planted(tmp_path, ONE % (goal, objective), plans, sign)
    assert agreed(sweep_dir, capsys) == (number, sign * value)


def test_there_is_one_best_of_several_metrics(tmp_path, capsys):
    """The best in the first one, of equals in the next, is on the front; a trial that lacks one cannot be compared."""
    sweep_dir = planted(tmp_path, SEVERAL, PAIRS)
    assert agreed(sweep_dir, capsys) == (1, 1.0)
    front = [trial.number for trial in orchestrator.load(str(sweep_dir.path)).front]
    assert front == [1, 3, 4]
    assert [t["number"] for t in json.loads(called("best", sweep_dir.path, "--json"))["trials"]] == front
    write_files(read_facts(sweep_dir).results)
    assert [entry["trial"] for entry in yaml.safe_load((sweep_dir.path / "pareto.yaml").read_text())] == front
    assert payload(facts := read_facts(sweep_dir), [], usage_of(facts))["front"] == front
