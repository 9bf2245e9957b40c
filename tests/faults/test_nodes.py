"""A cluster of two nodes under a running sweep: one is killed at random moments, taken away, or a worker on it freezes."""

import contextlib
import itertools
import tempfile
import time
from pathlib import Path

import pytest

from tests.faults.real import PROGRAM
from tests.faults.test_kills import WITHIN_S, moments
from tests.waiting import until

pytestmark = pytest.mark.ray

DRIVER = Path(__file__).with_name("driver.py")

GPU_SPEC = """
program: train.py
method: random
metric: {name: loss, goal: minimize}
run_cap: 100000
parameters:
  x: {min: 0.0, max: 1.0}
orchestrator: {seed: 7, wandb: off, resources: {gpu: 1}}
"""

QUICK_HEALTH_CHECKS = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 300,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}


@pytest.fixture
def two_nodes(request):
    """Two nodes with a fake GPU each, or as many as a test says, which end with this process; sweeps attach to the first."""
    import ray._private.utils
    from ray.cluster_utils import Cluster

    from orchestrator.execution.ray import own_cluster as local

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="swt-", dir="/tmp") as temp_dir:
        patch.setattr(ray._private.utils, "write_ray_address", lambda *_: None)
        common = {"temp_dir": temp_dir, "no_monitor": True, "include_log_monitor": False, "num_cpus": 2}
        common["num_gpus"] = getattr(request, "param", 1)
        with local.only_what_is_needed():
            cluster = Cluster(
                initialize_head=True,
                head_node_args={"_system_config": local.SYSTEM_CONFIG | QUICK_HEALTH_CHECKS, **common},
            )
            cluster.add_second = lambda **more: cluster.add_node(**(common | more))
            cluster.second = cluster.add_second()
            yield cluster
        cluster.shutdown()


def attached(real, cluster, lease_s):
    """A sweep on the cluster, started and under way on both nodes, where each has one GPU."""
    sweep = real(spec=GPU_SPEC, options=("--address", cluster.address), driver=(DRIVER, "-", lease_s), program=PROGRAM)
    sweep.start()
    sweep.runs(at_least=5)
    on_both_nodes(sweep)
    return sweep


def on_both_nodes(sweep):
    """Wait until more trials run at once than the first node has GPUs, where that is one."""
    running = "SELECT count(*) FROM attempts WHERE started IS NOT NULL AND ended IS NULL"
    until(lambda: sweep.query(running)[0][0] > 1, sweep.said)


def kill_nodes(sweep, cluster, n):
    """Kill the second node n times, while it runs a trial; another one joins each time."""
    for delay_s, _ in moments("node", n, WITHIN_S):
        time.sleep(delay_s)
        on_both_nodes(sweep)
        cluster.remove_node(cluster.second, allow_graceful=False)
        cluster.second = cluster.add_second()
        sweep.runs()


def n_running(sweep):
    """Trials of a sweep that run."""
    rows = sweep.query("SELECT count(*) FROM attempts WHERE started IS NOT NULL AND ended IS NULL")
    return rows[0][0] if rows else 0


@pytest.mark.parametrize("two_nodes", [2], indirect=True)
def test_two_sweeps_share_a_cluster_and_what_a_killed_one_had_is_used(real, two_nodes):
    """Who came first gives up GPUs as its trials end, never more are in use than there are, and both are told."""
    sweeps = [attached(real, two_nodes, 30)]
    program = PROGRAM.replace("sleep(0.1)", "sleep(0.4)")
    late = real(spec=GPU_SPEC, options=("--address", two_nodes.address), program=program)
    late.start()
    until(lambda: n_running(late) == 2, late.said)
    until(lambda: n_running(sweeps[0]) == 2, sweeps[0].said)
    sweeps.append(late)
    nodes = late.ask("nodes", "--address", two_nodes.address)
    shown = [line.split()[1] for line in nodes.stdout.splitlines() if line.startswith("sweep ")]
    assert shown == sorted(sweep.path.name for sweep in sweeps), nodes.stdout
    assert f"sweep {sweeps[0].path.name} shares this cluster" in (late.directory / "out").read_text()
    killed = time.time()
    late.process.kill()
    until(lambda: n_running(sweeps[0]) == 4, sweeps[0].said)
    assert most_at_once([*late.query(SPANS % killed), *sweeps[0].query(SPANS % time.time())]) == 4
    late.finish()
    sweeps[0].finish()


SHARED_S = 300.0
"""How long shares are measured, after the first minute."""

ASLEEP = """
import time
from orchestrator import report
time.sleep(%f)
report(loss=1.0)
"""


