"""Trials on a node that does not see the runs directory: their files arrive as if it did."""

import errno
import hashlib
import os
import random
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from orchestrator.execution.ray import pool as pool_module
from orchestrator.execution.ray import shipping, starting
from orchestrator.execution.ray.worker import Worker
from orchestrator.execution.reconciler import START_S
from orchestrator.execution.registry import WorkerHandle
from orchestrator.execution.shares import Claim
from orchestrator.execution.shipping.baggage import Baggage
from orchestrator.execution.shipping.outbox import Shipment, Shipped
from orchestrator.execution.shipping.parts import Arrive, Piece
from orchestrator.spec.model import Resources
from orchestrator.trial.contract.events import Cause, Ended, Started
from tests.disks import fill, small_disk
from tests.execution.conftest import RUNNER

pytestmark = pytest.mark.ray


@pytest.fixture
def start_pool(local_ray, tmp_path, watching, monkeypatch):
    """A pool whose workers look for the runs directory where it is not."""
    config = starting.WorkerConfig
    monkeypatch.setattr(starting, "WorkerConfig", lambda **given: config(**(given | {"proof_path": "/nowhere"})))
    (tmp_path / "node").mkdir()
    monkeypatch.setitem(local_ray.environ, "SWEEP_NODE_DIR", str(tmp_path / "node"))
    pools = []

    def start(**settings):
        settings = {
            "resources": Resources(cpu=1),
            "runs_dir": tmp_path / "sweep",
            "runner": RUNNER,
            "limit": 2,
        } | settings
        pools.append(pool_module.RayPool(local_ray, **settings))
        return watching(pools[-1])

    (tmp_path / "sweep").mkdir()
    yield start
    for pool in pools:
        pool.close()
    assert not any((tmp_path / "node").iterdir())
    assert not (tmp_path / "sweep/.arriving").exists()


@pytest.fixture
def launch(a_launch, tmp_path):
    """A launch of a shell program, in its trial's directory."""

    def build(trial, script, attempt=0, **more):
        place = tmp_path / f"sweep/trials/{trial:04d}"
        place.mkdir(parents=True, exist_ok=True)
        (place / "config.yaml").write_text("x: 1")
        argv = ("/bin/sh", "-c", f'cd "$(dirname "$REPORTS")"; {script}')
        return a_launch(trial, attempt=attempt, argv=argv, trial_dir=str(place), cwd="/", **more)

    return build


def seen(path):
    """What a file says, empty where it is not there."""
    return path.read_text() if path.exists() else ""


def wait_for(watch, condition):
    watch.until(lambda _: condition())


def share(pool, others):
    """Let other sweeps be on the cluster, by their claims."""
    pool._claims = SimpleNamespace(
        others=lambda _: others, heard_s=lambda _: 0.0, write=lambda _: None, leave=lambda: None
    )


WRITES = """
cat config.yaml; echo begun
mkdir -p checkpoints/deep; ln -s checkpoints/deep latest
head -c 20000000 /dev/urandom > checkpoints/tmp; mv checkpoints/tmp checkpoints/deep/model.pt
head -c 3000 /dev/urandom > best.bin; head -c 3000 /dev/urandom > best.bin
n=0; while [ $n -lt 300 ]; do n=$((n+1)); echo $n > checkpoints/part-$n; done
while [ ! -e %s ]; do sleep 0.05; done
rm checkpoints/part-7
find . -type f ! -name output.log ! -name 'reports*' ! -name SUMS -exec sha256sum {} + > SUMS
echo over
"""


def test_everything_that_a_trial_writes_arrives_before_its_end(start_pool, launch, tmp_path):
    """Its log while it runs; at its end every file, byte for byte, by the sums that the node took, and nothing else."""
    watch = start_pool()
    watch.pool.launch(launch(0, WRITES % (tmp_path / "go")))
    place = tmp_path / "sweep/trials/0000"
    wait_for(watch, lambda: "begun" in seen(place / "output.log"))
    wait_for(watch, (place / "checkpoints/part-300").exists)
    assert not watch.of(Ended, 0)
    (tmp_path / "go").touch()
    assert watch.one(Ended, 0).cause is Cause.FINISHED
    assert seen(place / "output.log") == "x: 1begun\nover\n"
    sums = dict(reversed(line.split("  ./")) for line in seen(place / "SUMS").splitlines())
    found = {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in place.rglob("*")
        if path.is_file() and "latest" not in path.parts
    }
    assert len(sums) == 302
    assert {name: found.get(name) for name in sums} == sums
    assert found.keys() - sums.keys() == {"output.log", "reports-0.jsonl", "SUMS"}
    assert (place / "latest").readlink() == Path("checkpoints/deep")


