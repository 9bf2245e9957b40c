"""What is lost and what is not when workers, raylets and nodes of a two-node cluster die, leave and join."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from orchestrator.errors import ClusterError, ExitCode
from orchestrator.execution.ray import pool as pool_module
from orchestrator.execution.ray import telling
from orchestrator.spec.model import Resources
from orchestrator.trial.contract.events import Cause, Ended, Reported, Started
from tests.execution.conftest import RUNNER
from tests.sweeps import Sweep

pytestmark = pytest.mark.ray

LEASE_S = 6.0
"""For tests that wait until it is over; long enough that a busy machine does not end it."""

QUICK_HEALTH_CHECKS = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 300,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}

LEAVE = Path(__file__).parents[2] / "cluster/leave.sh"

NEEDS_A_GOOD_NODE = """
command: [/bin/sh, -c, 'test -z "$MISSING" && echo "{\\"loss\\": 1.0}" >> $REPORTS && sleep 1']
method: random
run_cap: 10
metric: {name: loss}
parameters: {lr: {min: 0.0, max: 1.0}}
"""

SHOW_GPUS = ("/bin/sh", "-c", 'echo "$CUDA_VISIBLE_DEVICES/$OMP_NUM_THREADS" > $REPORTS.gpu; exec sleep 1000')
SLEEP = ("sleep", "1000")


@pytest.fixture(scope="module")
def two_nodes():
    """Two nodes with 2 fake GPUs each; the driver is on the first."""
    import ray._private.utils
    from ray.cluster_utils import Cluster

    from orchestrator.execution.ray import cluster as cluster_module
    from orchestrator.execution.ray import own_cluster as local

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="swt-", dir="/tmp") as temp_dir:
        patch.setattr(ray._private.utils, "write_ray_address", lambda *_: None)
        common = {"temp_dir": temp_dir, "no_monitor": True, "include_log_monitor": False}
        with local.only_what_is_needed():
            cluster = Cluster(
                initialize_head=True,
                head_node_args={
                    "num_cpus": 2,
                    "num_gpus": 2,
                    "_system_config": local.SYSTEM_CONFIG | QUICK_HEALTH_CHECKS,
                    **common,
                },
            )
            cluster.add_second = lambda **more: cluster.add_node(**({"num_cpus": 2, "num_gpus": 2} | common | more))
            cluster.second = cluster.add_second()
            with cluster_module.connect(cluster.address) as connection:
                cluster.connection = connection
                yield cluster
        cluster.shutdown()


@pytest.fixture
def start_pool(two_nodes, tmp_path, watching):
    pools = []

    def start(**settings):
        settings = {"resources": Resources(gpu=1), "runs_dir": tmp_path, "runner": RUNNER} | settings
        pools.append(pool_module.RayPool(two_nodes.connection, **settings))
        return watching(pools[-1])

    yield start
    for pool in pools:
        pool.close()


def raylet_of(started):
    return psutil.Process(started.pid).parent().ppid()


def raylet_pid(node):
    return node.all_processes["raylet"][0].process.pid


def test_gpus_are_shared_no_further_than_asked_for(start_pool, a_launch, tmp_path):
    """With half a GPU each, eight trials on 2 x 2 GPUs: two per GPU and node, and each child sees only its own."""
    watch = start_pool(resources=Resources(gpu=0.5))
    watch.slots(8)
    for trial in range(8):
        watch.pool.launch(a_launch(trial, argv=SHOW_GPUS))
    started = [watch.one(Started, trial) for trial in range(8)]
    held = [(raylet_of(s), s.gpu_ids) for s in started]
    assert sorted(held.count(place) for place in set(held)) == [2, 2, 2, 2]
    assert {ids for _, ids in held} == {("0",), ("1",)}
    files = [tmp_path / "trials" / f"{trial:04d}" / "reports-0.jsonl.gpu" for trial in range(8)]
    watch.until(lambda _: all(f.exists() and f.read_text().endswith("\n") for f in files))
    assert [f.read_text().split("/")[0] for f in files] == [s.gpu_ids[0] for s in started]
    assert {f.read_text().strip().split("/")[1] for f in files} == {"1"}


def test_trials_without_a_gpu_see_none(start_pool, a_launch, tmp_path):
    """`gpu: 0` empties CUDA_VISIBLE_DEVICES, which Ray would leave alone, on a node that has GPUs."""
    watch = start_pool(resources=Resources(gpu=0, cpu=2))
    watch.slots(2)
    watch.pool.launch(a_launch(0, argv=SHOW_GPUS))
    file = tmp_path / "trials" / "0000" / "reports-0.jsonl.gpu"
    watch.until(lambda _: file.exists() and file.read_text().endswith("\n"))
    assert file.read_text() == "/2\n"
    assert watch.one(Started, 0).gpu_ids == ()


def test_a_lost_node_ends_its_attempts_when_they_surely_run_no_more(start_pool, two_nodes, a_launch, gone):
    """A killed raylet: `node_lost` for what ran there, nothing for the others; its slots come back with a new node."""
    watch = start_pool(resources=Resources(gpu=2), lease_s=LEASE_S)
    watch.slots(2)
    for trial in range(2):
        watch.pool.launch(a_launch(trial, argv=SLEEP))
    (there,) = [t for t in range(2) if raylet_of(watch.one(Started, t)) == raylet_pid(two_nodes.second)]
    two_nodes.second.kill_raylet()
    ended = watch.one(Ended, there)
    assert (ended.cause, psutil.pid_exists(watch.one(Started, there).pid)) == (Cause.NODE_LOST, False)
    assert watch.pool.capacity().slots == 1
    two_nodes.remove_node(two_nodes.second, allow_graceful=False)
    two_nodes.second = two_nodes.add_second()
    watch.slots(2)
    watch.pool.launch(a_launch(there, 1, argv=("true",)))
    assert watch.one(Ended, there, 1).cause is Cause.FINISHED
    watch.quiet()
    assert [len(watch.of(Ended, t)) for t in range(2)] == [int(t == there) for t in range(2)]


def test_a_head_that_is_silent_for_a_while_costs_nothing(start_pool, two_nodes, a_launch, monkeypatch):
    """Trials go on while its link is cut; a head that refuses connections is gone."""

    def cut(*_, **__):
        raise TimeoutError("timed out")

    watch = start_pool(limit=2, lease_s=LEASE_S)
    watch.slots(2)
    watch.pool.launch(a_launch(0, argv=SLEEP))
    watch.one(Started, 0)
    with monkeypatch.context() as patch:
        patch.setattr(socket, "create_connection", cut)
        assert two_nodes.connection.nodes() == two_nodes.connection.nodes() != []
        watch.quiet()
    watch.pool.launch(a_launch(1, argv=("true",)))
    assert watch.one(Ended, 1).cause is Cause.FINISHED
    assert not watch.of(Ended, 0)
    monkeypatch.setattr(two_nodes.connection, "address", "127.0.0.1:1")
    with pytest.raises(ClusterError, match=r"gone .*refused"):
        two_nodes.connection.nodes()


def test_a_node_that_is_taken_away_takes_no_new_trials_and_its_own_are_preempted(
    start_pool, two_nodes, a_launch, tmp_path
):
    """Draining, as spot instances announce it: no launches there any more, SIGTERM with the time that is left for what runs."""
    from ray._raylet import GcsClient
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason

    node = two_nodes.add_second(num_gpus=1, resources={"spot": 1})
    watch = start_pool(resources=Resources(gpu=1, custom={"spot": 0.5}), lease_s=LEASE_S)
    watch.slots(1)
    saves = "trap 'sleep 1; touch saved; exit 0' TERM; touch ready; sleep 600 & wait"
    watch.pool.launch(a_launch(0, argv=("sh", "-c", saves), grace_s=0.1))
    watch.until(lambda _: (tmp_path / "ready").exists())
    reason = DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    deadline_ms = int((time.time() + 60) * 1000)
    GcsClient(address=two_nodes.address).drain_node(node.node_id, reason, "spot", deadline_ms)
    watch.slots(0)
    assert watch.pool.capacity().problem == "a trial wants 1 GPU and 0.5 spot, but the largest node has 0 spot"
    ended = watch.one(Ended, 0)
    assert (ended.cause, (tmp_path / "saved").exists()) == (Cause.PREEMPTED, True)
    assert ended.error.endswith("is being taken away")
    two_nodes.remove_node(node, allow_graceful=False)


def test_a_machine_that_leaves_in_order_gives_its_trials_time_to_save(start_pool, two_nodes, a_launch, tmp_path):
    """`cluster/leave.sh` as a container's preStop hook: SIGTERM and the time left, and Ray is gone when it returns.

    A head that is away when it is told is told again.
    """
    node = two_nodes.add_second(num_gpus=1, resources={"spot": 1})
    watch = start_pool(resources=Resources(gpu=1, custom={"spot": 0.5}), lease_s=LEASE_S)
    watch.slots(1)
    saves = "trap 'sleep 1; touch saved; exit 0' TERM; touch ready; sleep 600 & wait"
    watch.pool.launch(a_launch(0, argv=("sh", "-c", saves), grace_s=0.1))
    watch.until(lambda _: (tmp_path / "ready").exists())
    only_this = tmp_path / "grep"  # else it finds the raylets of all tests
    only_this.write_text(f"#!/bin/sh\necho /proc/{raylet_pid(node)}/comm\n")
    only_this.chmod(0o755)
    away_once = f'[ -e asked ] || {{ touch asked; exit 1; }}; exec {Path(sys.executable).parent}/ray "$@"'
    (tmp_path / "ray").write_text(f"#!/bin/sh\ncd {tmp_path}; {away_once}\n")
    (tmp_path / "ray").chmod(0o755)
    path = f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    leaves = subprocess.Popen([LEAVE, "90"], env=os.environ | {"PATH": path})
    ended = watch.one(Ended, 0)
    assert (ended.cause, (tmp_path / "saved").exists()) == (Cause.PREEMPTED, True)
    raylet = node.all_processes["raylet"][0].process
    watch.until(lambda _: raylet.poll() is not None and leaves.poll() is not None)
    assert (raylet.returncode, leaves.returncode) == (0, 0)
    two_nodes.remove_node(node, allow_graceful=False)


def test_a_node_whose_ray_is_ended_by_sigterm_was_taken_away(start_pool, two_nodes, a_launch):
    """As a scheduler does: nobody's fault, and no retry."""
    node = two_nodes.add_second(num_gpus=1, resources={"spot": 1})
    watch = start_pool(resources=Resources(gpu=1, custom={"spot": 0.5}), lease_s=LEASE_S)
    watch.slots(1)
    watch.pool.launch(a_launch(0, argv=SLEEP))
    watch.one(Started, 0)
    two_nodes.remove_node(node, allow_graceful=True)
    assert watch.one(Ended, 0).cause is Cause.PREEMPTED


