"""The checker finds each kind of violation, planted one at a time into a sound sweep."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys

import pytest

from tests.faults.checker import Expected, check, violations
from tests.faults.test_crash_points import GRID, sweep_dir

EXPECTED = {"n_trials": 5, "may_fail": frozenset({3}), "best": {"x": 1.0}}


@pytest.fixture(scope="module")
def sound(warm, tmp_path_factory):
    """A sweep of five trials: one failed for good, three had two attempts."""
    directory = tmp_path_factory.mktemp("sound")
    (directory / "train.py").write_text("")
    (directory / "sweep.yaml").write_text(GRID)
    assert warm("run", "sweep.yaml", cwd=directory, trials="troubled").code == 0
    return sweep_dir(directory)


@pytest.fixture
def a_sweep(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / sound.name)


def write_record(directory, attempt, **record):
    (directory / f".end-{attempt}.json").write_text(json.dumps(record))


def drop_report(directory):
    lines = (directory / "reports.jsonl").read_text().splitlines(keepends=True)
    (directory / "reports.jsonl").write_text("".join(lines[:-1]))


PLANTED = {
    "a trial that never ended": (
        "UPDATE trials SET state = 'running' WHERE number = 0",
        "trial 0: is running, but the sweep is over",
    ),
    "a lost trial": ("DELETE FROM trials WHERE number = 4", "is of a trial that the ledger does not know"),
    "a trial too many": (
        "INSERT INTO trials (number, config, state, created) VALUES (5, '{}', 'pending', 1.0)",
        "there are 6 trials, not 5",
    ),
    "a gap": ("UPDATE trials SET number = 9 WHERE number = 4", "the trials' numbers have gaps"),
    "an unknown state": ("UPDATE trials SET state = 'gone' WHERE number = 0", "trial 0: state 'gone' does not exist"),
    "a failure": ("UPDATE trials SET state = 'failed' WHERE number = 0", "trial 0: failed (finished"),
    "a forgotten attempt": ("DELETE FROM attempts WHERE trial = 2 AND attempt = 0", "trial 2: its attempts are [1]"),
    "an unknown attempt": (
        lambda trials: (trials / "0000" / ".attempt-1").touch(),
        "trial 0: attempts left files that the ledger does not know",
    ),
    "an attempt without end": (
        "UPDATE attempts SET cause = NULL WHERE trial = 0",
        "trial 0: is finished, but its last attempt has no end",
    ),
    "a cause that differs": (
        "UPDATE trials SET cause = 'failed' WHERE number = 0",
        "trial 0: its cause is failed, its last",
    ),
    "two successes on disk": (
        lambda trials: write_record(trials / "0002", 0, exit_code=0),
        "trial 2: ran to success twice: attempts [0, 1]",
    ),
    "two successes in the ledger": (
        "UPDATE attempts SET cause = 'finished' WHERE trial = 2",
        "trial 2: ran to success twice: attempts [1], in the ledger [0, 1]",
    ),
    "a success that did not happen": (
        lambda trials: write_record(trials / "0000", 0, exit_code=1),
        "trial 0: is finished, but the attempts that succeeded by their own record are []",
    ),
    "a success that was ignored": (
        lambda trials: write_record(trials / "0003", 1, exit_code=0),
        "trial 3: is failed, but its attempt [1] succeeded by its own record",
    ),
    "one place for two ends": (
        "DROP TABLE trials; CREATE TABLE trials AS SELECT * FROM old; UPDATE trials SET ended_order = 0",
        "two trials share a place in the order of ends",
    ),
    "a report that nobody wrote": (
        lambda trials: drop_report(trials / "0000"),
        "the ledger has 3 reports of attempt 0, reports.jsonl 2",
    ),
    "a report that was not recorded": (
        "UPDATE trials SET n_reports = 2 WHERE number = 0",
        "trial 0: has ended with 2 of 3 reports in the ledger",
    ),
    "a value that was not recorded": (
        "DELETE FROM scores WHERE trial = 0 AND position = 2",
        "trial 0: has ended with 2 of 3 values of loss",
    ),
    "a value that differs": (
        "UPDATE scores SET value = value + 1e-9 WHERE trial = 0 AND position = 1",
        "trial 0: loss of attempt 0 is",
    ),
    "a hole in the values": (
        "DELETE FROM scores WHERE trial = 0 AND position = 1",
        "trial 0: the positions of loss are [0, 2]",
    ),
    "a value of an earlier attempt": (
        "UPDATE scores SET attempt = 0 WHERE trial = 2 AND position = 0",
        "trial 2: started over in attempt 1, but the values of loss are of attempts [0, 1]",
    ),
    "a dense value that differs": (
        "UPDATE metrics SET value = -1 WHERE trial = 0 AND report = 1",
        "trial 0: loss = -1.0",
    ),
    "another config": (
        "UPDATE trials SET config = '{\"x\": 2.0}' WHERE number = 0",
        "the grid of 5 points is covered by 5 trials",
    ),
    "another best": ("UPDATE trials SET value = 9 WHERE number = 1", "trial 1: its value is 9.0, by its reports it is"),
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_violation_is_found(a_sweep, what):
    """Each change to the ledger or to a trial's files is named."""
    check(a_sweep, **EXPECTED)
    change, told = PLANTED[what]
    if callable(change):
        change(a_sweep / "trials")
    else:
        connection = sqlite3.connect(a_sweep / "ledger.sqlite")
        connection.executescript(f"CREATE TEMP TABLE old AS SELECT * FROM trials; {change}")
        connection.close()
    found = violations(a_sweep, Expected(**EXPECTED))
    assert any(told in line for line in found), found


def test_another_best_than_the_printed_one_is_found(a_sweep):
    """What the command printed is compared with what the reports say."""
    [line] = violations(a_sweep, Expected(**(EXPECTED | {"best": {"x": 2.0}})))
    assert "{'x': 2.0} was printed as the best" in line


def test_a_process_that_was_left_is_found(a_sweep):
    """By the sweep's id in its environment."""
    sweep_id = a_sweep.name.rpartition("-")[2]
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | {"SWEEP_ID": sweep_id}) as process:
        [line] = violations(a_sweep, Expected(**EXPECTED))
        assert line.startswith(f"process {process.pid} is left:")
        process.stdin.close()


def test_a_corrupt_database_is_found(a_sweep):
    """A page that was overwritten."""
    with (a_sweep / "ledger.sqlite").open("r+b") as file:
        file.seek(4096 * 2)
        file.write(os.urandom(8192))
    with pytest.raises((AssertionError, sqlite3.DatabaseError)):
        check(a_sweep, **EXPECTED)
