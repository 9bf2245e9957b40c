import functools
import os
import time

import psutil
import pytest

from orchestrator.trial.contract.launch import Launch, Program, ProgramKind

RUNNER = "tests.execution.plain_runner:PlainRunner"


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory):
    """Ray looks for a token in the home directory; no test may find or leave one in the real one."""
    before = os.environ.get("HOME", "")
    os.environ["HOME"] = str(tmp_path_factory.mktemp("home"))
    yield
    os.environ["HOME"] = before


@pytest.fixture(scope="module")
def local_ray():
    """A local Ray with 4 CPUs and no GPUs, shared by a module."""
    from orchestrator.execution.ray.cluster import connect

    with connect("local", num_cpus=4, num_gpus=0) as cluster:
        yield cluster


def build_launch(directory, trial=0, attempt=0, **changes):
    argv = changes.pop("argv", ("true",))
    fields = {
        "sweep_id": "k3x9w2ab",
        "sweep_name": "digits",
        "trial": trial,
        "attempt": attempt,
        "trial_dir": f"{directory}/trials/{trial:04d}",
        "cwd": str(directory),
        "program": Program(kind=ProgramKind.COMMAND, target=argv[0]),
        "argv": argv,
        "config": {},
        "metric": "loss",
        "grace_s": 5.0,
    }
    return Launch(**(fields | changes))


@pytest.fixture
def a_launch(tmp_path):
    return functools.partial(build_launch, tmp_path)


class Watch:
    """Everything a pool has said so far."""

    def __init__(self, pool, patience_s=120.0):
        self.pool = pool
        self.events = []
        self.patience_s = patience_s

    def until(self, condition):
        """Poll until `condition(self)` holds; its value is returned."""
        deadline = time.monotonic() + self.patience_s
        while not (value := condition(self)):
            assert time.monotonic() < deadline, f"still waiting; so far: {self.events}"
            self.events += self.pool.poll(0.1)
        return value

    def slots(self, n):
        return self.until(lambda _: self.pool.capacity().slots == n)

    def of(self, kind, trial, attempt=0):
        return [e for e in self.events if isinstance(e, kind) and (e.trial, e.attempt) == (trial, attempt)]

    def one(self, kind, trial, attempt=0):
        """Wait for an event and return it."""
        return self.until(lambda watch: watch.of(kind, trial, attempt))[0]

    def quiet(self, seconds=0.5):
        """Poll for a while, for what should not come."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.events += self.pool.poll(0.1)


@pytest.fixture
def watching():
    return Watch


@pytest.fixture
def gone():
    """Wait until a process does not exist; one that only waits for its parent counts."""

    def wait(pid, patience_s=10.0):
        deadline = time.monotonic() + patience_s
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, f"process {pid} is still there"
            time.sleep(0.02)
        return True

    return wait
