"""What the fake adds to the contract: virtual time, and faults on demand."""

from orchestrator.execution.protocol import CapacityChanged, Placed
from orchestrator.trial.contract.events import Cause, Ended, Reported, Started
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind
from tests.execution.fake_pool import End, FakePool, Log, Wait


def a_launch(trial=0, attempt=0, **changes):
    fields = {
        "sweep_id": "k3x9w2ab",
        "sweep_name": "digits",
        "trial": trial,
        "attempt": attempt,
        "trial_dir": f"/runs/{trial:04d}",
        "cwd": "/",
        "program": Program(kind=ProgramKind.SCRIPT, target="train.py"),
        "argv": ("python", "train.py"),
        "config": {},
        "metric": "loss",
        "grace_s": 5.0,
    }
    return Launch(**(fields | changes))


def drain(pool, until_s=1000.0):
    events = []
    while pool.clock() < until_s:
        events += pool.poll(until_s - pool.clock())
    return events


def ends(events):
    return {(e.trial, e.attempt): e.cause for e in events if isinstance(e, Ended)}


def test_time_passes_only_in_poll_and_exactly_as_the_script_says():
    """A script's delays are virtual: each poll moves the clock to the next event."""

    def script(_):
        yield Log({"loss": 2.0}, after_s=60)
        yield Log({"loss": 1.0}, after_s=30)

    pool = FakePool(1, script)
    pool.launch(a_launch())
    assert [type(e) for e in pool.poll(1)] == [Placed, Started]
    assert pool.poll(1) == []
    assert pool.clock() == 1
    (reported,) = pool.poll(1000)
    assert (pool.clock(), reported.reports[0].metrics) == (60, {"loss": 2.0})
    reported, ended = pool.poll(1000)
    assert (pool.clock(), reported.reports[0].index, ended.cause) == (90, 1, Cause.FINISHED)


def test_a_script_that_catches_sigterm_is_killed_when_its_grace_is_over():
    """SIGTERM is SystemExit inside the script; one that goes on is killed after `grace_s`."""

    def deaf(_):
        while True:
            try:
                yield Wait(100)
            except SystemExit:
                yield Log({"loss": 0.0})

    pool = FakePool(1, deaf)
    pool.launch(a_launch())
    pool.at(10, lambda: pool.stop(0, 0))
    events = drain(pool, 50)
    assert [type(e) for e in events] == [Placed, Started, Reported, Ended]
    assert (events[-1].cause, events[-1].signal, events[-1].time - events[1].time) == (Cause.STOPPED, 9, 15)


def test_a_trial_past_its_timeout_times_out():
    """`Launch.timeout_s` ends a hanging trial with its own cause."""
    pool = FakePool(1, lambda _: [Wait(float("inf"))])
    pool.launch(a_launch(timeout_s=20))
    assert ends(drain(pool, 30)) == {(0, 0): Cause.TIMED_OUT}


def test_a_lost_worker_ends_its_trial_once_and_is_replaced():
    """A worker's death takes one slot away until its replacement is up."""
    pool = FakePool(2, lambda _: [Wait(10)])
    pool.launch(a_launch(0))
    pool.launch(a_launch(1))
    pool.at(5, lambda: pool.lose_worker(0, replaced_after_s=3))
    events = drain(pool)
    assert ends(events) == {(0, 0): Cause.WORKER_LOST, (1, 0): Cause.FINISHED}
    assert [e.capacity.slots for e in events if isinstance(e, CapacityChanged)] == [1, 2]


def test_a_lost_node_ends_everything_on_it_and_a_joining_one_takes_what_waits():
    """Nodes come and go with their slots; a launch that found its slot gone waits for the next one."""
    pool = FakePool([1, 1], lambda _: [Wait(10)])
    pool.launch(a_launch(0))
    pool.launch(a_launch(1))
    pool.at(2, lambda: pool.lose_node(1, cause=Cause.PREEMPTED))
    pool.at(3, lambda: pool.launch(a_launch(1, 1)))
    pool.at(4, lambda: pool.join(3))
    events = drain(pool)
    assert ends(events) == {(0, 0): Cause.FINISHED, (1, 0): Cause.PREEMPTED, (1, 1): Cause.FINISHED}
    assert pool.capacity().slots == 4


def test_a_script_says_how_its_trial_ends():
    """Cause, exit code, error and log tail are the script's."""
    pool = FakePool(1, lambda _: [End(Cause.FAILED, exit_code=3, error="ValueError: bad lr", log_tail=("boom",))])
    pool.launch(a_launch())
    (ended,) = [e for e in pool.poll(1) if isinstance(e, Ended)]
    assert (ended.exit_code, ended.error, ended.log_tail) == (3, "ValueError: bad lr", ("boom",))
