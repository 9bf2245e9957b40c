import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.cli.trying import Tried
from orchestrator.cli.trying_text import lines
from orchestrator.spec import load_text
from orchestrator.trial.contract.events import Cause, Ended, Report
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind

SPEC = """\
program: train.py
method: random
metric: {name: val/loss, goal: minimize}
parameters:
  lr: {min: 0.1, max: 0.2}
  opt: {parameters: {wd: {value: 0.5}}}
early_terminate: {type: hyperband, min_iter: 9}
orchestrator: {seed: 3}
"""
TRAIN = """\
import argparse, sys, time
import wandb
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--opt")
args = parser.parse_args()
run = wandb.init()
print("training with", run.config.lr, args.opt)
for step in range(4):
    run.log({"val/loss": 1 / (step + 1), "acc": step / 4}, step=10 * step)
    time.sleep(0.02)
"""
OFTEN_OTHER = [
    (re.compile(r"-[0-9a-z]{8}(?=[-/])"), "-ID"),
    (re.compile(r"offline-run-\w+-ID-(\d+)"), r"offline-run-ID-\1"),
    (re.compile(r"\d+(\.\d+)?(s|m\d\ds)\b"), "TIME"),
    (re.compile(r"[\d.]+ m?s (?=between|each)|[\d.]+ m?s$", re.MULTILINE), "TIME "),
    (re.compile(r"^wandb: .*\n", re.MULTILINE), ""),
    (re.compile(r"^python  .*$", re.MULTILINE), "python  THIS ONE"),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("orchestrator.reporting.their_commands.shutil.which", str)
    for name in [name for name in os.environ if name.startswith(("WANDB_", "SWEEP_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "sweep.yaml").write_text(SPEC)
    return tmp_path


@pytest.fixture
def try_(folder, monkeypatch, capsys):
    """Return `try_(*words)`: run the command; (exit code, stdout, stderr)."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["sweep", "try", "sweep.yaml", *words])
        with pytest.raises(SystemExit) as exit_:
            main()
        return exit_.value.code or 0, *capsys.readouterr()

    return run


def steady(text):
    for pattern, word in OFTEN_OTHER:
        text = pattern.sub(word, text)
    return text


def test_golden_output_of_a_good_trial(golden, try_):
    """Its output as it came, then how it ended, what it reported, how fast, and where its runs are."""
    code, out, err = try_("--set", "lr=0.15")
    assert code == 0
    golden("try-good.txt", steady(f"{out}---- stderr ----\n{err}"))


def test_a_quiet_try_prints_the_trials_directories(try_):
    """Its output is in their logs."""
    code, out, err = try_("-q", "-n", "2", "--set", "orchestrator.wandb=off")
    assert (code, err) == (0, "")
    assert [Path(line).name for line in out.splitlines()] == ["0000", "0001"]
    assert all((Path(line) / "output.log").read_text() for line in out.splitlines())


def test_golden_output_of_a_trial_without_the_metric(golden, try_, folder):
    """A metric with another name costs a sweep: the trial ends with 1, and the near miss is named."""
    (folder / "train.py").write_text(TRAIN.replace("val/loss", "valid/loss"))
    code, out, err = try_("-n", "2")
    assert code == 1
    golden("try-no-metric.txt", steady(f"{out}---- stderr ----\n{err}"))


def test_golden_output_of_a_trial_that_fails(golden, try_, folder):
    """The traceback is in the output, and the cause in one line."""
    (folder / "train.py").write_text("import argparse\nprint('up')\nraise ValueError('bad lr')\n")
    code, out, err = try_("--set", "orchestrator.wandb=off")
    assert code == 1
    golden("try-failing.txt", steady(f"{out}---- stderr ----\n{err}").replace(str(folder), "FOLDER"))


def test_the_pace_is_the_programs_own():
    """Samples of gradients, which count other steps, are no reports of the program."""
    reports = [Report(index=i, time=10.0 * i, step=i, metrics={"loss": 1.0}) for i in range(3)]
    reports.insert(1, Report(index=9, time=1.0, step=1000, metrics={"watch/gradient_norm": 1.0}))
    program = Program(kind=ProgramKind.SCRIPT, target="train.py")
    places = {"cwd": "/", "trial_dir": "/nowhere", "argv": (), "config": {}}
    launch = Launch(sweep_id="s", sweep_name="s", trial=0, attempt=0, program=program, **places)
    ended = Ended(trial=0, attempt=0, time=30.0, cause=Cause.FINISHED, exit_code=0)
    tried = Tried(launch=launch, asked_s=0.0, started=None, ended=ended, reports=reports)
    spec = load_text(SPEC.replace("val/loss", "loss")).require()
    told = "\n".join(lines(tried, spec, Path("/")))
    assert "3 rows, 10 s between two; steps 0 to 2, 10 s each" in told
    assert tried.names == {"loss": 3}


@pytest.mark.parametrize(
    "text", ["lr: 0.7\nopt: {wd: 3}\n", "wandb_version: 1\n\nlr: {value: 0.7}\nopt:\n  value: {wd: 3}\n"]
)
def test_a_config_is_run_again(try_, folder, text):
    """best.yaml, or the param file that W&B's agent writes; what is set goes on top."""
    (folder / "best.yaml").write_text(text)
    code, out, _ = try_("--config", "best.yaml", "--set", "opt.wd=4")
    assert code == 0
    assert "training with 0.7 {'wd': 4}" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "lrr=1"], "--set lrr: the spec has no such parameter, nor is it a key of specs; did you mean lr?"),
        (["--config", "gone.yaml"], "--config gone.yaml: No such file or directory"),
        (["--config", "list.yaml"], "--config list.yaml: it is not a mapping of parameters"),
        (["--config", "bare.yaml"], "--config bare.yaml: lr has no `value:`"),
        (["--config", "list.yaml", "-n", "2"], "--config gives one config"),
        (["--set", "program=gone.py"], "program gone.py does not exist"),
    ],
)
def test_mistakes_are_told_before_anything_runs(try_, folder, words, message):
    """Exit code 2, one message, no directory."""
    (folder / "list.yaml").write_text("- 1\n")
    (folder / "bare.yaml").write_text("wandb_version: 1\nlr: 3\n")
    code, out, err = try_(*words)
    assert (code, out) == (2, "")
    assert f"error: {message}" in err
    assert not (folder / "sweep-runs").exists()


