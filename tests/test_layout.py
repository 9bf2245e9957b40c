import ast
from pathlib import Path

import orchestrator
from orchestrator import layout
from orchestrator.layout import SweepDir, TrialDir, run_id

PACKAGE = Path(orchestrator.__file__).parent
OF_OTHERS = {layout.TRIALS, layout.CONFIG, layout.WANDB, layout.CHECKPOINTS, layout.CODE}
"""Words that also mean something else: W&B's own file, modules, columns, exit codes."""


def test_a_trial_lies_in_its_sweep():
    """Numbered with four digits and more, so that listings are in order; and each knows of the other."""
    sweep = SweepDir(Path("/runs/digits-k3x9w2ab"))
    trial = sweep.trial(7)
    assert sweep.sweep_id == "k3x9w2ab"
    assert (str(trial.path), trial.number, trial.sweep) == ("/runs/digits-k3x9w2ab/trials/0007", 7, sweep)
    assert sweep.trial(12345).path.name == "12345"
    assert run_id(sweep.sweep_id, 7) == "k3x9w2ab-0007"


def test_what_is_no_trial_and_no_attempt_is_passed_over(tmp_path):
    """Somebody's own files may lie there, under any name."""
    sweep = SweepDir(tmp_path)
    for name in ("0000", "0012", "notes", "0x", "7" * 40):
        (sweep.trials_path / name).mkdir(parents=True)
    trial = sweep.trial(12)
    for attempt in ("0", "11", "x", "", "9" * 40):
        (trial.path / f".attempt-{attempt}").touch()
    assert sorted(each.number for each in sweep.trials()) == [0, 12]
    assert sorted(trial.attempts()) == [0, 11]
    assert len(trial.attempt_paths()) == 5


def test_logs_of_runs_are_found_by_name(tmp_path):
    """Those recorded offline and online, of every run or of one."""
    trial = TrialDir(tmp_path)
    for name in ("run-20260101_000000-b", "offline-run-20260102_000000-a"):
        log = trial.wandb_path / name / f"run-{name[-1]}.wandb"
        log.parent.mkdir(parents=True)
        log.touch()
    assert [path.name for path in trial.wandb_run_paths()] == ["offline-run-20260102_000000-a", "run-20260101_000000-b"]
    assert [path.name for path in trial.wandb_log_paths()] == ["run-a.wandb", "run-b.wandb"]
    assert [path.name for path in trial.wandb_log_paths("b")] == ["run-b.wandb"]


def test_every_name_is_said_once():
    """No module but the layout spells a file's name of a sweep's or a trial's directory, or how a trial's number is written."""
    names = {value for name, value in vars(layout).items() if name.isupper()} - OF_OTHERS
    assert layout.REPORTS in names
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}: {node.value}"
        for path in PACKAGE.rglob("*.py")
        if path != Path(layout.__file__)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in {*names, "04d"}
    ]
    assert not found, "\n".join(found)
