from types import SimpleNamespace

import pytest

from orchestrator.trial.capture.own_run import Kind, kind_of, shown
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind
from tests.trial.conftest import a_wandb_run

SWEEP = {"WANDB_SWEEP_PARAM_PATH": "config.yaml"}
OWN = {"run_id": "k3x9w2ab-0000", "mode": "offline", "project": "p"}


def kind(settings, *, given=None, environ=SWEEP, is_beside=False, wandb=True):
    launch = Launch(
        sweep_id="k3x9w2ab",
        sweep_name="digits",
        trial=0,
        attempt=0,
        trial_dir="/nowhere",
        cwd="/",
        program=Program(kind=ProgramKind.SCRIPT, target="x.py"),
        argv=(),
        config={},
        wandb=a_wandb_run() if wandb else None,
    )
    run = SimpleNamespace(_settings=SimpleNamespace(**settings))
    return kind_of(run, launch, given or {}, environ=environ, is_beside=is_beside)


@pytest.mark.parametrize(
    ("settings", "fields", "expected"),
    [
        (OWN, {}, Kind.OWN),
        (OWN, {"environ": {}}, Kind.OWN),
        (OWN | {"project": "mine"}, {}, Kind.OWN),  # a script that sets WANDB_PROJECT
        (OWN | {"project": "mine"}, {"environ": {}}, Kind.OTHER),
        (OWN | {"project": "mine", "sweep_id": "s"}, {"environ": {}}, Kind.OWN),
        (OWN | {"run_id": "fold"}, {}, Kind.OTHER),
        (OWN | {"run_id": "k3x9w2ab-0000-1"}, {"is_beside": True}, Kind.OTHER),
        (OWN | {"mode": "disabled"}, {}, Kind.DISABLED),
        (OWN, {"given": {"mode": "disabled"}}, Kind.DISABLED),
        (OWN, {"given": {"settings": {"mode": "disabled"}}, "is_beside": True}, Kind.OTHER),
        (OWN | {"mode": "disabled"}, {"wandb": False}, Kind.OWN),
        (OWN | {"mode": "disabled", "run_id": "fold"}, {"wandb": False, "environ": {}}, Kind.OTHER),
        (OWN | {"mode": "disabled"}, {"wandb": False, "is_beside": True}, Kind.OTHER),
        (OWN | {"mode": "disabled"}, {"wandb": False, "given": {"mode": "disabled"}}, Kind.DISABLED),
    ],
)
def test_which_runs_are_the_trials(settings, fields, expected):
    """By id where W&B is on; where all runs are switched off, by whether the sweep's variables are still there."""
    assert kind(settings, **fields) is expected


def test_a_run_is_shown_by_its_id_and_name():
    """A person knows a fold by its name."""
    assert shown(SimpleNamespace(_settings=SimpleNamespace(run_id="x1", run_name="fold 1"))) == "'x1' (fold 1)"
    assert shown(SimpleNamespace()) == "None"