def test_what_cannot_be_placed_is_explained_and_what_is_held_by_others_is_waited_for(start_pool, two_nodes):
    """Too much for any node is a sentence; GPUs that others hold are a wait that ends when they are free."""
    import ray

    assert start_pool(resources=Resources(gpu=3)).until(lambda w: w.pool.capacity().problem) == (
        "a trial wants 3 GPUs, but the largest node has 2 GPUs"
    )

    @ray.remote(num_gpus=2)
    class Other:
        def ready(self):
            return True

    others = [Other.remote(), Other.remote()]
    ray.get([other.ready.remote() for other in others])
    watch = start_pool(limit=1)
    problem = watch.until(lambda w: w.pool.capacity().problem)
    assert problem == "a trial wants 1 GPU: waiting for resources that others hold now"
    for other in others:
        ray.kill(other)
    watch.slots(1)
    assert watch.pool.capacity().problem is None


def test_a_request_for_growth_that_fails_is_made_anew_when_something_has_changed(
    start_pool, two_nodes, a_launch, monkeypatch
):
    """Not five times a second, as the cluster is looked at, but when a node has joined or a worker was lost."""
    import ray

    from orchestrator.execution import registry as fleet
    from orchestrator.execution.ray import workers as actors

    @ray.remote(num_cpus=0, max_retries=0)
    def fail(*_):
        raise RuntimeError("no such room")

    start, asked = actors.start, []

    def starting(holds, *, node_id, package):
        if node_id is not None:
            return start(holds, node_id=node_id, package=package)
        asked.append(time.monotonic())
        return SimpleNamespace(hello=fail)

    end = actors.end
    monkeypatch.setattr(actors, "start", starting)
    monkeypatch.setattr(actors, "end", lambda given, **how: end([a for a in given if hasattr(a, "poll")], **how))
    monkeypatch.setattr(two_nodes.connection, "places", lambda given: [None] * len(given))
    monkeypatch.setattr(fleet, "ASK_S", 600.0)
    monkeypatch.setattr(fleet, "MAX_ASK_S", 600.0)
    watch = start_pool(limit=2, resources=Resources(gpu=0, custom={"rare": 1}))
    watch.pool.want(2)
    watch.until(lambda _: asked)
    watch.quiet(1.5)
    n_asked = len(asked)
    assert n_asked <= 2
    node = two_nodes.add_second(resources={"rare": 1})
    watch.slots(1)
    watch.until(lambda _: len(asked) == n_asked + 1)
    watch.pool.launch(a_launch(0, argv=SLEEP))
    os.kill(psutil.Process(watch.one(Started, 0).pid).ppid(), signal.SIGKILL)
    watch.until(lambda _: len(asked) > n_asked + 1)
    two_nodes.remove_node(node, allow_graceful=False)


