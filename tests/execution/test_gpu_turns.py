import collections
import multiprocessing
import pickle
import threading
import time
from types import SimpleNamespace

import pytest

from orchestrator.execution import gpu_turns
from orchestrator.execution.gpu_turns import GpuTurns, holders, lock_dir
from orchestrator.execution.ray.worker import Worker
from orchestrator.trial.contract.events import Cause, Ended
from tests.execution.conftest import build_launch
from tests.waiting import until


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Looks often, so that a test's short trials are not all waiting."""
    monkeypatch.setattr(gpu_turns, "LOOK_S", 0.002)
    monkeypatch.setattr(gpu_turns, "RETURN_S", 0.02)


def wait(turns, key):
    """Expect an attempt and wait for its turn."""
    turns.expect(key)
    return turns.wait(key)


def used(directory, n_sweeps, seconds, trial_s):
    """Run trials of sweeps back to back on eight GPUs, a worker of each sweep on each of them.

    Returns the seconds that each sweep had, and the GPUs that two trials had at once.
    """
    holding, had, trouble = collections.Counter(), collections.Counter(), []
    guard, end_s = threading.Lock(), time.monotonic() + seconds

    def work(sweep, gpu):
        turns = GpuTurns([str(gpu)], f"sweep {sweep}", directory)
        trial = 0
        while time.monotonic() < end_s:
            assert wait(turns, trial)
            began_s = time.monotonic()
            with guard:
                holding[gpu] += 1
                trouble.extend([gpu] * (holding[gpu] > 1))
            time.sleep(trial_s(sweep))
            with guard:
                holding[gpu] -= 1
                had[sweep] += max(0.0, min(end_s, time.monotonic()) - began_s)
            turns.release(trial)
            time.sleep(trial_s(sweep) / 10)  # until the next one is proposed
            trial += 1

    threads = [threading.Thread(target=work, args=(s, g)) for s in range(n_sweeps) for g in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [had[sweep] for sweep in range(n_sweeps)], trouble


@pytest.mark.parametrize(("n_sweeps", "least"), [(2, 0.1), (10, 0.0)])
def test_no_gpu_is_ever_with_two_and_every_sweep_has_its_part(tmp_path, n_sweeps, least):
    """Eight GPUs, trials back to back, of some sweeps three times as long; how even the parts are is for the long run.

    Eighty threads that look every two milliseconds leave two cores no time for trials: of ten sweeps one may have none.
    """
    sums = [0.0] * n_sweeps
    for _ in range(10):  # on a busy machine threads may not run for seconds
        had, trouble = used(tmp_path, n_sweeps, 3, lambda sweep: 0.03 if sweep % 2 else 0.01)
        assert not trouble
        sums = [sum(pair) for pair in zip(sums, had, strict=True)]
        if 0 < least * max(sums) <= min(sums) or 0 == least < max(sums):
            return
    raise AssertionError(sums)


@pytest.mark.soak
@pytest.mark.parametrize("n_sweeps", [2, 10])
def test_after_a_minute_shares_are_within_a_tenth_of_fair(tmp_path, n_sweeps, monkeypatch):
    """With the pace that users have, and trials of one sweep four times as long as those of the next."""
    monkeypatch.undo()
    had, trouble = used(tmp_path, n_sweeps, 60, lambda sweep: 0.8 if sweep % 2 else 0.2)
    assert not trouble
    fair = sum(had) / n_sweeps
    assert all(0.9 * fair < each < 1.1 * fair for each in had), had


def test_who_comes_late_saved_no_time_up_and_who_stays_away_is_not_waited_for(tmp_path):
    """A newcomer begins where the others are; what a dead one left in the queue goes."""
    first, late = GpuTurns(["0"], "first", tmp_path), GpuTurns(["0"], "late", tmp_path)
    for trial in range(5):
        assert wait(first, trial)
        time.sleep(0.02)
        first.release(trial)
    (tmp_path / "sweep-gpu-0.next-dead").write_text('{"who": "dead", "tag": -5, "pid": 1}')
    assert wait(late, 0)
    time.sleep(0.01)
    late.release(0)
    path = tmp_path / "sweep-gpu-0"
    assert 0.06 < late._had_s[path] < first._had_s[path] + 1
    assert [each.name for each in tmp_path.iterdir()] == ["sweep-gpu-0"]


@pytest.mark.parametrize(
    "said",
    [
        "",
        "[]",
        "[" * 4096,
        '{"who": 1}',
        '{"who": "x", "pid": Infinity}',
        '{"free_s": "x", "tag": -1, "then": null}',
        '{"tag": 1e300}',
    ],
)
def test_what_another_user_wrote_into_a_lock_is_not_believed(tmp_path, said):
    """Whatever it is, the GPU is taken, and who has it can be asked."""
    path = tmp_path / "sweep-gpu-0"
    path.write_text(said)
    with gpu_turns._locked(path):
        assert holders(tmp_path) == [("0", "somebody", "")]
    assert wait(GpuTurns(["0"], "me", tmp_path), 1)


def hold(directory, taken):
    turns = GpuTurns(["0", "1"], "sweep killed", directory)
    wait(turns, "trial")
    taken.set()
    time.sleep(600)


def test_a_killed_process_holds_nothing_and_who_has_what_can_be_seen(tmp_path):
    """The kernel gives a lock back with its process; two GPUs are taken together."""
    context = multiprocessing.get_context("spawn")
    taken = context.Event()
    process = context.Process(target=hold, args=(tmp_path, taken))
    process.start()
    assert taken.wait(60)
    mine = GpuTurns(["1"], "sweep mine", tmp_path)
    waiting = threading.Thread(target=wait, args=(mine, "t"))
    waiting.start()
    while not holders(tmp_path)[1][2].startswith("sweep mine"):
        time.sleep(0.01)
    assert [who.partition(" (")[0] for _, *both in holders(tmp_path) for who in both] == [
        "sweep killed",
        "",
        "sweep killed",
        "sweep mine",
    ]
    process.kill()
    process.join()
    waiting.join(10)
    assert [(gpu, who.partition(" (")[0]) for gpu, who, _ in holders(tmp_path)] == [("1", "sweep mine")]


def test_attempts_that_share_a_gpu_hold_it_together_until_somebody_else_waits(tmp_path):
    """Trials of one sweep on parts of a GPU run side by side; the next one waits behind another sweep."""
    mine, other = GpuTurns(["0"], "mine", tmp_path), GpuTurns(["0"], "other", tmp_path)
    assert wait(mine, 1)
    assert wait(mine, 2)
    theirs = threading.Thread(target=wait, args=(other, 9))
    theirs.start()
    while not holders(tmp_path)[0][2]:
        time.sleep(0.005)
    third = threading.Thread(target=wait, args=(mine, 3))
    third.start()
    mine.release(1)
    mine.release(2)
    theirs.join(10)
    assert holders(tmp_path)[0][1].startswith("other")
    assert mine.withdraw(3)
    third.join(10)
    assert not mine.withdraw(3)


def test_what_is_no_lock_is_not_followed(tmp_path):
    """A link that somebody laid in a place that is everybody's leads nowhere."""
    victim = tmp_path / "precious"
    victim.write_text("data")
    (tmp_path / "sweep-gpu-0").symlink_to(victim)
    (tmp_path / "sweep-gpu-1").hardlink_to(victim)
    for gpu in ("0", "1"):
        with pytest.raises(OSError):
            wait(GpuTurns([gpu], "me", tmp_path), 1)
    assert victim.read_text() == "data"


class Runner:
    """Runs nothing: an attempt ends when the test says so. `threads` are those that launched."""

    def __init__(self):
        self.launched, self.threads, self.over, self.allowed, self.told = [], [], [], [], []

    def launch(self, launch):
        self.threads.append(threading.current_thread())
        self.launched.append(launch.trial)

    def allow(self, trial, attempt, timeout_s):
        self.allowed.append((trial, attempt, timeout_s))

    def tell(self, event):
        self.told.append(event)

    def poll(self, timeout_s):
        time.sleep(min(timeout_s, 0.005))
        over, self.over = self.over, []
        told, self.told = self.told, []
        return [*told, *(Ended(trial=t, attempt=0, time=0.0, cause=Cause.FINISHED, exit_code=0) for t in over)]


def a_worker(directory, who):
    """A worker as `hello` leaves it, without Ray."""
    worker = Worker()
    worker._config = SimpleNamespace(cpus=None, gpus=1.0)
    worker._gpu_ids, worker._runner = ("0",), Runner()
    worker._share(GpuTurns(["0"], who, directory))
    return worker


def ends(worker, n):
    """Poll until so many attempts have ended; their causes by trial."""
    found, batch = {}, 0
    while len(found) < n:
        answer = pickle.loads(worker.poll(batch, 0.05, 0.0, False))
        batch = answer.number
        found |= {event.trial: event.cause for event in answer.events}
    return found


def test_a_worker_starts_its_trial_when_the_other_sweep_s_is_over(tmp_path):
    """Two workers have the same GPU: the second's trial starts after the first's end; one that is stopped never does."""
    first, second = a_worker(tmp_path, "one"), a_worker(tmp_path, "two")
    first.launch(pickle.dumps(build_launch(tmp_path)))
    until(lambda: first._runner.launched)
    for trial in range(2):
        second.launch(pickle.dumps(build_launch(tmp_path, trial)))
    until(lambda: [who for *_, who in holders(tmp_path) if who.startswith("two")])
    second.stop(1, 0, False, None)
    assert second._runner.launched == []
    first._runner.over.append(0)
    assert ends(first, 1) == {0: Cause.FINISHED}
    until(lambda: second._runner.launched == [0])
    assert second._runner.threads[0].is_alive()
    second._runner.over.append(0)
    assert ends(second, 2) == {0: Cause.FINISHED, 1: Cause.STOPPED}
    assert (second._runner.launched, holders(tmp_path)) == ([0], [])


def test_a_worker_keeps_no_limit_of_an_attempt_that_is_over(tmp_path):
    """An attempt that waits for its GPU has the time that it was allowed meanwhile; what is over, or never was, is forgotten."""
    worker, other = a_worker(tmp_path, "one"), a_worker(tmp_path, "two")
    other.launch(pickle.dumps(build_launch(tmp_path, 9)))
    until(lambda: other._runner.launched)
    for trial in range(2):
        worker.launch(pickle.dumps(build_launch(tmp_path, trial)))
        worker.allow(trial, 0, 60.0)
    worker.stop(1, 0, False, None)
    other._runner.over.append(9)
    ends(other, 1)
    until(lambda: worker._runner.allowed.count((0, 0, 60.0)) == 2)
    worker._runner.over.append(0)
    assert ends(worker, 2) == {0: Cause.FINISHED, 1: Cause.STOPPED}
    assert worker._allowed == {}


def test_a_failure_is_told_where_the_node_s_directory_is_gone(tmp_path):
    """Somebody clears what is temporary: whether its disk is full nobody can say then."""
    worker = a_worker(tmp_path, "one")
    worker._node_dir = SimpleNamespace(path=tmp_path / "gone")
    failed = Ended(trial=0, attempt=0, time=0.0, cause=Cause.FAILED, exit_code=1)
    worker._runner.poll = lambda _: [failed]
    assert ends(worker, 1) == {0: Cause.FAILED}


def test_the_locks_lie_where_every_user_s_do(tmp_path, monkeypatch):
    """In a directory that is everybody's and in which nobody can replace a file of another; else nowhere."""
    monkeypatch.delenv("SWEEP_LOCK_DIR")
    everybody, own = tmp_path / "everybody", tmp_path / "own"
    everybody.mkdir()
    everybody.chmod(0o1777)
    own.mkdir()
    monkeypatch.setattr(gpu_turns, "PLACES", (str(tmp_path / "none"), str(own), str(everybody)))
    assert lock_dir() == everybody
    monkeypatch.setattr(gpu_turns, "PLACES", (str(own),))
    assert lock_dir() is None
