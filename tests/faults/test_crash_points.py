"""The controller is killed at every commit of its ledger, just before and just after; `sweep resume` then ends the sweep."""

import sqlite3
from contextlib import closing

import pytest
import yaml

from tests.faults.checker import check

GRID = """
program: train.py
method: grid
metric: {name: loss, goal: minimize}
parameters:
  x: {values: [0.0, 1.0, 2.0, 3.0, 4.0]}
orchestrator: {seed: 7, retries: 1, wandb: off}
"""

RANDOM = """
program: train.py
method: random
metric: {name: loss, goal: minimize}
run_cap: 5
early_terminate: {type: hyperband, min_iter: 1, eta: 2}
parameters:
  x: {min: 0.0, max: 4.0}
orchestrator: {seed: 7, retries: 1, wandb: off}
"""

SCENARIOS = {
    "troubled grid": (GRID, "troubled", {3}),
    "random with early termination": (RANDOM, "plain", set()),
    "paused and unpaused": (GRID, "asked", set()),
}


EVERY_ONE = [pytest.param(1, scenario, marks=pytest.mark.soak) for scenario in SCENARIOS]
KILLED = [(4, "troubled grid"), (7, "paused and unpaused"), *EVERY_ONE]
KILLED_AGAIN = [(4, "troubled grid"), (7, "random with early termination"), *EVERY_ONE]
"""Every how many-th commit is tried: a sample of each scenario; all of them in soak runs."""


@pytest.fixture
def sweep(warm, tmp_path):
    """Return `run(case, spec, *argv, ...)`: a command in a directory of its own per case."""

    def directory(case):
        return tmp_path / case.replace(":", "-").replace(" ", "-")

    def run(case, spec, *argv, **how):
        cwd = directory(case)
        if not cwd.exists():
            cwd.mkdir()
            (cwd / "train.py").write_text("")
            (cwd / "sweep.yaml").write_text(spec)
        return warm(*argv, cwd=cwd, **how)

    run.directory = directory
    return run


def sweep_dir(directory):
    [found] = (directory / "sweep-runs").iterdir()
    return found


def went_on(sweep, case, ended, expected):
    """The sweep of a case is over, and nothing was lost."""
    assert ended.code == 0, f"{case}: {ended.err}"
    try:
        check(sweep_dir(sweep.directory(case)), best=yaml.safe_load(ended.out), **expected)
    except AssertionError as error:
        raise AssertionError(case) from error


def undisturbed(sweep, spec, trials, expected):
    whole = sweep("undisturbed", spec, "run", "sweep.yaml", trials=trials)
    went_on(sweep, "undisturbed", whole, expected)
    return whole.commits


@pytest.mark.parametrize(("every", "scenario"), KILLED)
def test_a_controller_killed_at_any_commit_is_resumed_without_loss(sweep, scenario, every):
    """Before and after each commit of a whole sweep: no trial is lost, none succeeds twice, the best is the best."""
    spec, trials, may_fail = SCENARIOS[scenario]
    expected = {"n_trials": 5, "may_fail": may_fail}
    commits = undisturbed(sweep, spec, trials, expected)
    for at in range(0, len(commits), every):
        case = f"killed {at} {commits[at]}"
        killed = sweep(case, spec, "run", "sweep.yaml", trials=trials, die_at=at)
        assert (killed.code, killed.commits[-1]) == (-9, commits[at])
        ended = sweep(case, spec, "resume", trials=trials)
        if commits[at] == "before:create":
            assert (ended.code, "Traceback" in ended.err) == (2, False), ended.err
        else:
            went_on(sweep, case, ended, expected)


@pytest.mark.parametrize(("every", "scenario"), KILLED_AGAIN)
def test_a_controller_killed_while_it_resumes_is_resumed_without_loss(sweep, scenario, every):
    """Killed in the middle of a sweep, then again at each commit of `sweep resume`: the third one ends it all the same."""
    spec, trials, may_fail = SCENARIOS[scenario]
    expected = {"n_trials": 5, "may_fail": may_fail}
    middle = len(undisturbed(sweep, spec, trials, expected)) // 2
    sweep("once", spec, "run", "sweep.yaml", trials=trials, die_at=middle)
    commits = sweep("once", spec, "resume", trials=trials).commits
    for at in range(0, len(commits), every):
        case = f"killed {middle}, {at} {commits[at]}"
        assert sweep(case, spec, "run", "sweep.yaml", trials=trials, die_at=middle).code == -9
        assert sweep(case, spec, "resume", trials=trials, die_at=at).code == -9
        went_on(sweep, case, sweep(case, spec, "resume", trials=trials), expected)


def test_what_a_canceled_sweep_leaves_is_never_undone(sweep):
    """Killed at each commit after `sweep cancel`: trials that were to be canceled are, `sweep resume` runs the others."""
    whole = sweep("undisturbed", GRID, "run", "sweep.yaml", trials="canceled")
    assert (whole.code, "canceled on request" in whole.err) == (5, True), whole.err
    check(sweep_dir(sweep.directory("undisturbed")), over=False, n_trials=5)
    first = whole.commits.index("before:requests")
    for at in range(first, len(whole.commits)):
        case = f"killed {at} {whole.commits[at]}"
        assert sweep(case, GRID, "run", "sweep.yaml", trials="canceled", die_at=at).code == -9
        for_good = numbers(sweep.directory(case), "SELECT DISTINCT trial FROM decisions WHERE what = 'cancel'")
        went_on(sweep, case, sweep(case, GRID, "resume", trials="plain"), {"n_trials": 5})
        assert numbers(sweep.directory(case), "SELECT number FROM trials WHERE state = 'canceled'") == for_good


def numbers(directory, query):
    with closing(sqlite3.connect(sweep_dir(directory) / "ledger.sqlite")) as connection:
        return {number for (number,) in connection.execute(query)}
