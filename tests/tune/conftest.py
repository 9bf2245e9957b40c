"""The bench of the trial's tests, for Tune's programs."""

from tests.trial.conftest import bench

__all__ = ["bench"]
