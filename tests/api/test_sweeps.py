import functools
import json
import os
import sys
import threading
from contextlib import closing
from dataclasses import replace

import pytest

import orchestrator
from orchestrator import session
from orchestrator.api.sweeps import MadeHere, _settle_program
from orchestrator.control.launching import function_of
from orchestrator.errors import ProgramError, SweepError, UnknownSweepError
from orchestrator.ledger.store import Ledger
from orchestrator.spec import SpecError, load_text
from tests.scripts import run, run_script
from tests.trial_runs import tensorboard_run, wandb_run

CONFIG = {
    "method": "random",
    "metric": {"goal": "maximize", "name": "score"},
    "parameters": {
        "lr": {"min": 0.0001, "max": 0.1},
        "dropout": {"values": [0.1, 0.3, 0.5]},
        "batch_size": {"values": [16, 32, 64]},
    },
}

THREE_STEPS = """
from orchestrator import wandb
import helper

print("the script runs")

sweep_configuration = {
    "method": "random",
    "metric": {"goal": "maximize", "name": "score"},
    "parameters": {
        "lr": {"min": 0.0001, "max": 0.1},
        "dropout": {"values": [0.1, 0.3, 0.5]},
        "batch_size": {"values": [16, 32, 64]},
    },
}

def main():
    run = wandb.init()
    for epoch in range(3):
        run.log({"score": helper.score(wandb.config.lr, epoch), "loss": 1 - wandb.config.dropout})

sweep_id = wandb.sweep(sweep=sweep_configuration, project="my-first-sweep")
wandb.agent(sweep_id, function=main, count=3)
"""

HELPER = """
def score(lr, epoch):
    return lr * (epoch + 1)
"""


@pytest.mark.ray
def test_three_steps_of_the_guide_run_with_one_import_changed(tmp_path):
    """A script without a guard runs once; its trials have the config, a complete W&B run and a TensorBoard run with hparams."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "helper.py").write_text(HELPER)
    script = tmp_path / "code" / "script.py"
    script.write_text(THREE_STEPS)
    done = run(sys.executable, script, cwd=tmp_path)
    assert done.stdout.count("the script runs") == 1
    results = orchestrator.load(runs_dir=tmp_path / "sweep-runs")
    assert f"Create sweep with ID: {results.id}" in done.stdout
    assert (len(results), results.name, results.state) == (3, "my-first-sweep", "finished")
    assert orchestrator.load(results[0].path.parents[1]).id == results.id
    for trial in results:
        assert trial.state == "finished"
        assert trial.value == pytest.approx(3 * trial.config["lr"])
        assert "the script runs" not in trial.log
        logged = wandb_run(trial.path)
        assert (logged.project, logged.exit_code, logged.config["lr"]) == ("my-first-sweep", 0, trial.config["lr"])
        assert logged.values("score") == pytest.approx([trial.config["lr"] * n for n in (1, 2, 3)])
        shown = tensorboard_run(trial.path)
        assert shown.hparams == pytest.approx(dict(trial.config))
        assert len(shown.scalars["score"]) == 3
    assert results.best.value == max(trial.value for trial in results)


TWICE = """
import json, os, sys, threading
from orchestrator import agent, load, sweep
from orchestrator.errors import SweepFailedError

def train(config):
    offset = 1.0
    import orchestrator
    for epoch in range(2):
        orchestrator.report(score=config["lr"] + offset * epoch)
    orchestrator.checkpoint_dir().joinpath("weights").write_text("w")

def broken():
    raise ValueError("no such column: age")

if __name__ == "__main__":
    sweep_id = sweep(json.loads(os.environ["CONFIG"]))
    agent(sweep_id, train, count=2)
    thread = threading.Thread(target=agent, args=(f"me/project/{sweep_id}",), kwargs={"count": 1})
    thread.start()
    thread.join()
    found = []
    for function, options in ((broken, {}), (broken, {"max_consecutive_failed_runs": 2})):
        try:
            agent(sweep(json.loads(os.environ["CONFIG"]), name="broken"), function, count=9, **options)
        except SweepFailedError as error:
            found.append(str(error))
    capped = sweep(json.loads(os.environ["CONFIG"]) | {"run_cap": 1})
    for _ in range(2):
        agent(capped, train)
    results = load(sweep_id)
    print(json.dumps([[trial.value for trial in results], found]))
