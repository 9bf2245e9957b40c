"""What trials do on a fake pool, with what real ones leave on disk: markers, reports, records of their ends."""

import json
from dataclasses import replace
from pathlib import Path

from orchestrator.ledger.requests import Action, Instruction, ask
from orchestrator.trial.contract.end_record import STOPPED_EXIT, leave_record
from orchestrator.trial.contract.events import Cause
from tests.execution.fake_pool import End, FakePool, Log, Wait

N_REPORTS = 3


def a_pool(name: str, sweep_dir: Path) -> FakePool:
    """Return a pool of two slots whose trials do what `name` says."""
    pool = FakePool(2, lambda launch: _recorded(launch, ACTS[name](pool, launch)))
    if name == "asked":
        pool.at(1.5, lambda: ask(sweep_dir / "ledger.sqlite", Instruction(action=Action.PAUSE)))
        pool.at(20.0, lambda: ask(sweep_dir / "ledger.sqlite", Instruction(action=Action.UNPAUSE)))
    if name == "canceled":
        pool.at(2.5, lambda: ask(sweep_dir / "ledger.sqlite", Instruction(action=Action.CANCEL)))
    return pool


def _plain(_pool, launch):
    """Every trial reports, then finishes."""
    yield from _training(launch)


def _troubled(pool, launch):
    """Some fail, once or always; some lose their worker, one of them when it had just finished."""
    training = list(_training(launch))
    if (launch.trial, launch.attempt) == (1, 0) or launch.trial == 3:
        yield training[0]
        yield End(Cause.FAILED, exit_code=1, error="ValueError: bad luck")
    elif (launch.trial, launch.attempt) == (2, 0):
        yield from training[:2]
        pool.at(pool.clock() + 1, lambda: pool.lose_worker(2))
        yield Wait(float("inf"))
    elif launch.trial == 4:
        yield from training[:2]
        _write(launch, training[2])
        leave_record(launch.dir, launch.attempt, {"exit_code": 0, "error": None})
        pool.at(pool.clock() + 1, lambda: pool.lose_worker(4))
        yield Wait(float("inf"))
    else:
        yield from training


ACTS = {"plain": _plain, "troubled": _troubled, "asked": _plain, "canceled": _plain}


def _training(launch):
    x = launch.config["x"]
    return (Log({"loss": (x - 1.5) ** 2 + 1 / (step + 1)}, after_s=1.0, step=step) for step in range(N_REPORTS))


def _recorded(launch, steps):
    """Do the steps, and leave on disk what a trial's process would leave before its worker tells of it."""
    trial_dir = Path(launch.trial_dir)
    (trial_dir / f".attempt-{launch.attempt}").touch(exist_ok=False)
    try:
        for step in steps:
            if isinstance(step, Log):
                _write(launch, step)
            if isinstance(step, End):
                leave_record(launch.dir, launch.attempt, {"exit_code": step.exit_code, "error": step.error})
            yield step
    except SystemExit:
        if isinstance(step, Log):  # written, and not yet told
            yield replace(step, after_s=0.0)
        leave_record(launch.dir, launch.attempt, {"exit_code": STOPPED_EXIT, "error": None})
        return
    leave_record(launch.dir, launch.attempt, {"exit_code": 0, "error": None})


def _write(launch, log):
    line = {"attempt": launch.attempt, "t": 1.0, "step": log.step, "m": log.metrics}
    with (Path(launch.trial_dir) / "reports.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
