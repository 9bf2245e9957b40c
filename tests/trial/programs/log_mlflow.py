import os

os.environ["MLFLOW_TRACKING_URI"] = f"file:{os.environ['SWEEP_TRIAL_DIR']}/mlruns"
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import mlflow
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

with mlflow.start_run() as run:
    mlflow.log_params({"depth": 3, "optimizer": "adam"})
    mlflow.log_param("rate", 0.5)
    for step in range(3):
        mlflow.log_metric("loss", 3.0 - step, step=step)
        mlflow.log_metrics({"acc": step / 4}, step=step)
    with mlflow.start_run(nested=True):
        mlflow.log_metric("loss", -1.0, step=9)
        mlflow.log_param("fold", 1)
    for value in (1.0, 2.0, 3.0):
        mlflow.log_metric("unstepped", value)
    client = MlflowClient()
    batch = [Metric("late", 0.5, 0, 7), Metric("late", 0.25, 0, 8), Metric("system/cpu", 99.0, 0, 8)]
    client.log_batch(run.info.run_id, batch, [Param("seed", "7")])
    client.log_metric(run.info.run_id, "best", 4.0, step=8)
print("logged")
