"""What a node without the runs directory costs: bytes per second to the controller's disk, and the time of a trial without work.

python benchmarks/shipping.py
"""

import os
import tempfile
import threading
import time
from pathlib import Path
from unittest import mock

from orchestrator.execution.ray import pool as pool_module
from orchestrator.execution.ray import starting
from orchestrator.execution.ray.cluster import connect
from orchestrator.spec.model import Resources
from orchestrator.trial.contract.events import Cause, Ended, Started
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind

MIB = 512
N_SMALL = 2000
N_TRIALS = 20
RUNNER = "benchmarks.shipping:WritingRunner"


class WritingRunner:
    """Writes what a config asks for into the trial's directory, and ends the attempt."""

    def __init__(self):
        self._events = []
        self._news = threading.Condition()

    def launch(self, launch):
        key = {"trial": launch.trial, "attempt": launch.attempt}
        place = Path(launch.trial_dir)
        place.mkdir(parents=True, exist_ok=True)
        block = os.urandom(1 << 20)
        with (place / "checkpoint").open("wb") as file:
            for _ in range(launch.config["mib"]):
                file.write(block)
        for n in range(launch.config["files"]):
            (place / f"{n}.txt").write_text(str(n))
        with self._news:
            self._events.append(Started(**key, time=time.time(), pid=os.getpid(), host="here"))
            self._events.append(Ended(**key, time=time.time(), cause=Cause.FINISHED, exit_code=0))
            self._news.notify()

    def stop(self, trial, attempt, *, kill=False, grace_s=None):
        pass

    def poll(self, timeout_s):
        with self._news:
            self._news.wait_for(lambda: self._events, timeout_s)
            events, self._events = self._events, []
            return events

    def close(self):
        pass


def ended_after(pool, place, trial, *, mib=0, files=0):
    """Run a trial; return the seconds from its start, and from its launch, to its end as the controller hears it."""
    trial_dir = place / f"trials/{trial:04d}"
    trial_dir.mkdir(parents=True)
    (trial_dir / "config.yaml").write_text("x: 1")
    launch = Launch(
        sweep_id="benchmark",
        sweep_name="benchmark",
        trial=trial,
        attempt=0,
        trial_dir=str(trial_dir),
        cwd="/",
        program=Program(kind=ProgramKind.COMMAND, target="true"),
        argv=("true",),
        config={"mib": mib, "files": files},
    )
    asked = time.perf_counter()
    pool.launch(launch)
    started = None
    while True:
        for event in pool.poll(1.0):
            if isinstance(event, Started):
                started = time.perf_counter()
            if isinstance(event, Ended):
                assert event.cause is Cause.FINISHED, event
                return time.perf_counter() - (started or asked), time.perf_counter() - asked


def measure(cluster, *, apart):
    """Print what it costs with a shared directory, or without."""
    config = starting.WorkerConfig
    elsewhere = {"proof_path": "/nowhere"} if apart else {}
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        with mock.patch.object(starting, "WorkerConfig", lambda **given: config(**(given | elsewhere))):
            pool = pool_module.RayPool(
                cluster, resources=Resources(cpu=1), runs_dir=place, limit=1, cwd="/", runner=RUNNER
            )
            while not pool.capacity().slots:
                pool.poll(0.1)
            times = sorted(ended_after(pool, place, n)[1] for n in range(N_TRIALS))
            cpu = time.process_time()
            large, _ = ended_after(pool, place, N_TRIALS, mib=MIB)
            cpu = time.process_time() - cpu
            small, _ = ended_after(pool, place, N_TRIALS + 1, files=N_SMALL)
            pool.close()
    name = "apart" if apart else "shared"
    print(f"{name:7} a trial without work {1000 * times[len(times) // 2]:6.1f} ms (median of {N_TRIALS})")
    if apart:
        print(
            f"{name:7} {MIB} MiB after its end {large:5.2f} s: {MIB / large:5.0f} MiB/s, {cpu / MIB * 1000:.1f} ms CPU a MiB"
        )
        print(f"{name:7} {N_SMALL} small files {small:5.2f} s: {N_SMALL / small:6.0f} files/s")


def main():
    """Measure both in one Ray."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    with connect("local", num_cpus=2, num_gpus=0) as cluster:
        for apart in (False, True):
            measure(cluster, apart=apart)


if __name__ == "__main__":
    main()
