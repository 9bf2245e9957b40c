"""Mlflow's client, with its signatures and without a server."""

import itertools

from mlflow.entities import Data, Info, Run

_ids = itertools.count()


class MlflowClient:
    def create_run(self, experiment_id, start_time=None, tags=None, run_name=None):
        return Run(Info(f"run-{next(_ids)}"), Data(dict(tags or {})))

    def log_metric(
        self,
        run_id,
        key,
        value,
        timestamp=None,
        step=None,
        synchronous=None,
        dataset_name=None,
        dataset_digest=None,
        model_id=None,
    ):
        return None

    def log_param(self, run_id, key, value, synchronous=None):
        return value

    def log_batch(self, run_id, metrics=(), params=(), tags=(), synchronous=None):
        return None
