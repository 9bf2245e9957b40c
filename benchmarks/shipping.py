"""What a node without the runs directory costs: bytes per second to the controller's disk, late lines, and a trial without work.

python benchmarks/shipping.py

Head and node are hosts with a network of their own, side by side and 50 ms apart; where those are not allowed, one machine.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from unittest import mock

sys.path.append(str(Path(__file__).parents[1]))

from orchestrator.execution.ray import pool as pool_module
from orchestrator.execution.ray import starting
from orchestrator.execution.ray.cluster import connect
from orchestrator.spec.model import Resources
from orchestrator.trial.contract.events import Cause, Ended, Started
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind
from tests.hosts import Hosts, may_be, start_ray

N_SMALL = 2000
N_TRIALS = 20
RUNNER = "benchmarks.shipping:WritingRunner"
BLOCK = 8 << 20
CALLS = 4

FAR_S = 0.025
"""One way between hosts that are far from each other."""


class WritingRunner:
    """Writes what a config asks for into the trial's directory, and ends the attempt."""

    def __init__(self):
        self._events = []
        self._news = threading.Condition()

    def launch(self, launch):
        threading.Thread(target=self._run, args=(launch,), daemon=True).start()

    def _run(self, launch):
        key = {"trial": launch.trial, "attempt": launch.attempt}
        place = Path(launch.trial_dir)
        place.mkdir(parents=True, exist_ok=True)
        block = os.urandom(1 << 20)
        with (place / "checkpoint").open("wb") as file:
            for _ in range(launch.config["mib"]):
                file.write(block)
        for n in range(launch.config["files"]):
            (place / f"{n}.txt").write_text(str(n))
        self.tell(Started(**key, time=time.time(), pid=os.getpid(), host="here"))
        with (place / "output.log").open("w") as log:
            while launch.config["until"] and not Path(launch.config["until"]).exists():
                print(time.time(), file=log, flush=True)
                time.sleep(0.02)
        self.tell(Ended(**key, time=time.time(), cause=Cause.FINISHED, exit_code=0))

    def tell(self, event):
        with self._news:
            self._events.append(event)
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


