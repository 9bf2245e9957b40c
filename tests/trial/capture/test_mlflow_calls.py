"""What a program logs to MLflow is in its reports, its TensorBoard run and its W&B run: MLflow itself, and a likeness of it."""

import importlib.util

import pytest

from orchestrator.trial.contract.events import Cause
from orchestrator.trial.contract.history import joined
from tests.trial.conftest import PROGRAMS, scalars, wandb_runs

IS_INSTALLED = importlib.util.find_spec("mlflow") is not None


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("mlflow", marks=pytest.mark.skipif(not IS_INSTALLED, reason="MLflow is not installed")),
        pytest.param("like_mlflow", marks=pytest.mark.skipif(IS_INSTALLED, reason="MLflow itself is here")),
    ],
)
def logged(shared, request):
    """A trial of a program that logs to nothing but MLflow."""
    path = {"PYTHONPATH": str(PROGRAMS / "like_mlflow")} if request.param == "like_mlflow" else {}
    trial = shared.run(PROGRAMS / "log_mlflow.py", wandb=True, metric="loss", config={"lr": 0.3}, env=path)
    assert (trial.ended().cause, trial.ended().error) == (Cause.FINISHED, None), trial.log
    return trial


def test_metrics_are_reports_a_row_per_step(logged):
    """Series by name and step, values without a step one by one; nested runs and MLflow's own of the machine do not count."""
    rows = [(r.step, dict(r.metrics), r.part) for r in logged.reports]
    assert [row for row in rows if "loss" in row[1]] == [(i, {"loss": 3.0 - i}, False) for i in range(3)]
    assert [row for row in rows if "acc" in row[1]] == [(i, {"acc": i / 4}, True) for i in range(3)]
    assert [row for row in rows if "unstepped" in row[1]] == [(None, {"unstepped": v}, False) for v in (1.0, 2.0, 3.0)]
    assert [row[:2] for row in rows if "late" in row[1]] == [(7, {"late": 0.5}), (8, {"late": 0.25})]
    assert logged.series("best") == [4.0]
    assert {name for row in rows for name in row[1]} == {"loss", "acc", "unstepped", "late", "best"}
    assert "metrics of nested MLflow runs do not count" in logged.log


def test_metrics_are_mirrored_to_tensorboard_and_wandb(logged):
    """Every value is in both, at its step."""
    board, (run,) = scalars(logged.dir), wandb_runs(logged)
    assert board["loss"] == [(0, 3.0), (1, 2.0), (2, 1.0)]
    assert board["late"] == [(7, 0.5), (8, 0.25)]
    assert [value for _, value in run.series("loss")] == [3.0, 2.0, 1.0]
    assert [value for _, value in run.series("unstepped")] == [1.0, 2.0, 3.0]
    assert run.exit_code == 0


def test_params_are_in_the_config_of_the_wandb_run(logged):
    """Under a name of their own, as the numbers that they were; those of nested runs are left out."""
    (run,) = wandb_runs(logged)
    assert run.config["mlflow"] == {"depth": 3, "optimizer": "adam", "rate": 0.5, "seed": 7}
    assert run.config["lr"] == 0.3


WITH_WANDB = """
import mlflow, wandb
with mlflow.start_run():
    mlflow.log_params({"depth": 3})
    run = wandb.init()
    for step in range(3):
        mlflow.log_metric("loss", 3.0 - step, step=step)
        mlflow.log_metric("only_mlflow", step, step=step)
        run.log({"loss": 3.0 - step})
"""


def test_what_goes_to_wandb_as_well_counts_there_alone(shared):
    """The common name is reported once and is W&B's; the other joins the run's rows; params wait until there is a run."""
    path = {"PYTHONPATH": str(PROGRAMS / "like_mlflow")}
    script = shared.script(WITH_WANDB, "mlflow_and_wandb.py")
    trial = shared.run(script, wandb=True, metric="loss", env=path)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    (run,) = wandb_runs(trial)
    assert [value for _, value in run.series("loss")] == [3.0, 2.0, 1.0]
    assert [value for _, value in run.series("only_mlflow")] == [0.0, 1.0, 2.0]
    assert run.config["mlflow"] == {"depth": 3}
    assert trial.series("only_mlflow") == [0.0, 1.0, 2.0]
    assert [row.metrics["loss"] for row in joined([trial.reports]) if "loss" in row.metrics] == [3.0, 2.0, 1.0]
