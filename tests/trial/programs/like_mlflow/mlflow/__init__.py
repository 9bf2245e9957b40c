"""What `import mlflow` gives, where MLflow itself is not installed."""

from mlflow.tracking.fluent import log_metric, log_metrics, log_param, log_params, start_run

__all__ = ["log_metric", "log_metrics", "log_param", "log_params", "start_run"]
