import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from orchestrator.control.launching import Launcher, trial_seed
from orchestrator.errors import LedgerError, ProgramError
from orchestrator.layout import SweepDir
from orchestrator.ledger.records import SweepRecord, SweepState
from orchestrator.spec import load_text
from orchestrator.trial.contract.launch import ProgramKind

SPEC = """
program: train.py
method: random
metric: {name: loss}
project: from-spec
parameters: {lr: {min: 0.0, max: 1.0}, net: {parameters: {depth: {value: 2}}}}
"""

CONFIG = {"lr": 0.5, "net": {"depth": 2}}


@pytest.fixture
def launcher(tmp_path):
    """Return `make(key=value, ...)`: a launcher for the spec with some keys changed; `__` is a dot."""
    (tmp_path / "train.py").touch()

    def make(environ=None, **changes):
        overrides = {key.replace("__", "."): str(value) for key, value in changes.items()}
        record = SweepRecord(
            sweep_id="abcd1234",
            name="digits",
            spec_text=SPEC,
            seed=7,
            state=SweepState.RUNNING,
            created=0.0,
            cwd=str(tmp_path),
            wandb_sweep_id=None,
        )
        spec = load_text(SPEC, overrides=overrides).require()
        sweep_dir = SweepDir(tmp_path / "sweep-runs" / "digits-abcd1234")
        return Launcher(spec=spec, sweep=record, sweep_dir=sweep_dir, environ=environ or {})

    return make


def test_a_launch_is_everything_a_worker_needs(launcher, tmp_path):
    """Program, command line, directory, config, metric: from the spec and the sweep."""
    launch = launcher().launch(3, 1, CONFIG)
    assert (launch.trial, launch.attempt, launch.metric, launch.cwd) == (3, 1, "loss", str(tmp_path))
    assert launch.argv == ("/usr/bin/env", "python", "train.py", "--lr=0.5", "--net={'depth': 2}")
    assert (launch.program.kind, launch.program.target) == (ProgramKind.SCRIPT, "train.py")
    assert launch.trial_dir == str(tmp_path / "sweep-runs" / "digits-abcd1234" / "trials" / "0003")


def test_the_param_file_is_wandbs(launcher):
    """`wandb.init` reads it from WANDB_SWEEP_PARAM_PATH: each value under `value`."""
    path = Path(launcher().launch(0, 0, CONFIG).trial_dir)
    text = (path / "config.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == {"wandb_version": 1, "lr": {"value": 0.5}, "net": {"value": {"depth": 2}}}
    assert [file.name for file in path.iterdir()] == ["config.yaml"]


def test_the_json_file_is_written_where_the_command_reads_it(launcher):
    """Only then."""
    launch = launcher(command="['${program}', '${args_json_file}']").launch(0, 0, CONFIG)
    assert json.loads(Path(launch.argv[1]).read_text(encoding="utf-8")) == CONFIG


def test_every_attempt_has_the_same_wandb_run(launcher):
    """A retried trial is one run on W&B; offline runs of a sweep are tied by their group, never by a made-up sweep id."""
    made = launcher()
    first, second = made.launch(4, 0, CONFIG).wandb, made.launch(4, 1, CONFIG).wandb
    assert first == second
    assert (first.mode, first.run_id, first.group, first.name) == (
        "offline",
        "abcd1234-0004",
        "digits-abcd1234",
        "digits-4",
    )
    assert (first.project, first.sweep_id) == ("from-spec", None)


@pytest.mark.parametrize(
    ("environ", "project", "entity"),
    [({}, "uncategorized", None), ({"WANDB_PROJECT": "p", "WANDB_ENTITY": "e"}, "p", "e")],
)
def test_project_and_entity_come_from_the_environment_where_the_spec_has_none(launcher, environ, project, entity):
    """As in W&B's client."""
    run = launcher(environ, project="null").launch(0, 0, CONFIG).wandb
    assert (run.project, run.entity) == (project, entity)


@pytest.mark.parametrize(("mode", "found"), [("online", "online"), ("auto", "offline"), ("offline", "offline")])
def test_the_mode_of_wandb(launcher, mode, found):
    """Only `online` opens sockets in the trial."""
    assert launcher(orchestrator__wandb=mode).launch(0, 0, CONFIG).wandb.mode == found


def test_wandb_off_is_off(launcher):
    """No run at all."""
    assert launcher(orchestrator__wandb="off").launch(0, 0, CONFIG).wandb is None


def test_a_trial_is_seeded_only_where_the_spec_asks_for_it(launcher):
    """A seed drawn for the search does not take the randomness out of training."""
    assert launcher().launch(0, 0, CONFIG).seed is None
    seeds = [launcher(orchestrator__seed=7).launch(n, 0, CONFIG).seed for n in range(3)]
    assert len(set(seeds)) == 3
    assert seeds == [trial_seed(7, n) for n in range(3)]


def test_seeds_of_trials_are_stable_and_fit_numpy():
    """They never change between releases, or resumed sweeps would."""
    assert trial_seed(7, 0) == 431379789
    assert all(0 <= trial_seed(s, n) < 2**32 for s in (0, 2**62) for n in range(50))


def test_a_program_that_is_gone_is_an_error_for_people(launcher, tmp_path):
    """With the name, not a traceback."""
    made = launcher()
    (tmp_path / "train.py").unlink()
    with pytest.raises(ProgramError, match=r"program train\.py does not exist"):
        made.launch(0, 0, CONFIG)


def test_a_trial_directory_that_cannot_be_written_is_an_error_with_a_remedy(launcher, monkeypatch):
    """A full disk while a trial is launched is no traceback."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("orchestrator.confined.replace", full)
    with pytest.raises(LedgerError, match=r"trials/0003: .*No space left on device\n  free some space"):
        launcher().launch(3, 0, {})


def test_a_function_that_appears_beside_a_spec_with_a_program_is_not_run(launcher):
    """What the recorded spec names is what runs; a file decides nothing."""
    launcher = launcher()
    launcher.sweep_dir.path.mkdir(parents=True)
    launcher.sweep_dir.function_path.write_bytes(b"anything")
    assert launcher.launch(0, 0, {"lr": 0.1}).program.kind is ProgramKind.SCRIPT
    nameless = replace(launcher, spec=replace(launcher.spec, program=None, command=None))
    assert nameless.launch(0, 0, {"lr": 0.1}).program.kind is ProgramKind.PICKLE


def test_nothing_is_written_through_what_lies_in_a_trials_directory(launcher, tmp_path):
    """Links and pipes under our names are removed before an attempt; a directory that leads elsewhere is refused."""
    launcher = launcher()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    trial_dir = launcher.sweep_dir.trial(0).path
    trial_dir.mkdir(parents=True)
    for name in ("output.log", "config.yaml", ".launch.json", "theirs"):
        (trial_dir / name).symlink_to(victim)
    os.mkfifo(trial_dir / "reports.jsonl")
    launcher.launch(0, 0, {"lr": 0.1})
    assert victim.read_text() == "precious"
    assert sorted(path.name for path in trial_dir.iterdir()) == ["config.yaml", "theirs"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    launcher.sweep_dir.trial(1).path.symlink_to(elsewhere)
    with pytest.raises(LedgerError, match="leads out of"):
        launcher.launch(1, 0, {"lr": 0.1})
    assert list(elsewhere.iterdir()) == []