def test_a_config_with_other_names_is_warned_of(try_, folder):
    """A parameter the spec does not have, or the file does not."""
    (folder / "best.yaml").write_text("lr: 0.7\nextra: 1\n")
    (folder / "train.py").write_text("print('ran')\n")
    _, _, err = try_("--config", "best.yaml")
    assert "warning: parameter extra: the spec does not have it" in err
    assert "warning: parameter opt: the config does not have it" in err


def test_ctrl_c_ends_the_trial_in_order(folder):
    """The first one lets the trial end as a sweep would stop it; the account comes all the same, and nothing is left."""
    (folder / "train.py").write_text(
        "import atexit, os, time\natexit.register(print, 'atexit ran')\nprint('pid', os.getpid())\ntime.sleep(1000)\n"
    )
    sweep = str(Path(sys.executable).parent / "sweep")
    with subprocess.Popen(
        [sweep, "try", "sweep.yaml"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        for line in running.stdout:
            if line.startswith("pid"):
                pid = int(line.split()[1])
                break
        running.send_signal(signal.SIGINT)
        rest = running.stdout.read()
        assert running.wait(timeout=60) == 1
    assert "Asking the trial to end." in rest
    assert "atexit ran" in rest
    assert re.search(r"ended +stopped after .*, exit code 143", rest)
    assert rest.endswith("Interrupted.\n")
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
