"""What every pool does: the same tests for the fake that others build on and for Ray."""

import math
import os
import signal

import psutil
import pytest

from orchestrator.execution.protocol import Placed
from orchestrator.execution.ray.pool import forget_dead_pools
from orchestrator.spec.model import Resources
from orchestrator.trial.contract.events import Cause, Ended, Reported, Started
from tests.execution.conftest import RUNNER
from tests.execution.fake_pool import End, FakePool, Log, Wait

SLOTS = 2

PROGRAMS = {
    "finishes": 'for i in 0 1 2; do echo "{\\"loss\\": $i}" >> $REPORTS; done',
    "fails": "exit 3",
    "sleeps": "sleep 1000",
    "deaf": "trap '' TERM; while true; do sleep 0.1; done",
    "tidies": 'trap \'echo "{\\"loss\\": 9}" >> $REPORTS; exit\' TERM; while true; do sleep 0.05; done',
}


def fake(launch):
    match launch.config["program"]:
        case "finishes":
            yield from (Log({"loss": float(i)}) for i in range(3))
        case "fails":
            yield End(Cause.FAILED, exit_code=3)
        case "sleeps":
            yield Wait(math.inf)
        case "tidies":
            try:
                yield Wait(math.inf)
            except SystemExit:
                yield Log({"loss": 9.0})
        case "deaf":
            while True:
                try:
                    yield Wait(math.inf)
                except SystemExit:
                    continue


@pytest.fixture
def fake_pool():
    return FakePool(SLOTS, fake)


@pytest.fixture
def ray_pool(request, tmp_path):
    from orchestrator.execution.ray.pool import RayPool

    cluster = request.getfixturevalue("local_ray")
    pool = RayPool(cluster, resources=Resources(cpu=2), runs_dir=tmp_path, runner=RUNNER)
    yield pool
    pool.close()


@pytest.fixture(params=["fake", pytest.param("ray", marks=pytest.mark.ray)])
def pool(request):
    return request.getfixturevalue(f"{request.param}_pool")


@pytest.fixture
def watch(pool, watching):
    watch = watching(pool)
    watch.slots(SLOTS)
    return watch


@pytest.fixture
def go(pool, a_launch):
    def launch(program, trial=0, attempt=0):
        pool.launch(a_launch(trial, attempt, argv=("/bin/sh", "-c", PROGRAMS[program]), config={"program": program}))

    return launch


def lose_worker(pool, watch, trial):
    if isinstance(pool, FakePool):
        pool.lose_worker(trial)
        return
    os.kill(psutil.Process(watch.one(Started, trial).pid).ppid(), signal.SIGKILL)


def test_an_attempt_starts_reports_in_order_and_ends_once(pool, watch, go):
    """Placed, then started, consecutive reports, one Ended last; the slot is free again."""
    go("finishes")
    assert pool.capacity().free == SLOTS - 1
    watch.one(Ended, 0)
    watch.quiet()
    mine = [e for e in watch.events if getattr(e, "trial", None) == 0]
    assert [type(event) for event in mine[:2]] == [Placed, Started]
    assert isinstance(mine[-1], Ended)
    assert [r.index for e in watch.of(Reported, 0) for r in e.reports] == [0, 1, 2]
    assert [r.metrics["loss"] for e in watch.of(Reported, 0) for r in e.reports] == [0, 1, 2]
    assert (mine[-1].cause, mine[-1].exit_code) == (Cause.FINISHED, 0)
    assert pool.capacity().free == SLOTS


def test_a_failure_has_its_exit_code(watch, go):
    """A program's own failure is its own cause."""
    go("fails")
    ended = watch.one(Ended, 0)
    assert (ended.cause, ended.exit_code) == (Cause.FAILED, 3)


def test_a_stopped_attempt_may_tidy_up_first(pool, watch, go):
    """SIGTERM lets the program report once more before it ends as stopped."""
    go("tidies")
    watch.one(Started, 0)
    watch.quiet(0.3)
    pool.stop(0, 0)
    assert watch.one(Ended, 0).cause is Cause.STOPPED
    assert [r.metrics["loss"] for e in watch.of(Reported, 0) for r in e.reports] == [9]


def test_kill_does_not_ask(pool, watch, go):
    """`kill=True` ends what ignores SIGTERM, at once."""
    go("deaf")
    watch.one(Started, 0)
    pool.stop(0, 0, kill=True)
    assert watch.one(Ended, 0).cause is Cause.STOPPED


def test_stopping_what_is_unknown_or_over_does_nothing(pool, watch, go):
    """Stop is a wish: an attempt that never was, or is over, is no error."""
    pool.stop(7, 0)
    go("finishes")
    watch.one(Ended, 0)
    pool.stop(0, 0, kill=True)
    watch.quiet()
    assert len(watch.of(Ended, 0)) == 1


def test_launches_beyond_the_slots_wait_for_one(pool, watch, go):
    """Nothing is refused or lost, and never do more attempts run than there are slots."""
    for trial in range(6):
        go("finishes", trial)
    assert pool.capacity().free == 0
    watch.until(lambda w: all(w.of(Ended, trial) for trial in range(6)))
    running = peak = 0
    for event in watch.events:
        running += isinstance(event, Started) - isinstance(event, Ended)
        peak = max(peak, running)
    assert peak <= SLOTS
    assert all(len(watch.of(Ended, trial)) == 1 for trial in range(6))


def test_a_limit_holds_from_now_on(pool, watch, go):
    """Less room for launches at once; what runs goes on, and with the limit gone there is room again."""
    go("sleeps", trial=0)
    watch.one(Started, 0)
    pool.limit(1)
    assert (pool.capacity().slots, pool.capacity().free) == (1, 0)
    pool.limit(None)
    assert (pool.capacity().slots, pool.capacity().free) == (SLOTS, SLOTS - 1)


def test_a_waiting_launch_that_is_stopped_never_starts(pool, watch, go):
    """Stopping what still waits ends it without a process."""
    for trial in range(SLOTS):
        go("sleeps", trial)
    go("finishes", 5)
    pool.stop(5, 0)
    assert watch.one(Ended, 5).cause is Cause.STOPPED
    assert not watch.of(Started, 5)


def test_a_lost_worker_ends_its_attempts_once_and_is_replaced(pool, watch, go, gone):
    """Exactly one `worker_lost` per attempt, no word of it afterwards, and the slots come back."""
    go("sleeps", 0)
    started = watch.one(Started, 0)
    lose_worker(pool, watch, 0)
    assert watch.one(Ended, 0).cause is Cause.WORKER_LOST
    go("finishes", 0, attempt=1)
    assert watch.one(Ended, 0, attempt=1).cause is Cause.FINISHED
    watch.slots(SLOTS)
    watch.quiet()
    assert len(watch.of(Ended, 0)) == 1
    assert isinstance(pool, FakePool) or gone(started.pid)


def test_poll_returns_nothing_after_its_time(pool, watch):
    """Without events the answer is an empty list, not a wait."""
    watch.quiet()
    assert pool.poll(0.05) == []


def test_close_kills_what_runs_and_may_be_called_twice(pool, watch, go, gone):
    """Nothing outlives the pool."""
    go("deaf", 0)
    started = watch.one(Started, 0)
    pool.close()
    pool.close()
    assert isinstance(pool, FakePool) or gone(started.pid)


def test_what_killed_pools_left_is_removed(tmp_path):
    """Their proofs go; whatever else lies in the sweep's directory stays."""
    for name in (".pool-0a1b2c3d", ".pool-ffffffff", "trials.csv"):
        (tmp_path / name).touch()
    forget_dead_pools(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["trials.csv"]
