"""Mlflow's functions, with their signatures: each goes through the client."""

import contextlib

from mlflow.entities import Metric, Param
from mlflow.tracking.client import MlflowClient

_active = []


@contextlib.contextmanager
def start_run(run_id=None, experiment_id=None, run_name=None, nested=False, parent_run_id=None, tags=None):
    parent = {"mlflow.parentRunId": _active[-1].info.run_id} if nested else {}
    _active.append(MlflowClient().create_run(experiment_id="0", tags=parent, run_name=run_name))
    yield _active[-1]
    _active.pop()


def log_metric(key, value, step=None, synchronous=None, timestamp=None, run_id=None, model_id=None, dataset=None):
    run_id = run_id or _active[-1].info.run_id
    return MlflowClient().log_metric(run_id, key, value, timestamp or 1, step or 0, synchronous=True, model_id=model_id)


def log_metrics(metrics, step=None, synchronous=None, run_id=None, timestamp=None, model_id=None, dataset=None):
    found = [Metric(key, value, timestamp or 1, step or 0) for key, value in metrics.items()]
    run_id = run_id or _active[-1].info.run_id
    return MlflowClient().log_batch(run_id=run_id, metrics=found, params=[], tags=[], synchronous=True)


def log_param(key, value, synchronous=None):
    return MlflowClient().log_param(_active[-1].info.run_id, key, value, synchronous=True)


def log_params(params, synchronous=None, run_id=None):
    found = [Param(key, str(value)) for key, value in params.items()]
    run_id = run_id or _active[-1].info.run_id
    return MlflowClient().log_batch(run_id=run_id, metrics=[], params=found, tags=[], synchronous=True)