"""


@pytest.mark.soak
@pytest.mark.ray
def test_an_agent_goes_on_with_its_sweep_and_raises_what_went_wrong(tmp_path, ray_head):
    """A second call (in a thread, without the function) adds trials; a function that fails raises its error and names a log."""
    done = run_script(
        tmp_path / "twice.py", TWICE, CONFIG=json.dumps(CONFIG), RAY_ADDRESS=ray_head, RAY_AUTH_MODE="disabled"
    )
    values, (same_error, too_many) = json.loads(done.stdout.splitlines()[-1])
    assert len(values) == len(set(values)) == 3
    assert "all failed with the same error: ValueError: no such column: age" in same_error
    assert "output.log" in same_error
    assert "trials in a row failed" in too_many
    assert "is complete: its one trial is done" in done.stdout
    (path,) = tmp_path.glob("sweep-runs/sweep-*/trials/0002/checkpoints/weights")
    assert path.read_text() == "w"


INTERRUPTED = """
import os, signal, time
from orchestrator import agent, load, sweep

def slow():
    import wandb
    run = wandb.init()
    while True:
        run.log({"score": 1.0})
        os.kill(int(os.environ["SCRIPT"]), signal.SIGINT)
        time.sleep(60)

def quick():
    import wandb
    wandb.init().log({"score": 2.0})

os.environ["SCRIPT"] = str(os.getpid())
sweep_id = sweep({"method": "random", "metric": {"name": "score"}, "parameters": {"a": {"min": 0.0, "max": 1.0}}})
try:
    agent(sweep_id, slow, count=1)
except KeyboardInterrupt:
    agent(sweep_id, quick, count=1)
    (trial,) = load(sweep_id)
    print("then", trial.state, trial.value)
