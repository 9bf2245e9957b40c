"""What a program logs with Lightning's `CSVLogger` counts, and is mirrored: a likeness of it, as Lightning is not here."""

from orchestrator.trial.contract.events import Cause
from tests.trial.conftest import PROGRAMS, scalars, wandb_runs

CSV = """
import torch
from lightning.fabric.loggers.csv_logs import CSVLogger
logger = CSVLogger()
for epoch in range(3):
    logger.log_metrics({"train_loss": torch.tensor(3.0 - epoch), "epoch": epoch}, step=10 * epoch)
    logger.log_metrics({"val_loss": 2.0 - epoch, "epoch": epoch, "note": "text"}, step=10 * epoch)
print(len(logger.experiment.metrics), logger.experiment.metrics[-1])
"""


def test_rows_of_a_csv_logger_are_reports_and_are_mirrored(shared):
    """Each name a series by step, as with the default logger; the logger has its rows as without us."""
    path = {"PYTHONPATH": str(PROGRAMS / "like_lightning")}
    trial = shared.run(shared.script(CSV, "csv_logger.py"), wandb=True, metric="val_loss", env=path)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert trial.log == "6 {'val_loss': 0.0, 'epoch': 2, 'note': 'text', 'step': 20}\n"
    assert [(r.step, r.metrics["val_loss"]) for r in trial.reports if "val_loss" in r.metrics] == [
        (0, 2.0),
        (10, 1.0),
        (20, 0.0),
    ]
    assert trial.series("train_loss") == [3.0, 2.0, 1.0]
    board, (run,) = scalars(trial.dir), wandb_runs(trial)
    assert board["val_loss"] == [(0, 2.0), (10, 1.0), (20, 0.0)]
    assert [value for _, value in run.series("val_loss")] == [2.0, 1.0, 0.0]