class Measured:
    """A pool that is given trials one after the other."""

    def __init__(self, pool, place):
        self.pool, self.place = pool, place
        self.events = deque()
        self.n_trials = 0

    def launch(self, *, mib=0, files=0, until=None):
        """Launch a trial; return its number."""
        trial, self.n_trials = self.n_trials, self.n_trials + 1
        trial_dir = self.place / f"trials/{trial:04d}"
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
            config={"mib": mib, "files": files, "until": until},
        )
        self.pool.launch(launch)
        return trial

    def see(self, kind, trial, look=lambda: None):
        """Wait for an event of a trial; return when it came."""
        while True:
            while self.events:
                event = self.events.popleft()
                if isinstance(event, kind) and event.trial == trial:
                    return time.perf_counter()
            look()
            self.events.extend(self.pool.poll(0.02))

    def took_s(self, **what):
        """Run a trial; return the seconds from its start to its end as the controller hears them, and from its launch."""
        asked = time.perf_counter()
        trial = self.launch(**what)
        started = self.see(Started, trial)
        ended = self.see(Ended, trial)
        return ended - started, ended - asked

    def late_s(self, mib):
        """How late lines of one trial's log are, at most and in the median, while a large file of another travels."""
        stop = self.place / "stop"
        talking = self.launch(until=str(stop))
        log = self.place / f"trials/{talking:04d}/output.log"
        late = []

        def look():
            if log.exists() and (lines := log.read_text().split("\n")[:-1]):
                late.append(time.time() - float(lines[-1]))

        self.see(Started, talking)
        large = self.launch(mib=mib)
        self.see(Started, large)
        self.see(Ended, large, look)
        stop.touch()
        self.see(Ended, talking)
        return max(late), sorted(late)[len(late) // 2]


def plain_ray(mib):
    """MiB per second that an actor on the node returns, and milliseconds of this process's CPU a MiB, written nowhere."""
    import ray

    @ray.remote(num_cpus=1, max_concurrency=CALLS)
    class Actor:
        def block(self):
            return self.__dict__.setdefault("content", os.urandom(BLOCK))

    actor = Actor.remote()
    ray.get(actor.block.remote())
    n, calls, cpu_s, begun_s = mib * (1 << 20) // BLOCK, [], time.process_time(), time.perf_counter()
    while n or calls:
        while n and len(calls) < CALLS:
            calls.append(actor.block.remote())
            n -= 1
        ray.get(calls.pop(0))
    took_s, cpu_s = time.perf_counter() - begun_s, time.process_time() - cpu_s
    ray.kill(actor)
    return mib / took_s, 1000 * cpu_s / mib


def plain_copy(source, target):
    """MiB per second of `cp` and fsync."""
    begun_s = time.perf_counter()
    subprocess.run(["cp", source, target], check=True)
    subprocess.run(["sync", target], check=True)
    return source.stat().st_size / (1 << 20) / (time.perf_counter() - begun_s)


def measure(cluster, where, *, apart, mib):
    """Print what it costs with a shared directory, or without."""
    config = starting.WorkerConfig
    elsewhere = {"proof_path": "/nowhere"} if apart else {}
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        with mock.patch.object(starting, "WorkerConfig", lambda **given: config(**(given | elsewhere))):
            pool = pool_module.RayPool(
                cluster, resources=Resources(cpu=1), runs_dir=place, limit=2, cwd="/", runner=RUNNER
            )
            measured = Measured(pool, place)
            while pool.capacity().slots < 2:
                pool.poll(0.1)
            times = sorted(measured.took_s()[1] for _ in range(N_TRIALS))
            name = f"{where}, {'apart' if apart else 'shared'}:"
            print(f"{name:15} a trial without work {1000 * times[len(times) // 2]:6.1f} ms (median of {N_TRIALS})")
            if apart:
                cpu_s = time.process_time()
                large_s, _ = measured.took_s(mib=mib)
                cpu_s = time.process_time() - cpu_s
                small_s, _ = measured.took_s(files=N_SMALL)
                late_s, median_s = measured.late_s(mib)
                ray_rate, ray_cpu = plain_ray(mib)
                file = place / f"trials/{N_TRIALS:04d}/checkpoint"
                copy_rate = plain_copy(file, place / "copy")
                rate = mib / large_s
                cpu = f"{1000 * cpu_s / mib:.2f} ms CPU a MiB"
                print(f"{name:15} {mib} MiB durable after its end {large_s:5.2f} s: {rate:5.0f} MiB/s, {cpu}")
                of = f"{ray_cpu:.2f} ms: {rate / ray_rate:.2f} of it"
                print(f"{name:15}   plain Ray calls, written nowhere {ray_rate:5.0f} MiB/s, {of}")
                print(
                    f"{name:15}   cp and sync on this disk         {copy_rate:5.0f} MiB/s: {rate / copy_rate:.2f} of it"
                )
                print(
                    f"{name:15} lines of a log while they travel: {median_s:.2f} s late in the median, {late_s:.2f} s at most"
                )
                print(f"{name:15} {N_SMALL} small files {small_s:5.2f} s: {N_SMALL / small_s:6.0f} files/s")
            pool.close()


def measure_on(address, where, mib, **how):
    """Measure both in one Ray."""
    with connect(address, **how) as cluster:
        for apart in (False, True):
            measure(cluster, where, apart=apart, mib=mib)


def main():
    """Measure on hosts side by side and far from each other, else on this machine alone."""
    root = Path(__file__).parents[1]
    os.environ["PYTHONPATH"] = str(root)
    if not may_be():
        print("no hosts can be made here (root, namespaces): head and node are one, and nothing is far")
        measure_on("local", "one", 512, num_cpus=2, num_gpus=0)
        return
    variables = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    for where, delay_s, mib in (("near", 0.0, 512), ("50 ms", FAR_S, 128)):
        with tempfile.TemporaryDirectory(prefix="sws-", dir="/tmp") as temp_dir:
            hosts = Hosts({}, mtu=65_000)
            try:
                address = start_ray(hosts, variables=variables, temp_dir=temp_dir, node=["--num-cpus=3"])
                if delay_s:
                    hosts.delay(delay_s)
                command = [*hosts.head, sys.executable, __file__, address, where, str(mib)]
                subprocess.run(command, check=True, env=variables)
            finally:
                hosts.close()


if __name__ == "__main__":
    if sys.argv[1:]:
        measure_on(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        main()