"""


@pytest.mark.ray
def test_ctrl_c_keeps_the_sweep(tmp_path):
    """Ctrl-C ends the trials and raises KeyboardInterrupt; another call, or the command, goes on with the kept function."""
    done = run_script(tmp_path / "interrupted.py", INTERRUPTED)
    assert done.stdout.splitlines()[-1] == "then finished 2.0"
    assert "all is kept" in done.stderr
    run("sweep", "resume", "--add", "1", cwd=tmp_path)
    assert [trial.value for trial in orchestrator.load(runs_dir=tmp_path / "sweep-runs")] == [2.0, 2.0]


@pytest.fixture
def sweep(tmp_path):
    return functools.partial(orchestrator.sweep, runs_dir=tmp_path / "sweep-runs")


@pytest.fixture
def agent(tmp_path):
    return functools.partial(orchestrator.agent, runs_dir=tmp_path / "sweep-runs")


def test_a_sweep_is_made_of_a_dict_a_function_or_a_file(sweep, tmp_path, capsys):
    """All three are recorded as the same spec; project, entity and name given beside it win."""
    path = tmp_path / "sweep.yaml"
    path.write_text(json.dumps(CONFIG))
    ids = [sweep(CONFIG), sweep(lambda: CONFIG), sweep(path)]
    assert capsys.readouterr().out.count("Create sweep with ID: ") == 3
    found = [orchestrator.load(sweep_id, runs_dir=tmp_path / "sweep-runs") for sweep_id in ids]
    assert len({results._kept.results.record.spec_text for results in found}) == 1
    other = orchestrator.load(sweep(CONFIG, "me", "digits", name="mine"), runs_dir=tmp_path / "sweep-runs")
    assert (other.name, other.spec.entity, other.spec.project) == ("mine", "me", "digits")


def test_prior_runs_are_what_the_search_may_learn_from(sweep, tmp_path, capsys):
    """A table of earlier results is taken over and accounted for; a name that means nothing is refused before anything exists."""
    path = tmp_path / "earlier.csv"
    path.write_text("lr,dropout,batch_size,score\n0.01,0.1,16,0.5\n0.02,0.3,32,0.7\n")
    sweep(CONFIG | {"method": "bayes"}, prior_runs=[str(path)])
    assert f"prior {path}: 2 of 2 trials used" in capsys.readouterr().out
    (kept,) = (tmp_path / "sweep-runs").glob("*/prior.jsonl")
    assert len(kept.read_text().splitlines()) == 2
    with pytest.raises(SweepError, match="k3x9w2ab"):
        sweep(CONFIG, prior_runs=["k3x9w2ab"])
    assert len(list((tmp_path / "sweep-runs").iterdir())) == 1


def test_a_spec_that_cannot_run_is_refused_with_every_problem(sweep, tmp_path):
    """As on the command line; nothing is created."""
    with pytest.raises(SpecError, match=r"has no `method`(?s:.*)has no `parameters`"):
        sweep({"metric": {"name": "loss"}})
    with pytest.raises(SweepError, match=r"a sweep is a dict.*not 7"):
        sweep(7)
    assert not (tmp_path / "sweep-runs").exists()


def test_an_agent_refuses_what_it_cannot_run(sweep, agent):
    """Each mistake of a caller is an error that says what was given and what is allowed."""
    with pytest.raises(UnknownSweepError, match="there is no sweep"):
        agent("k3x9w2ab")
    sweep_id = sweep(CONFIG)
    with pytest.raises(ProgramError, match=r"has nothing to run(?s:.*)function=train"):
        agent(sweep_id)
    with pytest.raises(ProgramError, match="cannot be called; give the function itself"):
        agent(sweep_id, function=3)
    with pytest.raises(SweepError, match="count is a whole number of trials from 1 on, not 0"):
        agent(sweep_id, print, count=0)
    lock = threading.Lock()
    with pytest.raises(ProgramError, match=r"cannot be sent to the trials: TypeError: (?s:.*)Create that inside"):
        agent(sweep_id, lambda: lock)


def test_inside_a_trial_no_sweep_is_started(sweep, agent, monkeypatch):
    """A script without a guard that is itself the program of a sweep would start sweeps without end."""
    monkeypatch.setenv("SWEEP_TRIAL_DIR", "/somewhere")
    for call in (lambda: sweep(CONFIG), lambda: agent("k3x9w2ab")):
        with pytest.raises(SweepError, match="was called inside of a trial"):
            call()


def test_importing_the_package_imports_nothing_heavy():
    """A trial that reports pays for nothing else: neither ray, wandb, torch nor the command line."""
    done = run(sys.executable, "-c", "import sys, orchestrator; print(*sys.modules)", cwd=os.sep)
    imported = {name for name in done.stdout.split() if "." in name or name not in sys.stdlib_module_names}
    assert not {
        name
        for name in imported
        if name.startswith(("orchestrator.", "numpy", "yaml", "ray", "wandb", "torch", "typer"))
    }


def test_the_module_named_wandb_is_wandb_but_for_what_runs_here():
    """Whatever else a script uses of wandb is wandb's own, also what changes with the run."""
    import wandb

    from orchestrator import wandb as ours

    assert ours.finish is wandb.finish
    assert ours.Image is wandb.Image
    assert ours.run is None
    assert ours.sweep is orchestrator.sweep
    with pytest.raises(AttributeError, match="has no attribute 'no_such'"):
        ours.no_such  # noqa: B018 - looking is the test


def test_a_function_that_takes_a_programs_place_is_recorded(tmp_path):
    """What a sweep runs is what its ledger says, so that a file that appears beside a program decides nothing."""
    spec = load_text("program: train.py\nmethod: grid\nparameters: {x: {values: [1]}}\n").require()
    sweep_dir = session.create(spec, name="s", runs=tmp_path)
    with closing(Ledger(sweep_dir.ledger_path)) as ledger:
        assert _settle_program(sweep_dir, spec, MadeHere(function=print), ledger).program is None
        assert "program" not in ledger.sweep.record.spec_text
    assert function_of(spec, sweep_dir) is None
    assert function_of(replace(spec, program=None), sweep_dir) == sweep_dir.function_path