def test_a_worker_that_ray_has_found_room_for_and_that_never_answers_is_replaced(start_pool, two_nodes, monkeypatch):
    """However long it had waited; while it waits for room it is left alone."""
    import ray

    from orchestrator.execution import reconciler
    from orchestrator.execution.ray import workers as actors

    @ray.remote(num_cpus=0)
    class Deaf:
        def hello(self, *_):
            time.sleep(1000)

    start, deaf = actors.start, []

    def starting(holds, *, node_id, package):
        if node_id is not None or deaf:
            return start(holds, node_id=node_id, package=package)
        deaf.append(Deaf.options(resources={"late": 1}).remote())
        return deaf[0]

    monkeypatch.setattr(actors, "start", starting)
    monkeypatch.setattr(reconciler, "START_S", 1.0)
    monkeypatch.setattr(pool_module, "PLACED_S", 0.2)
    watch = start_pool(limit=1, resources=Resources(gpu=0, custom={"late": 1}))
    watch.pool.want(1)
    watch.until(lambda _: deaf)
    watch.quiet(2.5)
    assert two_nodes.connection.places(deaf) == [None]
    node = two_nodes.add_second(resources={"late": 1})
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(deaf[0].hello.remote(), timeout=60)
    monkeypatch.undo()
    watch.slots(1)
    two_nodes.remove_node(node, allow_graceful=False)


