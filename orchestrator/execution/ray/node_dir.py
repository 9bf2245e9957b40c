"""Where a worker keeps its trials on a node that does not see the runs directory: a directory of its own."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from orchestrator.execution.ray.own_cluster import remove_if_abandoned

PREFIX = "sweep-node-"

VARIABLE = "SWEEP_NODE_DIR"
"""Names the directory on a node below which trials are kept; else it is the one for temporary files."""


class NodeDir:
    """A private directory, locked as long as its process lives: a killed worker's is removed by the next on its node.

    Attributes:
        path: What stands here for the sweep's directory.
        staging: Where files lie until they are complete.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        parent = Path(os.environ.get(VARIABLE) or environ.get(VARIABLE) or tempfile.gettempdir())
        for leftover in parent.glob(f"{PREFIX}*"):
            remove_if_abandoned(leftover)
        self._path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self._lock = (self._path / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = self._path / "sweep"
        self.staging = self._path / "arriving"
        self.path.mkdir()

    def remove(self) -> None:
        """Delete it with all that is in it."""
        shutil.rmtree(self._path, ignore_errors=True)
        self._lock.close()
