import json
import sys

import pytest

from orchestrator.cli import outlay
from orchestrator.cli.commands import run
from orchestrator.cli.main import main
from orchestrator.layout import SweepDir
from orchestrator.reporting import pace
from orchestrator.reporting.pace import Pace
from orchestrator.session import ClusterOptions
from orchestrator.spec import load_text

SPEC = """\
program: train.py
method: random
run_cap: 100
metric: {name: loss, goal: minimize}
parameters: {lr: {min: 0.1, max: 0.2}}
"""
HALVED = "early_terminate: {type: hyperband, min_iter: 10, eta: 3}\n"
MINUTE = Pace(took_s=(60.0,), n_rows=100, n_values=100, size=10**9, checkpoint_size=9 * 10**8)


def planned(tmp_path, text=SPEC, tried=MINUTE, **more):
    spec = load_text(text).require()
    node = outlay.machine(num_cpus=more.pop("cpus", 4), num_gpus=more.pop("gpus", 0))
    n_trials = more.pop("n_trials", 100)
    return outlay.outlay(spec, tried, n_trials=n_trials, node=node, runs=tmp_path, **more)


def test_hours_money_and_disk_follow_from_a_tried_trial(tmp_path):
    """A hundred minutes on two GPUs: fifty minutes, 1.7 GPU hours, 4 in money, 100 GB; each with an interval around it."""
    found = planned(tmp_path, gpus=2, price=2.5)
    assert found.slots == 2
    assert found.takes.low_s < 3000 < found.takes.high_s
    assert found.takes.typical_s == pytest.approx(3000, rel=0.5)
    assert found.gpu_hours[0] == pytest.approx(100 / 60, rel=0.5)
    told = dict(outlay.rows(found, "s.yaml"))
    assert "which cost" in told["GPU hours"]
    assert told["disk"].startswith("about 100 GB: 100 x 1 GB a trial, 900 MB of it checkpoints")
    data = outlay.as_data(found)
    assert data["cost"]["typical"] == pytest.approx(2.5 * data["gpu_hours"]["typical"])


def test_more_tried_trials_make_the_interval_narrower(tmp_path):
    """What one trial tells is little."""
    once, often = (planned(tmp_path, tried=Pace(took_s=(60.0,) * n)).takes for n in (1, 16))
    assert often.high_s - often.low_s < 0.5 * (once.high_s - once.low_s)


def test_a_rule_makes_it_shorter_but_nobody_can_count_on_that(tmp_path):
    """The most is without its help."""
    whole, halved = planned(tmp_path).takes, planned(tmp_path, SPEC + HALVED).takes
    assert halved.typical_s < 0.4 * whole.typical_s
    assert halved.high_s >= whole.high_s


def test_what_can_hardly_be_meant_is_doubted(tmp_path):
    """Three years, and more than the disk has; an ordinary sweep is not."""
    assert not outlay.doubts(planned(tmp_path, tried=Pace(took_s=(60.0,), size=1000)))
    years, disk = outlay.doubts(planned(tmp_path, n_trials=10**7))
    assert "years: fewer trials (run_cap)" in years
    assert "are free: keep fewer checkpoints" in disk


def test_a_sweep_without_an_end_has_a_rate(tmp_path):
    """And one on a cluster that nobody described has trial hours."""
    assert "no end; about 240 trials an hour, 4 at once" in outlay.line(planned(tmp_path, n_trials=None))
    assert "how many run at once is not known here (--slots)" in outlay.line(planned(tmp_path, elsewhere=True))
    assert "8 at once" in outlay.line(planned(tmp_path, elsewhere=True, slots=8))


def test_a_budget_that_ends_it_before_is_said(tmp_path):
    """And a price without a GPU has nothing to count."""
    budget = SPEC + "orchestrator: {budget: {cost: 1, price: 2}}\n"
    told = dict(outlay.rows(planned(tmp_path, budget, gpus=1), "s.yaml"))
    assert "the budget of 0.5 ends it before" in told["GPU hours"]
    assert "at 2" in told["GPU hours"]
    assert "no GPU" in dict(outlay.rows(planned(tmp_path, price=2.0), "s.yaml"))["GPU hours"]


def test_more_at_once_than_may_be_are_not_counted_on(tmp_path):
    """Neither than the spec allows nor than there are trials."""
    limited = SPEC + "orchestrator: {concurrency: 2}\n"
    assert planned(tmp_path, limited, slots=8).slots == 2
    assert planned(tmp_path, limited, elsewhere=True).slots == 2
    few, many = (planned(tmp_path, n_trials=3, slots=n) for n in (3, 64))
    assert (many.slots, many.takes) == (3, few.takes)


def test_gpu_hours_of_another_machine_are_known_where_the_spec_says_them(tmp_path):
    """This machine's GPUs, of which it has none, say nothing about it."""
    for more in ({"slots": 4}, {"elsewhere": True}):
        told = dict(outlay.rows(planned(tmp_path, price=2.0, **more), "s.yaml"))
        assert told["GPU hours"] == "not known: say orchestrator.resources.gpu"
        one, none = (SPEC + f"orchestrator: {{resources: {{gpu: {n}}}}}\n" for n in (1, 0))
        assert "which cost" in dict(outlay.rows(planned(tmp_path, one, price=2.0, **more), "s.yaml"))["GPU hours"]
        assert "no GPU" in dict(outlay.rows(planned(tmp_path, none, price=2.0, **more), "s.yaml"))["GPU hours"]


def test_gpus_are_those_that_may_be_seen(monkeypatch):
    """As Ray counts them."""
    for said, n in {"": 0, "-1": 0, "0,1": 2, "GPU-aa": 1}.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
        assert outlay.machine().total["GPU"] == n


def test_run_counts_on_the_gpus_that_are_named(tmp_path, capsys, monkeypatch):
    """And on no other that is there."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    for options, n in ({"gpus": ("2", "3")}, 2), ({"num_gpus": 3}, 3), ({}, 4):
        run._say_outlay(load_text(SPEC).require(), MINUTE, tmp_path, ClusterOptions(**options), is_silent=False)
        assert f"{n} at once" in capsys.readouterr().err


def test_plan_tells_what_was_tried(tmp_path, monkeypatch, capsys):
    """Before a try it says how to find out."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("import wandb\n")
    (tmp_path / "s.yaml").write_text(SPEC)

    def plan(*words):
        monkeypatch.setattr(sys, "argv", ["sweep", "plan", "s.yaml", *words])
        with pytest.raises(SystemExit):
            main()
        return capsys.readouterr()

    assert "`sweep try s.yaml` finds out" in plan().out
    place = SweepDir(tmp_path / "sweep-runs/try-train-abcd1234")
    place.path.mkdir(parents=True)
    pace.keep(place, load_text(SPEC).require(), str(tmp_path), MINUTE)
    told = plan("--slots", "4")
    assert "1m00s a trial (tried once" in told.out
    assert "4 at once, until" in told.out
    assert json.loads(plan("--json", "--slots", "4").out)["outlay"]["slots"] == 4