def test_a_further_attempt_finds_its_checkpoint_on_another_worker(start_pool, launch, tmp_path):
    """What had arrived when its worker was killed; nothing of that worker is written after its loss was told."""
    watch = start_pool(limit=1)
    save = "echo 41 > checkpoints/step; echo saved; exec sleep 1000"
    watch.pool.launch(launch(0, f"mkdir checkpoints; {save}"))
    place = tmp_path / "sweep/trials/0000"
    wait_for(watch, lambda: "41" in seen(place / "checkpoints/step"))
    os.kill(psutil.Process(watch.one(Started, 0).pid).ppid(), signal.SIGKILL)
    assert watch.one(Ended, 0).cause is Cause.WORKER_LOST
    watch.pool.launch(launch(0, "cat checkpoints/step >> again; cat reports-0.jsonl", attempt=1))
    assert watch.one(Ended, 0, attempt=1).cause is Cause.FINISHED
    assert seen(place / "again") == "41\n"
    assert seen(place / "output.log") == "saved\n"
    assert {path.name for path in place.iterdir()} >= {"reports-0.jsonl", "reports-1.jsonl", "config.yaml"}


def test_a_further_attempt_on_the_same_worker_goes_on_with_what_is_there(start_pool, launch, tmp_path):
    """Nothing travels twice."""
    watch = start_pool(limit=1)
    watch.pool.launch(launch(0, "echo 1 > a; exit 3"))
    assert watch.one(Ended, 0).cause is Cause.FAILED
    watch.pool.launch(launch(0, "cat a >> b; rm a", attempt=1))
    watch.one(Ended, 0, attempt=1)
    place = tmp_path / "sweep/trials/0000"
    assert seen(place / "b") == "1\n"
    assert not (place / "a").exists()


def test_a_full_disk_here_is_said_and_costs_nothing(start_pool, launch, tmp_path):
    """Files wait on their node, the end with them, until there is room; then they are whole."""
    with small_disk(tmp_path / "sweep", "8m"):
        watch = start_pool()
        trial = launch(0, "head -c 3000000 /dev/urandom > a; sha256sum a > sum; echo over")
        ballast = fill(tmp_path / "sweep")
        watch.pool.launch(trial)
        watch.until(lambda w: any("files of trials on node" in text for text in w.pool.capacity().remarks))
        (text,) = watch.pool.capacity().remarks
        assert "cannot be written: No space left on device" in text
        assert str(tmp_path / "sweep") in text
        watch.quiet(0.3)
        assert not watch.of(Ended, 0)
        ballast.unlink()
        assert watch.one(Ended, 0).cause is Cause.FINISHED
        place = tmp_path / "sweep/trials/0000"
        assert hashlib.sha256((place / "a").read_bytes()).hexdigest() == seen(place / "sum").split()[0]
        assert seen(place / "output.log") == "over\n"
        watch.until(lambda w: not w.pool.capacity().remarks)
        watch.pool.close()
        assert not (tmp_path / "sweep/.arriving").exists()


def test_a_full_disk_on_a_node_is_said_and_what_was_written_arrives(start_pool, launch, tmp_path):
    """Though neither log nor end record have room for it; a further trial whose files find none is told why."""
    with small_disk(tmp_path / "node", "4m"):
        watch = start_pool(limit=1)
        save = "head -c 1000000 /dev/urandom > kept; sha256sum kept > sum; head -c 9000000 /dev/zero > more || exit 3"
        watch.pool.launch(launch(0, save))
        ended = watch.one(Ended, 0)
        assert ended.cause is Cause.FAILED
        assert ended.error.startswith(f"the disk of {tmp_path / 'node'}/sweep-node-")
        place = tmp_path / "sweep/trials/0000"
        assert hashlib.sha256((place / "kept").read_bytes()).hexdigest() == seen(place / "sum").split()[0]
        again = launch(1, "true")
        (tmp_path / "sweep/trials/0001/model").write_bytes(bytes(5_000_000))
        watch.pool.launch(again)
        ended = watch.one(Ended, 1)
        assert ended.cause is Cause.NOT_STARTED
        assert "its files cannot be kept on node" in ended.error
        assert "No space left on device" in ended.error
        watch.pool.close()
        assert not any((tmp_path / "node").iterdir())


