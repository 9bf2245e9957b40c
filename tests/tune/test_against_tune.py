"""Trainables under a Tuner and under our runner, with deaths at any row: rows, iterations and final checkpoints agree."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.trial.contract.events import Cause
from orchestrator.trial.contract.history import joined
from orchestrator.trial.contract.launch import ProgramKind
from tests.scripts import environment

PROGRAMS = Path(__file__).parent / "programs"
sys.path.insert(0, str(PROGRAMS))
try:
    from twenty import NAMES, ROWS
    from under_tune import AUTOMATIC
finally:
    sys.path.remove(str(PROGRAMS))


def deaths_of(name: str, count: int) -> list[int]:
    """Rows at which a trainable dies: drawn once, and never beyond the last one."""
    rows = 1 if name == "returns_a_mapping" else ROWS
    drawn = random.Random(f"{name}/{count}").sample(range(1, rows + 1), min(count, rows))
    return sorted(drawn)


SAMPLE = [("Counts", 1), ("every_third_row", 1)]
EVERY = [(name, count) for name in NAMES for count in (0, 1, 3)]


def under_tune(cases, home) -> dict:
    """What a Tuner makes of each case."""
    jobs = json.dumps([[name, deaths_of(name, count)] for name, count in cases])
    done = subprocess.run(
        [sys.executable, "under_tune.py", jobs],
        cwd=PROGRAMS,
        env=environment(RAY_AUTH_MODE="disabled", HOME=str(home), TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="0"),
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line.removeprefix("RESULT ") for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert len(lines) == len(cases), done.stdout + done.stderr
    return {(name, tuple(deaths)): found for name, deaths, found in map(json.loads, lines)}


def under_a_sweep(bench, name: str, deaths: list[int]):
    """Run the attempts that a trial of a sweep would have; return its rows and its last checkpoint."""
    number = len(bench.trials)
    flags = bench.dir / f"flags{number}"
    flags.mkdir()
    config = {"deaths": deaths, "flags": str(flags)}
    attempts = []
    while not attempts or attempts[-1].ended().exit_code == 9:
        assert len(attempts) <= len(deaths), attempts[-1].log
        attempts.append(
            bench.run(
                f"twenty:{name}",
                kind=ProgramKind.OBJECT,
                config=config,
                trial=number,
                attempt=len(attempts),
                cwd=str(PROGRAMS),
            )
        )
    assert attempts[-1].ended().cause is Cause.FINISHED, attempts[-1].log
    rows = [[row.step, dict(row.metrics)] for row in joined([attempt.reports for attempt in attempts])]
    kept = list((attempts[0].dir / "checkpoints").glob("checkpoint_*"))
    assert len(kept) <= 1
    files = (
        {str(p.relative_to(kept[0])): p.read_bytes().hex() for p in sorted(kept[0].rglob("*")) if p.is_file()}
        if kept
        else {}
    )
    return rows, files


def agree(cases, tmp_path, bench):
    expected = under_tune(cases, tmp_path)
    wrong = {}
    for name, count in cases:
        deaths = deaths_of(name, count)
        rows, files = under_a_sweep(bench, name, deaths)
        tune = expected[name, tuple(deaths)]
        # a row's step is its iteration; a program that reports its own has it as a metric, too
        ours = [
            [step, {"training_iteration": float(step), **{k: v for k, v in metrics.items() if k not in AUTOMATIC}}]
            for step, metrics in rows
        ]
        if (ours, files) != (tune["rows"], tune["checkpoint"]):
            wrong[name, count] = (deaths, tune, ours, files)
    assert not wrong


@pytest.mark.soak
@pytest.mark.ray
def test_a_class_and_a_function_with_a_death_agree_with_tune(tmp_path, bench):
    """Rows, iterations and the last checkpoint, byte for byte."""
    agree(SAMPLE, tmp_path, bench)


@pytest.mark.soak
def test_every_trainable_with_no_one_and_three_deaths_agrees_with_tune(tmp_path, bench):
    """Twenty trainables, sixty trials on either side."""
    agree(EVERY, tmp_path, bench)
