"""What the pool itself costs: no-op trials per second and reports per second through Ray, with a runner that does nothing.

python benchmarks/pool.py
"""

import os
import tempfile
import threading
import time
from pathlib import Path

from orchestrator.execution.ray.cluster import connect
from orchestrator.execution.ray.pool import RayPool
from orchestrator.spec.model import Resources
from orchestrator.trial.contract.events import Cause, Ended, Report, Reported, Started
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind

N_TRIALS = 1000
N_REPORTS = 200_000
BATCH = 500


class NullRunner:
    """Ends each attempt at once, after as many reports as its config asks for."""

    def __init__(self):
        self._events = []
        self._news = threading.Condition()

    def launch(self, launch):
        key = {"trial": launch.trial, "attempt": launch.attempt}
        with self._news:
            self._events.append(Started(**key, time=time.time(), pid=os.getpid(), host="here"))
            for first in range(0, launch.config["reports"], BATCH):
                rows = range(first, first + BATCH)
                made = [Report(index=i, time=0.0, step=i, metrics={"loss": 1.0, "accuracy": 0.5}) for i in rows]
                self._events.append(Reported(**key, reports=tuple(made)))
            self._events.append(Ended(**key, time=time.time(), cause=Cause.FINISHED, exit_code=0))
            self._news.notify()

    def stop(self, trial, attempt, *, kill=False):
        pass

    def poll(self, timeout_s):
        with self._news:
            self._news.wait_for(lambda: self._events, timeout_s)
            events, self._events = self._events, []
            return events

    def close(self):
        pass


def a_launch(trial, directory, reports=0):
    return Launch(
        sweep_id="benchmark",
        sweep_name="benchmark",
        trial=trial,
        attempt=0,
        trial_dir=f"{directory}/{trial}",
        cwd=directory,
        program=Program(kind=ProgramKind.COMMAND, target="true"),
        argv=("true",),
        config={"reports": reports},
    )


def run(pool, directory, n_trials, reports=0, first=0):
    """Return seconds until all trials have ended, each launched into a slot that was free."""
    began_s = time.perf_counter()
    launched = ended = n_reports = 0
    while ended < n_trials:
        while launched < n_trials and pool.capacity().free:
            pool.launch(a_launch(first + launched, directory, reports))
            launched += 1
        for event in pool.poll(1.0):
            ended += isinstance(event, Ended)
            n_reports += len(event.reports) if isinstance(event, Reported) else 0
    assert n_reports == n_trials * reports
    return time.perf_counter() - began_s


def main():
    began_s = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory, connect("local", num_cpus=2, num_gpus=0) as cluster:
        print(f"a local Ray is up after {time.perf_counter() - began_s:.2f} s")
        began_s = time.perf_counter()
        runner = f"{Path(__file__).stem}:NullRunner"
        pool = RayPool(cluster, resources=Resources(cpu=1), runs_dir=directory, runner=runner)
        while not pool.capacity().free:
            pool.poll(0.1)
        print(f"the first slot is free {time.perf_counter() - began_s:.2f} s later")
        took_s = run(pool, directory, N_TRIALS)
        print(f"{N_TRIALS / took_s:.0f} no-op trials/s on 2 slots, {1e3 * took_s / N_TRIALS:.2f} ms each")
        took_s = run(pool, directory, 2, N_REPORTS // 2, first=N_TRIALS)
        print(f"{N_REPORTS / took_s:.0f} reports/s")
        pool.close()


if __name__ == "__main__":
    main()
