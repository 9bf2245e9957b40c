import json
import math
import random

import optuna
import pyarrow.parquet as pq
import pytest
import yaml

from orchestrator.errors import SweepError
from orchestrator.layout import SweepDir
from orchestrator.ledger.reader import LedgerReader
from orchestrator.printable import clean
from orchestrator.reporting.facts import read_facts
from orchestrator.spec import load_text
from orchestrator.trial.contract.events import Cause
from orchestrator.trial.contract.resource_use import GpuUse, Look, Use
from tests.cli.shell import called
from tests.reporting.planted import SPEC, Plan, ninth_overfits, plant

NASTY = "\x1b]0;owned\x07\x1b[2J\u202e\nx"
HOSTILE = yaml.safe_dump(
    {
        "program": "train.py",
        "method": "random",
        "metric": {"name": "loss\u202e", "goal": "minimize"},
        "parameters": {"lr<b>": {"min": 0.0, "max": 1.0}, "opt": {"values": [f"adam{NASTY}", "sgd"]}},
    }
)


LENGTH = 60
"""Characters of the path of the sweeps."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two sweeps of the same kind, the second with a narrower range, one more epoch and another seed."""
    folder = tmp_path_factory.mktemp("runs")
    runs = folder / "r".ljust(LENGTH - 1 - len(str(folder)), "_")  # lines break where paths are long
    runs.mkdir()
    used(plant(runs, n=40), 12)
    plant(
        runs,
        n=30,
        spec=SPEC.replace("max: 0.1}", "max: 0.01}").replace("seed: 7", "seed: 8"),
        sweep_id="a1b2c3d4",
        seed=1,
    )
    plant(runs, n=20, spec=LAYERS, sweep_id="fa11ed00", seed=3, play=deep_ones_fail)
    return runs


def used(sweep_dir, number):
    """A trial used its GPU for a third of the time, and a sixteenth of its memory."""
    gpu = GpuUse(
        gpu="2", busy=0.31, own_busy=0.31, used_bytes=5.6e9, own_bytes=5e9, total_bytes=80 << 30, power_w=141.7
    )
    use = Use(n_looks=50, seconds=480.0, cpus=1.08, rss_bytes=3.2e9, n_processes=5, gpus=(gpu,))
    sweep_dir.trial(number).use_path.write_text(Look(attempt=0, time=1.7e9, now=use, so_far=use).encode())


LAYERS = """
program: train.py
method: random
metric: {name: loss, goal: minimize}
early_terminate: {type: hyperband, min_iter: 3, eta: 2}
parameters:
  layers: {min: 1, max: 8}
  lr: {distribution: log_uniform_values, min: 0.0001, max: 0.1}
  batch_size: {value: 64}
"""


def deep_ones_fail(number, config, rng):
    """More than five layers are too many for the memory; every ninth trial meets a bug."""
    if config["layers"] > 5:
        return Plan([], cause=Cause.OUT_OF_MEMORY, error="torch.OutOfMemoryError: CUDA out of memory")
    if number % 9 == 8:
        return Plan([], cause=Cause.FAILED, error=f"ValueError: no batch {number}")
    return Plan([{"loss": round(1 / (epoch + 1) + config["lr"], 5)} for epoch in range(10)])


def sweep(runs, *words):
    """Run a command as the `sweep` executable would and return what it prints; errors come as they are raised."""
    return called(*words, "--runs-dir", str(runs))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("show", ["show", "k3x9w2ab"]),
        ("show-60", ["show", "fa11ed00"]),
        ("show-100", ["show", "fa11ed00"]),
        ("show-160", ["show", "fa11ed00"]),
        ("show-trial", ["show", "k3x9w2ab", "12"]),
        ("best", ["best", "k3x9w2ab", "-k", "3"]),
        ("compare-sweeps", ["compare", "k3x", "a1b"]),
        ("compare-trials", ["compare", "k3x", "3", "7", "14"]),
        ("compare-across", ["compare", "k3x/3", "a1b/4"]),
    ],
)
def test_golden_texts(golden, runs, name, words, monkeypatch):
    """The whole text of show, best and compare on ledgers that never change, in terminals of 60 to 160 columns."""
    monkeypatch.setenv("COLUMNS", name.rpartition("-")[2] if name[-1].isdecimal() else "120")
    golden(f"takehome-{name}.txt", sweep(runs, *words).replace(str(runs), "RUNS"))