def test_a_node_on_which_every_program_fails_costs_its_place_and_no_trial(start_pool, two_nodes, tmp_path):
    """A real cluster whose third node lacks what the program needs: its trials run on the others, and it gets no more."""
    made = Sweep(tmp_path, NEEDS_A_GOOD_NODE)
    bad = two_nodes.add_second(env_vars={"MISSING": "yes"})
    watch = start_pool(resources=Resources(gpu=2), runs_dir=tmp_path, cwd=str(tmp_path))
    watch.slots(3)
    watch.pool.clock = time.monotonic
    end = made.run(watch.pool)
    assert (end.exit_code, made.states()) == (ExitCode.DONE, ["finished"] * 10)
    (note,) = [note for note in made.watch.notes if "gets no more trials" in note]
    assert f"node {socket.gethostname()} gets no more trials" in note
    two_nodes.remove_node(bad, allow_graceful=False)


def test_a_worker_that_hears_nothing_ends_itself_and_its_trials(start_pool, a_launch, gone):
    """The lease: a controller that is cut off may start the attempt elsewhere, so it ends here."""
    watch = start_pool(limit=1, lease_s=1.0)
    watch.slots(1)
    watch.pool.launch(a_launch(0, argv=SLEEP))
    pid = watch.one(Started, 0).pid
    worker = psutil.Process(pid).ppid()
    watch.pool._closing.set()
    assert gone(pid)
    assert gone(worker)