@pytest.mark.soak
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("two_nodes", [4], indirect=True)
@pytest.mark.parametrize("n_sweeps", [2, 10])
def test_every_sweep_of_a_cluster_has_its_part(real, two_nodes, n_sweeps):
    """Of eight GPUs: within a tenth of fair after a minute, also with trials of several lengths; a killed one's are used."""
    sweeps = [
        real(spec=GPU_SPEC, options=("--address", two_nodes.address), program=ASLEEP % (8 if n % 2 else 4))
        for n in range(n_sweeps)
    ]
    for sweep in sweeps:
        sweep.start()
    for sweep in sweeps:
        until(lambda sweep=sweep: had(sweep, 0, time.time()) > 0, sweep.said, patience_s=600)
    time.sleep(60 + SHARED_S)
    end = time.time()
    parts = [had(sweep, end - SHARED_S, end) for sweep in sweeps]
    fair = sum(parts) / n_sweeps
    assert all(0.9 * fair < part < 1.1 * fair for part in parts), [round(part / fair, 3) for part in parts]
    sweeps[0].process.kill()
    until(lambda: sum(n_running(sweep) for sweep in sweeps[1:]) == 8, sweeps[1].said)
    ended = {sweeps[0]: end}
    spans = [row for sweep in sweeps for row in sweep.query(SPANS % ended.get(sweep, time.time()))]
    assert most_at_once(spans) == 8


SPANS = "SELECT started, coalesce(ended, %f) FROM attempts WHERE started IS NOT NULL"


def had(sweep, since, until):
    """The seconds that a sweep's trials have had."""
    return sum(max(0.0, min(ended, until) - max(began, since)) for began, ended in sweep.query(SPANS % until))


def most_at_once(spans):
    """The most trials that ran at any moment."""
    steps = sorted([(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans])
    return max(itertools.accumulate(step for _, step in steps))


def test_a_node_of_two_is_killed_and_another_joins(real, two_nodes):
    """A sample of the long runs, with a short lease: what ran there runs again, the rest goes on."""
    sweep = attached(real, two_nodes, 6)
    lost = "SELECT count(*) FROM attempts WHERE cause IN ('node_lost', 'worker_lost')"
    for _ in range(4):  # one may die in the moment between two trials
        kill_nodes(sweep, two_nodes, 1)
        with contextlib.suppress(AssertionError):
            until(lambda: sweep.query(lost)[0][0], patience_s=15)
            break
    sweep.finish()
    assert sweep.query(lost)[0][0] > 0


@pytest.mark.soak
def test_a_node_of_two_is_killed_twenty_times(real, two_nodes):
    """With the lease that users have."""
    sweep = attached(real, two_nodes, "-")
    kill_nodes(sweep, two_nodes, 20)
    sweep.finish()


@pytest.mark.soak
def test_a_node_that_is_taken_away_is_left_in_time(real, two_nodes):
    """A spot node that is drained and then goes: its trials are preempted, which counts against nobody."""
    from ray._raylet import GcsClient
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason

    spec = GPU_SPEC.replace("gpu: 1}", "gpu: 1}, grace: 1s")
    program = PROGRAM.replace("time.sleep(0.1)", "time.sleep(1.0)")
    sweep = real(spec=spec, options=("--address", two_nodes.address), driver=(DRIVER, "-", 3), program=program)
    sweep.start()
    sweep.runs(at_least=5)
    reason = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    deadline_ms = int((time.time() + 60) * 1000)
    GcsClient(address=two_nodes.address).drain_node(two_nodes.second.node_id, reason, "spot", deadline_ms)
    two_nodes.remove_node(two_nodes.second, allow_graceful=False)
    sweep.runs(at_least=2)
    preempted = "SELECT count(*) FROM attempts WHERE cause IN ('preempted', 'node_lost')"
    until(lambda: sweep.query(preempted)[0][0] > 0, sweep.said)
    sweep.finish()


@pytest.mark.soak
def test_a_worker_that_freezes_is_given_up_and_what_it_still_does_is_not_counted_twice(real):
    """SIGSTOP: its trials run on unseen. What they finish before they are given up counts, what they do later does not."""
    sweep = real(driver=(DRIVER, "-", 3))
    sweep.start()
    sweep.runs()
    for delay_s, _ in moments("freeze", 3, WITHIN_S):
        time.sleep(delay_s)
        [worker] = until(lambda: sweep.family.of("worker"), sweep.said)[:1]
        worker.suspend()
        until(lambda frozen=worker: frozen not in sweep.family.of("worker"), sweep.said)
        sweep.runs()
    sweep.finish()
