from mlflow.tracking.client import MlflowClient

__all__ = ["MlflowClient"]