def test_what_is_written_after_the_end_arrives_too(start_pool, launch, tmp_path):
    """W&B's core may write on when a trial has ended; closing waits for it."""
    watch = start_pool()
    watch.pool.launch(launch(0, "(trap '' HUP; sleep 0.5; echo late > late) & sleep 0.1"))
    watch.one(Ended, 0)
    time.sleep(1)
    watch.pool.close()
    assert seen(tmp_path / "sweep/trials/0000/late") == "late\n"


def test_a_worker_whose_turn_is_over_goes_once_everything_is_here(start_pool, launch, tmp_path):
    """Also what is written after its trial has ended; its place on the node is empty then."""
    watch = start_pool(limit=1)
    watch.slots(1)
    waiting = {"other": Claim(needs={"CPU": 4.0}, held=0, wanted=1, had_s=-9.0)}
    go = tmp_path / "go"
    watch.pool.launch(launch(0, f"(trap '' HUP; sleep 0.5; echo late > late) & until test -e {go}; do sleep 0.1; done"))
    watch.one(Started, 0)
    share(watch.pool, waiting)
    watch.until(lambda w: w.pool._turns.are_shared)
    go.touch()
    watch.one(Ended, 0)
    watch.until(lambda w: not w.pool._registry.workers)
    assert seen(tmp_path / "sweep/trials/0000/late") == "late\n"
    assert not any((tmp_path / "node").iterdir())
    waiting.clear()
    watch.slots(1)


def test_a_worker_that_goes_without_a_trial_is_given_none(start_pool, launch):
    """While the rest is fetched from it, it has no free slot; what is launched meanwhile runs when the turn is back."""
    watch = start_pool(limit=1)
    watch.slots(1)
    waiting = {"other": Claim(needs={"CPU": 4.0}, held=0, wanted=1, had_s=-9.0)}
    share(watch.pool, waiting)
    watch.until(lambda w: any(worker.yields for worker in w.pool._registry.workers))
    watch.pool.launch(launch(0, "true"))
    waiting.clear()
    assert watch.one(Ended, 0).cause is Cause.FINISHED


def test_what_has_arrived_stays_when_a_worker_goes_before_the_rest(start_pool, launch, tmp_path, monkeypatch):
    """The disk here is full for as long as it is waited for: that directories go on the node then is no news of trials."""
    is_full, apply = threading.Event(), shipping.Receiver.apply

    def written(*given):
        if is_full.is_set():
            raise OSError(errno.ENOSPC, "full")
        return apply(*given)

    monkeypatch.setattr(shipping.Receiver, "apply", written)
    monkeypatch.setattr(shipping, "DRAIN_S", 0.0)
    monkeypatch.setattr(shipping, "AGAIN_S", 0.05)
    watch = start_pool(limit=1)
    watch.slots(1)
    watch.pool.launch(launch(0, "echo kept > kept; (trap '' HUP; sleep 2; echo late > late) & sleep 0.1"))
    watch.one(Ended, 0)
    is_full.set()
    (route,) = watch.pool._shipping._routes.values()
    watch.until(lambda _: route.arrived)
    waiting = {"other": Claim(needs={"CPU": 4.0}, held=0, wanted=1, had_s=-9.0)}
    share(watch.pool, waiting)
    watch.until(lambda _: route.removal is not None)
    is_full.clear()
    watch.until(lambda w: not w.pool._registry.workers)
    assert seen(tmp_path / "sweep/trials/0000/kept") == "kept\n"


def test_a_closed_worker_waits_for_the_rest_without_a_busy_loop(tmp_path):
    """Its runner answers at once by then; who reads and sends the rest needs the processor."""
    worker, polls = Worker(), []
    worker._node_dir = SimpleNamespace(path=tmp_path)
    worker._runner = SimpleNamespace(poll=lambda _: polls.append(1) or [], close=lambda: None)
    worker.close()
    worker.poll(0, 0.3, 0.0, False)
    assert len(polls) < 100


def test_a_worker_that_writes_where_none_may_is_given_up(start_pool, launch, tmp_path):
    """A folder here has become a link: nothing is written through it, and the attempt ends with that as its cause."""
    watch = start_pool(limit=1)
    place = tmp_path / "sweep/trials/0000"
    watch.pool.launch(
        launch(0, f"mkdir d; echo 1 > d/x; until test -e {tmp_path}/go; do sleep 0.1; done; echo 2 > d/y")
    )
    wait_for(watch, (place / "d/x").exists)
    (place / "d").rename(tmp_path / "elsewhere")
    (place / "d").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "go").touch()
    ended = watch.one(Ended, 0)
    assert ended.cause is Cause.WORKER_LOST
    assert "sends files to places where none may be: 'd/y' leads through a link" in ended.error
    assert not (tmp_path / "elsewhere/y").exists()
    watch.slots(1)  # the next worker removes what the last one left