def test_json_of_every_command(runs):
    """The documented shape: an object with the sweep and its trials, everything in numbers and names."""
    best = json.loads(sweep(runs, "best", "k3x", "-k", "2", "--json"))
    assert [set(best), len(best["trials"])] == [{"sweep", "trials"}, 2]
    assert {"number", "value", "step", "config", "state", "paths", "command"} <= set(best["trials"][0])
    shown = json.loads(sweep(runs, "show", "k3x", "--json"))
    assert shown["sweep"]["id"] == "k3x9w2ab"
    assert len(shown["trials"]) == 40
    assert [i["name"] for i in shown["importance"]][:2] == ["lr", "model.width"]
    assert shown["importance"][0]["effect"]["is_sure"]
    assert {a["kind"] for a in shown["advice"]} >= {"no_metric", "edge"}
    compared = json.loads(sweep(runs, "compare", "k3x", "a1b", "--json"))
    lr = next(d for d in compared["differences"] if d["name"] == "parameters.lr.max")
    assert lr["values"] == [0.1, 0.01]
    assert json.loads(sweep(runs, "show", "k3x", "3", "--json"))["attempts"][0]["gpu_ids"]
    assert json.loads(sweep(runs, "show", "k3x", "12", "--json"))["use"]["gpus"][0]["busy"] == 0.31


def test_only_what_differs_is_compared(runs):
    """Equal parameters, metrics and spec keys have no line."""
    text = sweep(runs, "compare", "k3x", "3", "7")
    assert "epochs" not in text
    assert "model.act" in text or "lr" in text
    assert "program" not in sweep(runs, "compare", "k3x", "a1b")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["k3x", "a1b/3"], "sweeps cannot be compared with trials"),
        (["k3x"], "nothing to compare"),
        (["k3x", "3"], "nothing to compare"),
        (["k3x/3", "k3x/400"], "no trial 400; its trials are 0 to 39"),
        (["nope", "k3x"], "no sweep 'nope'"),
    ],
)
def test_what_cannot_be_compared_is_explained(runs, words, said):
    """A sentence instead of a table."""
    with pytest.raises(SweepError, match=said):
        sweep(runs, "compare", *words)


def test_csv_json_and_parquet_hold_the_same_table(runs, tmp_path):
    """One row per trial, the same values in each form."""
    rows = json.loads(sweep(runs, "export", "k3x", "--to", "json"))
    lines = sweep(runs, "export", "k3x").splitlines()
    path = tmp_path / "t.parquet"
    sweep(runs, "export", "k3x", "--to", "parquet", "-o", str(path))
    table = pq.read_table(path).to_pylist()
    assert len(rows) == len(lines) - 1 == len(table) == 40
    assert [row["lr"] for row in table] == [row["lr"] for row in rows]
    assert [row["valid/accuracy"] for row in table] == [row["valid/accuracy"] for row in rows]
    assert lines[0].split(",")[:3] == ["trial", "state", "cause"]


def test_what_trials_used_is_exported_on_demand(runs, tmp_path):
    """In columns of their own, empty where nobody looked; forms without such columns refuse it."""
    assert "use.cpus" not in sweep(runs, "export", "k3x")
    rows = json.loads(sweep(runs, "export", "k3x", "--use", "--json"))
    expected = {
        "use.seconds": 480.0,
        "use.cpus": 1.08,
        "use.rss_bytes": 3.2e9,
        "use.gpu_busy": 0.31,
        "use.gpu_memory_bytes": 5e9,
        "use.gpu_power_w": 141.7,
    }
    assert {name: value for name, value in rows[12].items() if name.startswith("use.")} == expected
    assert {rows[11][name] for name in expected} == {None}
    path = tmp_path / "t.parquet"
    sweep(runs, "export", "k3x", "--use", "--to", "parquet", "-o", str(path))
    assert pq.read_table(path).to_pylist()[12].items() >= expected.items()
    assert sweep(runs, "export", "k3x", "--use").partition("\n")[0].endswith(",".join(expected))
    with pytest.raises(SweepError, match="--use: optuna has no columns"):
        sweep(runs, "export", "k3x", "--use", "--to", "optuna")


def test_optuna_opens_the_study(runs, tmp_path):
    """States, values, parameters with their ranges, and every report are where Optuna looks for them."""
    path = tmp_path / "s.db"
    sweep(runs, "export", "k3x", "--to", "optuna", "-o", str(path))
    with pytest.raises(SweepError, match="has a study digits-k3x9w2ab already"):
        sweep(runs, "export", "k3x", "--to", "optuna", "-o", str(path))
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    study = optuna.load_study(study_name="digits-k3x9w2ab", storage=storage)
    facts = read_facts(SweepDir(runs / "digits-k3x9w2ab"))
    best = facts.results.ranked[0]
    assert study.best_trial.number == best.number
    assert study.best_value == best.value
    assert study.best_trial.params == facts.results.tuned(best)
    assert study.best_trial.distributions["lr"] == optuna.distributions.FloatDistribution(0.0001, 0.1, log=True)
    assert len(study.best_trial.intermediate_values) == 10
    states = {
        str(t.state): sum(str(o.state) == str(t.state) for o in facts.results.trials) for t in facts.results.trials
    }
    counts = {state.name: len(study.get_trials(states=(state,))) for state in optuna.trial.TrialState}
    assert (counts["COMPLETE"], counts["PRUNED"], counts["FAIL"]) == (
        states["finished"],
        states["stopped"],
        states["failed"],
    )
    importances = optuna.importance.get_param_importances(study)
    assert next(iter(importances)) == "lr"
    storage.remove_session()
    storage.engine.dispose()


