"""Sweeps whose results are known: a ledger written by the real `Ledger`, with made-up trials and a clock of its own."""

import heapq
import math
import random
from dataclasses import dataclass, field
from types import SimpleNamespace
from unittest import mock

from orchestrator.arguments.command import param_file
from orchestrator.ledger import store
from orchestrator.ledger.curves import objectives_of
from orchestrator.ledger.paths import create_sweep_dir
from orchestrator.ledger.records import SweepRecord, SweepState, TrialState
from orchestrator.space import SearchSpace
from orchestrator.spec import dump, load_text
from orchestrator.trial.contract.events import Cause, Ended, Report, Reported, Started

BEGIN = 1_790_000_000.0
EPOCHS = 10

SPEC = """
program: train.py
method: random
name: digits
metric: {name: valid/accuracy, goal: maximize}
early_terminate: {type: hyperband, min_iter: 3, eta: 2}
run_cap: %d
parameters:
  lr: {distribution: log_uniform_values, min: 0.0001, max: 0.1}
  batch_size: {values: [16, 32, 64, 128]}
  dropout: {min: 0.0, max: 0.5}
  model: {parameters: {width: {values: [8, 16, 32]}, act: {values: [relu, gelu]}}}
  epochs: {value: 10}
orchestrator: {seed: 7}
"""


@dataclass(order=True)
class Happening:
    time: float
    order: int
    act: object = field(compare=False)


def plant(
    runs,
    *,
    n=60,
    spec=SPEC,
    sweep_id="k3x9w2ab",
    gpus=4,
    seed=0,
    until=math.inf,
    cwd="/home/ada/digits",
    play=None,
    name=None,
):
    """Write a sweep of `n` trials into a runs directory, as it stands at second `until`, and return its directory.

    The best learning rate is 0.004; width helps, dropout does nothing; a rate above 0.06 runs out of memory with a
    batch size of 128, and every 19th trial logs under another name. `play(number, config, rng)` gives other values.
    """
    loaded = load_text(spec % n if "%d" in spec else spec, path="sweep.yaml", needs_program=False).require()
    sweep_dir = create_sweep_dir(runs, name or loaded.name or "sweep", sweep_id)
    sweep_dir.spec_path.write_text(spec % n if "%d" in spec else spec)
    clock = SimpleNamespace(now=BEGIN)
    with mock.patch.object(store, "time", SimpleNamespace(time=lambda: clock.now)):
        sweep = Sweep(sweep_dir, loaded, clock=clock, rng=random.Random(seed), gpus=gpus, play=play or accuracy)
        sweep.run(n, until, sweep_id, cwd, name or loaded.name or "sweep")
    return sweep_dir


