"""A sweep ends when its trials have used what it may: softly, and also where others have used it before."""

import pytest

from orchestrator.errors import ExitCode
from orchestrator.ledger.records import SweepState
from orchestrator.spec.model import Budget
from tests.execution.fake_pool import FakePool, Log, Wait
from tests.sweeps import RANDOM, Sweep

LIMITS = [{"gpu_hours": 0.03}, {"cost": 3, "price": 100}, {"gpu_hours": 1, "cost": 3, "price": 100}]


def takes(_):
    yield Log({"loss": 1.0})
    yield Wait(36)


@pytest.mark.parametrize("limits", LIMITS)
def test_no_trial_begins_once_the_budget_is_used(tmp_path, limits):
    """Those that run finish; resuming does not begin one either, until there is more."""
    made = Sweep(tmp_path, RANDOM.format(run_cap=10), {f"orchestrator.budget.{k}": str(v) for k, v in limits.items()})
    pool = FakePool(2, takes, gpu_ids=("0",))
    end = made.run(pool)
    assert (end.exit_code, made.states(), made.record().state) == (
        ExitCode.BUDGET_STOPPED,
        ["finished"] * 4,
        SweepState.INTERRUPTED,
    )
    assert end.reason.startswith("the budget of 0.03 GPU hours is used (0.03")
    assert pool.stops == []
    again = FakePool(2, takes, gpu_ids=("0",))
    assert made.run(again).exit_code is ExitCode.BUDGET_STOPPED
    assert again.launched == []
    made.overrides = {"run_cap": "5"}
    assert made.run(FakePool(2, takes, gpu_ids=("0",))).exit_code is ExitCode.DONE


@pytest.mark.parametrize(("gpu", "gpu_ids", "n_trials"), [("0.5", ("0",), 8), ("2", ("0", "1"), 2), ("1", (), 10)])
def test_gpus_count_as_they_are_taken(tmp_path, gpu, gpu_ids, n_trials):
    """Shares of one, several, and none: then nothing is used."""
    limits = {"orchestrator.budget.gpu_hours": "0.0301", "orchestrator.resources.gpu": gpu}
    made = Sweep(tmp_path, RANDOM.format(run_cap=10), limits)
    made.run(FakePool(2, takes, gpu_ids=gpu_ids))
    assert made.states() == ["finished"] * n_trials


def test_a_budget_is_what_ends_first():
    """GPU hours, or what the money buys."""
    assert Budget().hours is None
    assert Budget(price=2.5).hours is None
    assert Budget(gpu_hours=40, cost=75, price=2.5).hours == 30
    assert Budget(gpu_hours=20, cost=75, price=2.5).hours == 20
