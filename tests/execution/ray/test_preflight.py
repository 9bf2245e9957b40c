"""Asking the nodes of a running Ray."""

import os
import sys
import tempfile

import pytest

from orchestrator.execution.ray.cluster import connect
from orchestrator.execution.ray.preflight import examine
from tests.execution.test_node_report import NOTHING
from tests.scripts import run


@pytest.mark.ray
def test_each_node_is_asked_and_one_that_hangs_is_named(tmp_path, ray_head, monkeypatch):
    """It holds nothing of the cluster, its link and clock are measured; a disk that hangs there costs the time that was given."""
    import ray

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    (tmp_path / "proof").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    with connect(ray_head):
        (node,) = examine(NOTHING | {"proof": [str(tmp_path / "proof"), "x"]}, patience_s=60)
        (hung,) = examine(NOTHING | {"proof": [str(tmp_path / "pipe"), "x"]}, patience_s=25, links=False)
        (here,) = ray.nodes()
    assert (node.node_id, node.cpus, node.answer["seen"], node.hangs_at) == (here["NodeID"], 2.0, True, None)
    assert node.link.round_trip_s < 1
    assert node.link.bytes_per_s > 1e6
    assert abs(node.link.ahead_s) < 1
    assert hung.answer is None
    assert hung.hangs_at == f"the file {tmp_path / 'pipe'}"


TWO_NODES = """
import os, sys, threading
import ray
import ray._private.utils
from ray.cluster_utils import Cluster
from orchestrator.execution.fitness import Wanted
from orchestrator.execution.ray.own_cluster import only_what_is_needed
from orchestrator.execution.ray.preflight import Preflight
ray._private.utils.write_ray_address = lambda *_: None
with only_what_is_needed():
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0, "temp_dir": sys.argv[1]})
    other = cluster.add_node(num_cpus=1, num_gpus=0)
ray.init(address=cluster.address, logging_level="ERROR")
wanted = Wanted(python="", ray="", cwd="/", files=("/no/such/train.py",))
refused, heard = [], threading.Event()
def refuse(node, reason):
    refused.append((node == other.node_id, reason))
    heard.set()
with Preflight(lambda: wanted, os.environ, refuse):
    heard.wait(60)
print(refused)
with Preflight(lambda: wanted, os.environ, lambda *_: print("too late")):
    pass
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.ray
def test_other_nodes_are_refused_beside_a_sweep_that_starts(tmp_path):
    """Not the one that the sweep is on, and not for other versions, of which workers tell; nothing is heard after its end."""
    with tempfile.TemporaryDirectory(prefix="swt-", dir="/tmp") as temp_dir:
        out = run(sys.executable, "-c", TWO_NODES, temp_dir, cwd=tmp_path, RAY_AUTH_MODE="disabled").stdout
    (line,) = [line for line in out.splitlines() if line.startswith("[")]
    assert line.startswith("[(True, 'node ")
    assert "gets no trials: the program is not there: /no/such/train.py" in line
    assert line.count("True") == 1
    assert "too late" not in out