class Sweep:
    """Slots that take one made-up trial after the other."""

    def __init__(self, sweep_dir, spec, *, clock, rng, gpus, play):
        self.spec, self.clock, self.rng, self.gpus, self.play = spec, clock, rng, gpus, play
        self.sweep_dir = sweep_dir
        self.ledger = store.Ledger(sweep_dir.ledger_path)
        self.happenings = []
        self.order = 0
        self.seen = {}

    def run(self, n, until, sweep_id, cwd, name):
        record = SweepRecord(
            sweep_id=sweep_id, name=name, spec_text=dump(self.spec), seed=7, state=SweepState.RUNNING,
            created=BEGIN, cwd=cwd,
        )  # fmt: skip
        self.ledger.sweep.create(record)
        self.ledger.load(objectives_of(self.spec))
        space = SearchSpace.of(self.spec.parameters)
        self.configs = iter([space.config([self.rng.random() for _ in range(space.n_axes)]) for _ in range(n)])
        with self.ledger.transaction("all"):
            for slot in range(self.gpus):
                self.at(BEGIN + 2 + 0.5 * slot, self.starter(slot))
            while self.happenings and self.happenings[0].time <= BEGIN + until:
                happening = heapq.heappop(self.happenings)
                self.clock.now = happening.time
                happening.act()
            if not self.happenings:
                self.ledger.sweep.set_state(SweepState.FINISHED, reason=f"all {n} trials are done")
        self.ledger.close()

    def write(self, number, config):
        folder = self.sweep_dir.trial(number).path
        folder.mkdir()
        (folder / "config.yaml").write_text(param_file(config))

    def at(self, time, act):
        self.order += 1
        heapq.heappush(self.happenings, Happening(time, self.order, act))

    def starter(self, slot):
        def start():
            config = next(self.configs, None)
            if config is None:
                return
            number = self.ledger.add_trial(config, run_id=f"run-{slot}").number
            self.ledger.begin_attempt(number)
            started = Started(
                trial=number, attempt=0, time=self.clock.now + 0.1, pid=1, host="gpubox", gpu_ids=(str(slot),)
            )
            self.ledger.record([started], {})
            self.write(number, config)
            self.at(self.clock.now + 1, self.stepper(slot, number, self.play(number, config, self.rng), 0))

        return start

    def stepper(self, slot, number, plan, epoch):
        def step():
            if epoch < len(plan.rows):
                report = Report(index=epoch, time=self.clock.now, step=epoch + 1, metrics=plan.rows[epoch])
                self.ledger.record([Reported(trial=number, attempt=0, reports=(report,))], {})
                if self.loses(number, epoch):
                    self.end(slot, number, Cause.STOPPED, reason="rung 3: not in the better half")
                    return
                self.at(self.clock.now + plan.epoch_s, self.stepper(slot, number, plan, epoch + 1))
                return
            self.end(slot, number, plan.cause, error=plan.error, log=plan.log)

        return step

    def loses(self, number, epoch):
        score = self.ledger.trial(number).score
        if self.spec.early_terminate is None or epoch != 2 or score is None:
            return False
        self.seen[number] = score
        return len(self.seen) > 3 and score > sorted(self.seen.values())[len(self.seen) // 2]

    def end(self, slot, number, cause, *, error=None, reason=None, log=()):
        state = {Cause.FINISHED: TrialState.FINISHED, Cause.STOPPED: TrialState.STOPPED}.get(cause, TrialState.FAILED)
        ended = Ended(
            trial=number, attempt=0, time=self.clock.now, cause=cause, error=error, log_tail=tuple(log),
            exit_code=0 if state is TrialState.FINISHED else 1,
        )  # fmt: skip
        if reason:
            self.ledger.decide(number, "rule", reason)
        self.ledger.record([ended], {number: (state, reason)})
        self.at(self.clock.now + self.rng.choice([0.2, 0.3, 4.0 if number % 7 == 0 else 0.2]), self.starter(slot))


@dataclass(frozen=True)
class Plan:
    """What a made-up trial reports, and how it ends."""

    rows: list
    epoch_s: float = 6.0
    cause: Cause = Cause.FINISHED
    error: str | None = None
    log: tuple = ()


def ninth_overfits(number, config, rng):
    """The same, but trial 9's validation loss rises again after its fourth report."""
    plan = accuracy(number, config, rng)
    if number == 9:
        for row, loss in zip(plan.rows, (2.0, 1.2, 0.8, 0.6, 0.7, 0.85, 1.0, 1.1, 1.2, 1.3), strict=True):
            row["valid/loss"] = loss
    return plan


def accuracy(number, config, rng):
    """What a made-up classifier learns with a config."""
    lr, width = config["lr"], config["model"]["width"]
    if lr > 0.06 and config["batch_size"] == 128:
        log = ("epoch 1", "Traceback (most recent call last):", '  File "train.py", line 31, in <module>',
               "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB")  # fmt: skip
        return Plan([], cause=Cause.OUT_OF_MEMORY, error="torch.OutOfMemoryError: CUDA out of memory", log=log)
    top = 0.99 - 0.09 * (math.log10(lr / 0.004)) ** 2 - 0.03 * (32 - width) / 24
    name = "accuracy" if number % 19 == 18 else "valid/accuracy"
    rows = []
    for epoch in range(1, EPOCHS + 1):
        value = 0.1 + (top - 0.1) * (1 - math.exp(-epoch / 2.2)) + rng.gauss(0, 0.003)
        rows.append({name: round(value, 5), "train/loss": round(2.3 * math.exp(-epoch / 3) + rng.random() / 50, 5)})
    if number % 19 == 18:
        return Plan(rows, cause=Cause.NO_METRIC, error="valid/accuracy was never logged; accuracy, train/loss were")
    return Plan(rows, epoch_s=3 + width / 8)