def test_the_narrowed_spec_is_accepted_and_lies_inside(runs, tmp_path, monkeypatch):
    """`sweep check` takes it, every winner is inside its ranges, and no range is wider than before."""
    path = tmp_path / "next.yaml"
    sweep(runs, "export", "k3x", "--to", "wandb-yaml", "-o", str(path))
    (tmp_path / "train.py").touch()
    monkeypatch.chdir(tmp_path)
    assert ": ok: random" in called("check", str(path))
    spec = load_text(path.read_text(), path="next", needs_program=False).require()
    lr = spec.parameters["lr"]
    assert 0.0001 <= lr.min < 0.004 < lr.max < 0.1
    assert spec.parameters["model"].parameters["width"].kind in {"constant", "categorical"}
    assert spec.early_terminate is not None


def test_flags_are_shown_where_they_belong(tmp_path):
    """What is wrong with a trial stands in `show`, with the evidence."""
    plant(tmp_path, play=ninth_overfits)
    assert "overfitting  valid/loss was best with 0.6 at its row 4" in sweep(tmp_path, "show", "k3x")
    assert "overfitting: valid/loss was best with 0.6 at its row 4" in sweep(tmp_path, "show", "k3x", "9")
    assert json.loads(sweep(tmp_path, "show", "k3x", "9", "--json"))["flags"][0]["name"] == "overfitting"


def test_nothing_drives_the_terminal(tmp_path):
    """Control sequences in names, values, errors, log lines and metrics come out as question marks, everywhere.

    (The spec refuses most of them in names; a sweep's own may come from the command line.)
    """

    def play(number, config, rng):
        rows = [{"loss\u202e": rng.random(), f"m{NASTY}": 1.0}] if number % 3 else []
        return Plan(
            rows, cause="finished" if number % 3 else "failed", error=None if rows else f"E{NASTY}", log=[f"l{NASTY}"]
        )

    sweep_dir = plant(tmp_path, n=24, spec=HOSTILE, play=play, name=f"name{NASTY}")
    sweep_id = sweep_dir.sweep_id
    for words in (
        ["show", sweep_id], ["show", sweep_id, "0"], ["show", sweep_id, "1"], ["best", sweep_id],
        ["compare", sweep_id, "0", "1", "2"], ["show", sweep_id, "--json"], ["export", sweep_id, "--to", "json"],
    ):  # fmt: skip
        text = sweep(tmp_path, *words)
        assert all(clean(line) == line for line in text.splitlines()), words


def test_a_sweep_without_results_says_so(tmp_path):
    """No metric, no trial, no score: each in a sentence, never a traceback."""
    plant(tmp_path, n=1, until=0.5)
    assert "nothing has run yet" in sweep(tmp_path, "show")
    for words, said in (
        (["best"], "no trial has reported valid/accuracy yet"),
        (["export", "--to", "wandb-yaml"], "no winners"),
    ):
        with pytest.raises(SweepError, match=said):
            sweep(tmp_path, *words)
    assert sweep(tmp_path, "export").count("\n") == 1
    with pytest.raises(SweepError, match="has no trial 3; it has none yet"):
        sweep(tmp_path, "show", "last", "3")


def test_show_is_quick_with_many_trials(tmp_path):
    """The ledger's part of `show` grows with the trials, not with their reports."""
    sweep_dir = plant(
        tmp_path, n=60, gpus=16, play=lambda *_: Plan([{"valid/accuracy": random.random()}] * 200, epoch_s=1)
    )
    with LedgerReader(sweep_dir.ledger_path) as reader:
        curves = reader.curves(48)
    assert len(curves) == 60
    assert all(len(points) <= 52 and points[-1][0] in {3, 200} for points in curves.values())
    assert not any(math.isnan(value) for points in curves.values() for _, _, value in points)