def test_nothing_of_a_trials_time_before_elsewhere_gets_into_its_files(tmp_path):
    """From one worker to another and back: what was half there is no part of what comes later with the same number."""
    calls = SimpleNamespace(remote=lambda *_: None)
    actor = SimpleNamespace(launch=calls, take=calls)
    first, second = (WorkerHandle(actor=actor, slots=1, node=None, since_s=0.0) for _ in range(2))
    carried = shipping.Shipping(tmp_path)
    for worker in (first, second):
        carried._routes[worker] = shipping._Route(worker=worker, staging=tmp_path / f"{id(worker)}")

    def arrives(attempt, *parts):
        shipped = Shipped(trial=0, attempt=attempt, parts=parts, settles=False)
        carried._do(carried._routes[first], Shipment(number=attempt + 1, shipped=[shipped]))

    carried.launch(first, (0, 0), b"")
    arrives(0, Piece(1, 0, b"old"))
    carried.launch(second, (0, 1), b"")
    carried.launch(first, (0, 2), b"")
    arrives(2, Piece(1, 5, b"new"), Arrive(1, "m", 8, 0o644, 0))
    assert (tmp_path / "trials/0000/m").read_bytes() == bytes(5) + b"new"


def test_the_sweeps_own_files_are_there(start_pool, launch, tmp_path):
    """A function that trials run, say; and words that name a path in the sweep's directory mean the same there."""
    watch = start_pool(baggage=Baggage(files={"function.pkl": b"pickled"}))
    watch.pool.launch(launch(0, f"cat {tmp_path}/sweep/function.pkl > copy"))
    watch.one(Ended, 0)
    assert seen(tmp_path / "sweep/trials/0000/copy") == "pickled"


def test_a_node_without_room_is_named(start_pool, tmp_path, monkeypatch, local_ray):
    """Where no directory can be made, no trial goes."""
    monkeypatch.setitem(local_ray.environ, "SWEEP_NODE_DIR", "/proc/nowhere")
    watch = start_pool()
    told = f"does not see {tmp_path}/sweep, and cannot keep trials itself"
    watch.until(lambda w: any(told in warning for warning in w.pool.capacity().warnings))


def test_a_node_without_the_project_is_named(start_pool, tmp_path):
    """With what makes it go along."""
    watch = start_pool(cwd=str(tmp_path / "gone"))
    told = "gone: run with --pin"
    watch.until(lambda w: any(told in warning for warning in w.pool.capacity().warnings))


SAVES = """
n=0; while :; do n=$((n+1))
  head -c $((n * 70000 % 3000000)) /dev/urandom > data; (sha256sum < data; cat data) > tmp; mv tmp checkpoint; echo line $n
done
"""


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_whatever_is_killed_while_files_travel_nothing_is_torn(start_pool, launch, tmp_path):
    """A hundred kills of a worker at random moments: each further attempt finds a whole checkpoint, and a log without gaps."""
    rng = random.Random(0)
    watch = start_pool(limit=1)
    watch.patience_s = 1.5 * START_S  # where Ray never starts a worker, the pool asks for another
    place = tmp_path / "sweep/trials/0000"
    for attempt in range(100):
        check = "test ! -e checkpoint || (head -c 64 checkpoint; tail -c +69 checkpoint | sha256sum) > found"
        watch.pool.launch(launch(0, f"{check}; echo attempt {attempt}; {SAVES}", attempt=attempt))
        pid = watch.one(Started, 0, attempt=attempt).pid
        watch.quiet(rng.random() * 2)
        os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
        assert watch.one(Ended, 0, attempt=attempt).cause is Cause.WORKER_LOST
        checkpoint = place / "checkpoint"
        if checkpoint.exists():
            digest, _, content = checkpoint.read_bytes().partition(b"  -\n")
            assert hashlib.sha256(content).hexdigest() == digest.decode()
        if (place / "found").exists():
            found = (place / "found").read_text()
            assert found[:64] == found[64:128]
        numbers = seen(place / "output.log").split("attempt ")[-1].split("line ")[1:]
        assert [int(number) for number in numbers[:-1]] == list(range(1, len(numbers)))
    watch.slots(1)  # the next worker removes what the last one left
