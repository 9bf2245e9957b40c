import json
import re
import sys

import pytest

from orchestrator.cli.main import main
from orchestrator.errors import ExitCode

SPEC = """\
program: train.py
method: grid
speed: 3
parameters:
  lr: {values: [0.1, 0.01]}
  o: {parameters: {n: {min: 1, max: 3}}}
"""


@pytest.fixture
def plan(tmp_path, monkeypatch, capsys):
    """Return `plan(*words)`: run the command in a folder with a spec and its program; (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").touch()
    (tmp_path / "sweep.yaml").write_text(SPEC, encoding="utf-8")

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["sweep", "plan", "sweep.yaml", *words])
        with pytest.raises(SystemExit) as exit_:
            main()
        return exit_.value.code, *capsys.readouterr()

    return run


def test_golden_output(golden, plan):
    """The plan on standard output, warnings of the spec with their line on standard error."""
    code, out, err = plan("-n", "4")
    assert code == 0
    golden("plan-output.txt", re.sub(r"(?m)^  python .*", "  python     THIS ONE", out) + f"---- stderr ----\n{err}")


def test_json_is_everything(plan):
    """Nothing but JSON on standard output, the warnings inside."""
    data = json.loads(plan("--json", "-n", "6")[1])
    assert data["n_configs"] == 6
    assert data["trials"][5]["config"] == {"lr": 0.01, "o": {"n": 3}}
    assert data["trials"][5]["command"] == "/usr/bin/env python train.py --lr=0.01 \"--o={'n': 3}\""
    assert data["warnings"][0]["where"] == "speed"


def test_what_the_script_refuses_is_a_warning(plan, tmp_path):
    """As in a run, whose trials tell for sure; `check` alone refuses."""
    (tmp_path / "train.py").write_text("import argparse\nargparse.ArgumentParser().parse_args()\n", encoding="utf-8")
    code, out, err = plan()
    assert code == 0
    assert "--lr=0.1" in out
    assert "warning: parameters.lr: train.py takes no --lr (argparse)" in err


def test_set_changes_a_key(plan):
    """As for a run."""
    data = json.loads(plan("--json", "--set", "run_cap=2", "--set", "parameters.lr.values=[1, 2, 3]")[1])
    assert (data["run_cap"], data["n_trials"], data["n_configs"]) == (2, 2, 9)


def test_a_spec_that_cannot_run_is_an_error(plan):
    """All findings are in the message; nothing is printed as a plan."""
    code, out, err = plan("--set", "method=grit")
    assert (code, out) == (2, "")
    assert "error: sweep.yaml cannot be run" in err
    assert "grit" in err


def test_a_missing_program_is_an_error(plan, tmp_path):
    """Before any trial has failed for it."""
    (tmp_path / "train.py").rename(tmp_path / "trian.py")
    code, out, err = plan()
    assert (code, out) == (2, "")
    assert "error: program train.py does not exist" in err
    assert "did you mean" in err


@pytest.mark.parametrize("price", ["nan", "inf", "-1"])
def test_a_price_is_a_number(plan, price):
    """An answer in nan would say nothing."""
    code, _, err = plan("--price", price)
    assert code == ExitCode.USAGE
    assert "--price" in err
    assert "Traceback" not in err
