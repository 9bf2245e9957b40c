"""Where a worker keeps its trials on a node that does not see the runs directory: a directory of its own."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from orchestrator.execution.ray.own_cluster import LockedDir

PREFIX = "sweep-node-"

VARIABLE = "SWEEP_NODE_DIR"
"""Names the directory on a node below which trials are kept; else it is the one for temporary files."""


class NodeDir(LockedDir):
    """A private directory; a killed worker's is removed by the next on its node.

    Attributes:
        sweep: What stands here for the sweep's directory.
        staging: Where files lie until they are complete.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(Path(os.environ.get(VARIABLE) or environ.get(VARIABLE) or tempfile.gettempdir()), PREFIX)
        self.sweep = self.path / "sweep"
        self.staging = self.path / "arriving"
        self.sweep.mkdir()
