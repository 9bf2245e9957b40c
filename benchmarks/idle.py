"""Do slots wait for the search? A 2,000-trial random sweep and a 300-trial bayes sweep of no-op trials on two slots.

Controller, ledger, search and its background thread are the real ones, in real time. Trials are waited for instead of
run, each for as long as a real no-op trial takes through `sweep run` (measured first), so that thousands of them do not
make the processor the thing that is measured. A slot is idle while it is free, there is a trial to come, and the search
has no config for it yet. Aim: below 2 % of the slots' time. On a busy machine a suggestion takes several times what it
computes: then trials of a second tell more than those of no time at all.
"""

import json
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))

from orchestrator.execution.protocol import Capacity
from orchestrator.search.protocol import suggest_batch
from orchestrator.trial.contract.events import Cause, Ended, Report, Reported, Started
from tests.sweeps import Sweep

N_SLOTS = 2
N_MEASURED = 30
SWEEP = Path(sysconfig.get_path("scripts")) / "sweep"
SPEC = """
program: train.py
method: {method}
run_cap: {n_trials}
metric: {{name: loss, goal: minimize}}
parameters:
  lr: {{distribution: log_uniform_values, min: 0.00001, max: 1.0}}
  momentum: {{min: 0.0, max: 1.0}}
  width: {{values: [16, 32, 64, 128]}}
  optimizer: {{values: [sgd, adam]}}
orchestrator: {{seed: 1, wandb: "off", resources: {{cpu: 1}}}}
"""
PROGRAM = "from orchestrator import report\nreport(loss=0.0)\n"


class Slots:
    """A pool whose trials take `trial_s` of real time each and report a loss that depends on their config.

    Attributes:
        idle_s: Slot-seconds for which the controller, with a trial to come, had nothing to put into a free slot: its
            search was thinking in the background.
    """

    def __init__(self, trial_s: float, n_trials: int) -> None:
        self.trial_s = trial_s
        self.clock = time.monotonic
        self.idle_s = 0.0
        self.began_s = time.monotonic()
        self._left = n_trials
        self._ends: list[tuple[float, object]] = []
        self._events: list[object] = []

    def capacity(self) -> Capacity:
        return Capacity(slots=N_SLOTS, free=N_SLOTS - len(self._ends))

    def launch(self, launch, *, avoid=()) -> None:  # noqa: ARG002 - one node
        self._left -= 1
        key = {"trial": launch.trial, "attempt": launch.attempt}
        self._events.append(Started(**key, time=time.time(), pid=1, host="here"))
        self._ends.append((time.monotonic() + self.trial_s, launch))

    def poll(self, timeout_s: float) -> list:
        free, began_s = self.capacity().free, time.monotonic()
        while not self._events and time.monotonic() - began_s < timeout_s:
            due_s = min((end for end, _ in self._ends), default=began_s + timeout_s)
            time.sleep(max(0.0, min(due_s, began_s + timeout_s) - time.monotonic()))
            self._end_what_is_due()
        if self._left:
            self.idle_s += free * (time.monotonic() - began_s)
        events, self._events = self._events, []
        return events

    def _end_what_is_due(self) -> None:
        now = time.monotonic()
        for end in [end for end in self._ends if end[0] <= now]:
            self._ends.remove(end)
            launch = end[1]
            key = {"trial": launch.trial, "attempt": launch.attempt}
            loss = abs(launch.config["momentum"] - 0.3) + launch.config["lr"]
            report = Report(index=0, time=time.time(), step=0, metrics={"loss": loss})
            self._events.append(Reported(**key, reports=(report,)))
            self._events.append(Ended(**key, time=time.time(), cause=Cause.FINISHED, exit_code=0))

    def stop(self, trial: int, attempt: int, *, kill: bool = False) -> None:
        pass

    def close(self) -> None:
        pass


class Asked:
    """A search whose time is taken: the slots wait for one that is asked on the spot (`random`)."""

    def __init__(self, search) -> None:
        self.search = search
        self.took_s: list[float] = []
        self.cpu_s: list[float] = []

    def suggest(self, *known):
        return self.suggest_batch(*known, 1)[0]

    def suggest_batch(self, *known_and_n):
        began_s, began_cpu_s = time.monotonic(), time.thread_time()
        configs = suggest_batch(self.search, *known_and_n)
        took_s, cpu_s = time.monotonic() - began_s, time.thread_time() - began_cpu_s
        self.took_s.extend(took_s / len(configs) for _ in configs)
        self.cpu_s.extend(cpu_s / len(configs) for _ in configs)
        return configs


def real_trial_s() -> float:
    """Return the seconds for which a no-op trial holds its slot in a real sweep, at the median."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        (path / "train.py").write_text(PROGRAM)
        (path / "sweep.yaml").write_text(SPEC.format(method="random", n_trials=N_MEASURED))
        subprocess.run([str(SWEEP), "run", "sweep.yaml", "--num-cpus", "2"], cwd=path, check=True, capture_output=True)
        shown = subprocess.run([str(SWEEP), "export", "--json"], cwd=path, check=True, capture_output=True, text=True)
        return statistics.median(row["seconds"] for row in json.loads(shown.stdout))


def waiting(method: str, n_trials: int, trial_s: float) -> None:
    from orchestrator.search.factory import is_adaptive, make_search, warm_up
    from orchestrator.space import SearchSpace

    with tempfile.TemporaryDirectory() as directory:
        sweep = Sweep(Path(directory), SPEC.format(method=method, n_trials=n_trials))
        warm_up(sweep.spec)  # as `sweep run` does while the cluster comes up
        asked = Asked(make_search(sweep.spec, SearchSpace.of(sweep.spec.parameters), 1))
        pool = Slots(trial_s, n_trials)
        sweep.run(pool, search=asked)
        adaptive = is_adaptive(sweep.spec)
        took_s = time.monotonic() - pool.began_s
    idle_s = pool.idle_s if adaptive else sum(asked.took_s)
    print(
        f"{method}, {n_trials} trials of {trial_s:.3f} s on {N_SLOTS} slots: idle {100 * idle_s / (N_SLOTS * took_s):.2f} % "
        f"({1e3 * statistics.mean(asked.took_s):.1f} ms per suggestion, of which {1e3 * statistics.mean(asked.cpu_s):.1f} ms "
        f"computing; {took_s:.0f} s in all)",
        flush=True,
    )


if __name__ == "__main__":
    trial_s = real_trial_s()
    print(f"a real no-op trial holds its slot for {trial_s:.3f} s")
    waiting("random", 2000, min(trial_s, 0.05))
    waiting("bayes", 300, trial_s)
    waiting("bayes", 60, 1.0)