def test_thousands_of_reports_pass_in_order_and_without_loss(start_pool, a_launch):
    """A program that reports in a tight loop, to a controller that looks away in between."""
    code = "f=open(__import__('os').environ['REPORTS'],'a')\nfor i in range(20000): f.write('{\"loss\": %d}\\n' % i)"
    watch = start_pool(limit=1)
    watch.slots(1)
    watch.pool.launch(a_launch(0, argv=(sys.executable, "-S", "-c", code)))
    time.sleep(0.5)
    assert watch.one(Ended, 0).cause is Cause.FINISHED
    reports = [r for e in watch.of(Reported, 0) for r in e.reports]
    assert [r.index for r in reports] == list(range(20000))
    assert [r.metrics["loss"] for r in reports] == list(range(20000))


def test_calls_that_get_lost_are_repeated_and_answers_that_get_lost_come_again(start_pool, a_launch, monkeypatch):
    """A network that drops every third answer and the first launch: each event still arrives once, in order."""
    from orchestrator.execution.ray import workers as actors

    answer, count = actors.answer, iter(range(10**9))

    def dropping(call):
        value = answer(call)
        return actors.Silence(reason="dropped") if isinstance(value, bytes) and next(count) % 3 == 0 else value

    monkeypatch.setattr(actors, "answer", dropping)
    monkeypatch.setattr(telling, "REPEAT_S", 0.5)
    watch = start_pool(limit=2)
    watch.slots(2)
    calls, dropped = watch.pool._telling, []
    launch = calls.launch
    monkeypatch.setattr(calls, "launch", lambda *given: launch(*given) if dropped else dropped.append(given))
    for trial in range(2):
        program = 'for i in 0 1 2 3; do echo "{\\"loss\\": $i}" >> $REPORTS; sleep 0.2; done'
        watch.pool.launch(a_launch(trial, argv=("/bin/sh", "-c", program)))
    for trial in range(2):
        watch.one(Ended, trial)
        assert len(watch.of(Started, trial)) == 1
        assert [r.index for e in watch.of(Reported, trial) for r in e.reports] == [0, 1, 2, 3]


def test_a_killed_worker_is_lost_at_once(start_pool, a_launch, gone):
    """SIGKILL on the actor is known from its node: its attempts do not wait for a lease to run out."""
    watch = start_pool(limit=1, lease_s=600.0)
    watch.slots(1)
    watch.pool.launch(a_launch(0, argv=SLEEP))
    pid = watch.one(Started, 0).pid
    os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
    assert watch.one(Ended, 0).cause is Cause.WORKER_LOST
    assert gone(pid)
    watch.slots(1)


def test_a_worker_that_hangs_counts_as_lost_when_its_lease_is_over(start_pool, a_launch, gone):
    """A frozen worker answers nothing and cannot tell: its attempt is `node_lost`, and it ends when it thaws."""
    watch = start_pool(limit=1, lease_s=LEASE_S)
    watch.slots(1)
    watch.pool.launch(a_launch(0, argv=SLEEP))
    pid = watch.one(Started, 0).pid
    worker = psutil.Process(pid).parent()
    worker.suspend()
    ended = watch.one(Ended, 0)
    assert ended.cause is Cause.NODE_LOST
    assert "does not answer" in ended.error
    with contextlib.suppress(psutil.NoSuchProcess):
        worker.resume()
    assert gone(pid)
    watch.slots(1)


def test_a_launch_that_the_runner_refuses_ends_at_once(start_pool, a_launch):
    """What cannot be started is an end with its reason, not a trial that never begins."""
    watch = start_pool(limit=1)
    watch.slots(1)
    watch.pool.launch(a_launch(0, argv=("/no/such/program",)))
    ended = watch.one(Ended, 0)
    assert (ended.cause, "No such file" in ended.error) == (Cause.NOT_STARTED, True)
    assert watch.pool.capacity().free == 1


def test_capacity_keeps_to_the_limit(start_pool):
    """A limit is the number of slots, spread over the nodes."""
    watch = start_pool(limit=3)
    watch.slots(3)
    watch.quiet(1.5)
    assert (watch.pool.capacity().slots, watch.pool.capacity().free) == (3, 3)
