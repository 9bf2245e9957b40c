"""Sweeps of the digits CNN with planted issues: the right flag on each trial, none on healthy ones."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from orchestrator.diagnosis.cases import flags_of
from orchestrator.diagnosis.model import Issue
from orchestrator.ledger.reader import LedgerReader
from orchestrator.spec import load_file

EXPECTED = {
    "none": set(),
    "explodes": {
        Issue.DIVERGING,
        Issue.NAN,
        Issue.VANISHING,
    },  # one huge step may leave no ReLU alive: all are zero
    "vanishes": {Issue.NEVER_LEARNED},
    "overfits": {Issue.OVERFITTING},
    "is-nan": {Issue.NAN},
    "crashes": {Issue.CRASHED},
    "hangs": {Issue.SILENT},
    "is-deep": {Issue.VANISHING},
}
"""By what was planted: the issues of which one must be found."""


@pytest.fixture
def diagnose(tmp_path):
    """A function: configs to trials and their flags, after a real sweep of just these."""

    def run(configs, timeout):
        shutil.copy(Path(__file__).parent / "programs" / "patient.py", tmp_path)
        spec = {
            "program": "patient.py",
            "method": "random",
            "metric": {"name": "valid/loss", "goal": "minimize"},
            "run_cap": len(configs),
            "parameters": {
                "issue": {"values": list(EXPECTED)},
                "lr": {"min": 0.0, "max": 1.0},
                "width": {"values": [8, 16]},
            },
            "orchestrator": {"first": configs, "stop_when": "never", "wandb": "off", "timeout": {"trial": timeout}},
        }
        (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
        command = [Path(sys.executable).parent / "sweep", "run", "spec.yaml", "--num-cpus", "2"]
        subprocess.run(command, cwd=tmp_path, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=3000)
        (ledger,) = tmp_path.glob("sweep-runs/*/ledger.sqlite")
        with LedgerReader(ledger) as reader:
            return reader.trials(), flags_of(reader, load_file(tmp_path / "spec.yaml", needs_program=False).require())

    return run


def wrongly_flagged(trials, flags):
    """What was planted, and the flags, of every trial that has not what it should have."""
    wrong = []
    for trial in trials:
        planted = trial.config["issue"]
        found = {flag.issue for flag in flags.get(trial.number, ())}
        if not (found & EXPECTED[planted] if EXPECTED[planted] else not found):
            wrong.append((dict(trial.config), flags.get(trial.number)))
    return wrong


def planted(n_healthy, n_each, issues=tuple(EXPECTED)):
    """Configs: healthy ones, which are the others' peers, then each issue so often."""
    rates = [0.0005, 0.001, 0.002, 0.003, 0.004, 0.006]
    ill = [(issue, i) for issue in issues if issue != "none" for i in range(n_each)]
    both = [*(("none", i) for i in range(n_healthy)), *ill]
    return [{"issue": issue, "lr": rates[(i + 2) % 6], "width": 8 * (1 + i // 6 % 2)} for issue, i in both]


@pytest.mark.soak
@pytest.mark.ray
def test_planted_issues_are_found_and_healthy_trials_have_none(diagnose):
    """A sample of the long run: from curves, from sampled gradients, from an end and from silence."""
    trials, flags = diagnose(planted(4, 1, ("overfits", "is-nan", "crashes", "hangs")), timeout="50s")
    assert len(trials) == 8
    assert wrongly_flagged(trials, flags) == []


@pytest.mark.ray
@pytest.mark.soak
def test_sixty_trials_with_planted_issues(diagnose):
    """The same at full size, over learning rates and widths."""
    trials, flags = diagnose(planted(18, 6), timeout="40s")
    assert len(trials) == 60
    assert wrongly_flagged(trials, flags) == []