def test_every_list_takes_a_filter(runs, tmp_path):
    """`ls`, `show`, `best`, `compare` and `export`, in text and as data; several filters hold together."""
    csv = sweep(runs, "export", "k3x", "--where", "lr<0.004", "--where", "state=finished").splitlines()
    rows = json.loads(sweep(runs, "export", "k3x", "--where", "lr<0.004 state=finished", "--json"))
    assert 1 < len(rows) == len(csv) - 1 < 40
    assert all(row["lr"] < 0.004 and row["state"] == "finished" for row in rows)
    shown = json.loads(sweep(runs, "show", "k3x", "--where", "lr<0.004 state=finished", "--json"))
    assert [trial["number"] for trial in shown["trials"]] == [row["trial"] for row in rows]
    best = json.loads(sweep(runs, "best", "k3x", "--where", "lr<0.004 state=finished", "-n", "1", "--json"))["trials"]
    assert best[0]["value"] == max(row["valid/accuracy"] for row in rows)
    names = json.loads(sweep(runs, "compare", "k3x", "--where", "lr<0.004 state=finished", "--json"))["compared"]
    assert names[0] == f"trial {best[0]['number']}"
    both = json.loads(sweep(runs, "compare", "k3x", "a1b", "--where", "lr<0.004 state=finished", "--json"))
    assert next(d["values"][0] for d in both["differences"] if d["name"] == "best") == best[0]["value"]
    assert [row["id"] for row in json.loads(sweep(runs, "ls", "--where", "trials>35", "--json"))] == ["k3x9w2ab"]
    assert sweep(runs, "ls", "--where", "state=running") == ""
    text = sweep(runs, "show", "k3x", "--where", "lr<0.004 state=finished")
    assert f"  listed     {len(rows)} of 40 pass lr<0.004 state=finished" in text
    assert len(text.splitlines()) == 6 + 2 + len(rows)


def test_sweeps_of_other_folders_are_listed(runs, tmp_path, monkeypatch):
    """Those whose folder was listed once; what is there is said where there is nothing, and filters hold for all."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    sweep(runs, "ls")
    here = tmp_path / "here"
    plant(here, n=3, sweep_id="here0000")
    assert "fa11ed00" not in sweep(here, "ls")
    found = json.loads(sweep(here, "ls", "--everywhere", "--json"))
    assert {row["id"] for row in found} == {"here0000", "k3x9w2ab", "a1b2c3d4", "fa11ed00"}
    assert [row["created"] for row in found] == sorted((row["created"] for row in found), reverse=True)
    text = sweep(here, "ls", "--everywhere", "--where", "trials<25")
    assert text.splitlines()[0].split()[-1] == "folder"
    assert "here0000" in text
    assert "k3x9w2ab" not in text
    assert "--everywhere" not in sweep(tmp_path / "none", "ls")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "k3x", "--where", "lrr<1"], "--where lrr<1: there is no column lrr; did you mean lr?"),
        (["ls", "--where", "nmae=digits"], "did you mean name?"),
        (["show", "k3x", "3", "--where", "lr<1"], "trial 3 is one already"),
        (["compare", "k3x/3", "k3x/4", "--where", "lr<1"], "trial 3 is one already"),
        (["best", "k3x", "--where", "lr<0"], "no trial that passes lr<0 has reported valid/accuracy yet"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_said(runs, words, said):
    """Instead of an empty list."""
    with pytest.raises(SweepError, match=said.replace("?", r"\?")):
        sweep(runs, *words)


def test_quiet_commands_print_what_a_script_needs(runs, tmp_path, monkeypatch):
    """Ids, directories, command lines: one a line, and nothing else."""
    sweep_dir = runs / "digits-k3x9w2ab"
    best = json.loads(sweep(runs, "best", "k3x", "--json"))["trials"]
    directories = [f"{sweep_dir}/trials/{trial['number']:04d}" for trial in best]
    assert set(sweep(runs, "ls", "-q").split()) >= {"k3x9w2ab", "a1b2c3d4"}
    assert sweep(runs, "best", "k3x", "-q") == f"{directories[0]}\n"
    assert sweep(runs, "best", "k3x", "-q", "-n", "3").splitlines() == directories[:3]
    assert sweep(runs, "show", "k3x", "-q") == f"{sweep_dir}\n"
    assert sweep(runs, "show", "k3x", "7", "-q") == f"{sweep_dir}/trials/0007\n"
    assert sweep(runs, "show", "k3x", "-q", "--where", "trial=7") == f"{sweep_dir}/trials/0007\n"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").touch()
    (tmp_path / "s.yaml").write_text("{program: train.py, method: grid, parameters: {a: {values: [1, 2]}}}")
    assert called("plan", "s.yaml", "-q").splitlines() == [f"/usr/bin/env python train.py --a={a}" for a in (1, 2)]
    assert called("check", "s.yaml", "-q") == ""
