"""What a trial costs the controller when there are many: 1,000 slots in virtual time, CPU per trial from the first to the last.

Controller, ledger, search and launcher are the real ones, on a real disk; trials are three reports and an end in a pool
whose time passes when it is asked. Each trial takes about a minute, so that 17 end per second. Aims: below 4 ms of CPU
per trial in every tenth of the sweep, below 400 MB.

python benchmarks/scale.py            10,000 trials
python benchmarks/scale.py --full     100,000 trials
"""

import heapq
import itertools
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))

from orchestrator.execution.protocol import Capacity, Placed
from orchestrator.trial.contract.events import Cause, Ended, Report, Reported, Started
from tests.sweeps import Sweep, Watch

N_SLOTS = 1000
N_REPORTS = 3
TRIAL_S = 60.0
AIM_MS = 4.0
AIM_MIB = 400
SPEC = """
program: train.py
method: random
run_cap: {n_trials}
metric: {{name: loss, goal: minimize}}
parameters:
  lr: {{distribution: log_uniform_values, min: 0.00001, max: 1.0}}
  momentum: {{min: 0.0, max: 1.0}}
  width: {{values: [16, 32, 64, 128]}}
  optimizer: {{values: [sgd, adam]}}
orchestrator: {{seed: 1, wandb: "off", resources: {{cpu: 1}}}}
"""


class Slots:
    """A pool whose time passes in `poll` alone.

    Attributes:
        ended: Trials that have ended.
        spent_s: CPU seconds when a further tenth of them had, by tenths.
    """

    def __init__(self, n_trials: int) -> None:
        self.n_trials = n_trials
        self.ended = 0
        self.spent_s = [time.process_time()]
        self._now_s = 0.0
        self._running = 0
        self._agenda: list[tuple[float, int, object]] = []
        self._order = itertools.count()
        self._random = random.Random(1)

    def clock(self) -> float:
        return self._now_s

    def capacity(self) -> Capacity:
        return Capacity(slots=N_SLOTS, free=N_SLOTS - self._running, nodes={"node": "box"})

    def want(self, n_trials: float) -> None:
        pass

    def launch(self, launch, *, avoid=()) -> None:  # noqa: ARG002 - one node
        self._running += 1
        key = {"trial": launch.trial, "attempt": launch.attempt}
        loss = launch.config["momentum"]
        self._at(0.0, Placed(**key, node="node", host="box"))
        self._at(0.1, Started(**key, time=time.time(), pid=1, host="box"))
        took_s = TRIAL_S * self._random.uniform(0.5, 1.5)
        for i in range(N_REPORTS):
            report = Report(index=i, time=time.time(), step=i, metrics={"loss": loss + 1 / (i + 1), "accuracy": loss})
            self._at(took_s * (i + 1) / (N_REPORTS + 1), Reported(**key, reports=(report,)))
        self._at(took_s, Ended(**key, time=time.time(), cause=Cause.FINISHED, exit_code=0))

    def stop(self, trial: int, attempt: int, *, kill: bool = False) -> None:
        pass

    def poll(self, timeout_s: float) -> list[object]:
        until_s = self._now_s + timeout_s
        events = []
        while self._agenda and self._agenda[0][0] <= until_s:
            events.append(heapq.heappop(self._agenda)[2])
        self._now_s = until_s
        for event in events:
            if isinstance(event, Ended):
                self._end()
        return events

    def _end(self) -> None:
        self._running -= 1
        self.ended += 1
        if self.ended % (self.n_trials // 10) == 0:
            self.spent_s.append(time.process_time())

    def _at(self, after_s: float, event: object) -> None:
        heapq.heappush(self._agenda, (self._now_s + after_s, next(self._order), event))


class Unseen(Watch):
    """A view that keeps nothing."""

    def event(self, event) -> None:
        pass

    def refresh(self, progress) -> None:
        pass


def main() -> None:
    n_trials = 100_000 if "--full" in sys.argv[1:] else 10_000
    with tempfile.TemporaryDirectory() as directory:
        sweep = Sweep(Path(directory), SPEC.format(n_trials=n_trials))
        pool = Slots(n_trials)
        sweep.run(pool, view=Unseen())
        ledger_mib = sweep.dir.ledger_path.stat().st_size / 2**20
    each_ms = [(b - a) / (n_trials / 10) * 1e3 for a, b in itertools.pairwise(pool.spent_s)]
    rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{n_trials} trials on {N_SLOTS} slots, CPU per trial by tenths: {' '.join(f'{ms:.2f}' for ms in each_ms)} ms"
    )
    print(f"  most {max(each_ms):.2f} ms (aim: below {AIM_MS:g}); {rss_mib:.0f} MiB (aim: below {AIM_MIB})", end="; ")
    print(f"ledger {ledger_mib:.0f} MiB")


if __name__ == "__main__":
    main()
