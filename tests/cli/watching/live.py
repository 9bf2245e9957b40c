"""A sweep that this test controls: its ledger is written as a controller writes it, its lock is held."""

from contextlib import ExitStack
from pathlib import Path

from orchestrator.ledger.bulletin import Bulletin
from orchestrator.ledger.curves import objectives_of
from orchestrator.ledger.lock import controlling
from orchestrator.ledger.paths import create_sweep_dir
from orchestrator.ledger.records import Outlook, SweepRecord, SweepState, TrialState
from orchestrator.ledger.requests import Requests
from orchestrator.ledger.store import Ledger
from orchestrator.spec import load_text
from orchestrator.trial.contract.events import Cause, Ended, Report, Reported, Started
from orchestrator.trial.contract.resource_use import GpuUse, Look, Use

SPEC = """
program: train.py
method: random
run_cap: 12
metric: {name: loss, goal: minimize}
early_terminate: {type: hyperband, min_iter: 2, eta: 2}
parameters:
  lr: {min: 0.0, max: 1.0}
  act: {values: [relu, tanh]}
  epochs: {value: 4}
"""

EPOCH_S = 1_700_000_000.0


class Live:
    """Trials begin, report and end as a test says; time stands still but for what a test says."""

    def __init__(self, runs: Path, text: str = SPEC, *, sweep_id: str = "abcd1234", name: str = "test") -> None:
        self.spec = load_text(text, needs_program=False).require()
        self.now = EPOCH_S
        self._is_closed = False
        self.dir = create_sweep_dir(runs, name, sweep_id)
        self.dir.spec_path.write_text(text, encoding="utf-8")
        self.ledger = Ledger(self.dir.ledger_path)
        self.ledger.sweep.create(
            SweepRecord(
                sweep_id=sweep_id,
                name=name,
                spec_text=text,
                seed=1,
                state=SweepState.RUNNING,
                created=self.now,
                cwd=str(runs),
            )
        )
        self.ledger.load(objectives_of(self.spec))
        self.requests: Requests = self.ledger.requests
        self._lock = ExitStack()
        self._lock.enter_context(controlling(self.dir.lock_path))
        self.slots(3)

    def clock(self) -> float:
        return self.now

    def slots(self, n: int) -> None:
        outlook = Outlook(began=EPOCH_S - 60.0, slots=n, total=self.spec.run_cap, problem=None)
        bulletin: Bulletin = self.ledger.bulletin
        bulletin.set_outlook(outlook)

    def begin(self, log: str = "", **config) -> int:
        """Start a trial with a config; `log` is what it prints."""
        number = self.ledger.add_trial({"lr": 0.5, "act": "relu", "epochs": 4} | config).number
        attempt = self.ledger.begin_attempt(number)
        started = Started(trial=number, attempt=attempt, time=self.now, pid=7, host="box", gpu_ids=("0",))
        self.ledger.record([started], {})
        self.dir.trial(number).path.mkdir(parents=True)
        self.dir.trial(number).log_path.write_text(log, encoding="utf-8")
        return number

    def report(self, number: int, *values: float, name: str = "loss") -> None:
        n = self.ledger.trial(number).n_reports
        reports = tuple(
            Report(index=n + i, time=self.now, step=n + i, metrics={name: value}) for i, value in enumerate(values)
        )
        self.ledger.record([Reported(trial=number, attempt=self.ledger.trial(number).attempt, reports=reports)], {})

    def use(self, number: int, *, busy: float | None, cpus: float) -> None:
        """Let a trial have used its GPU for a share of the time, and nothing of one where that is None."""
        gpu = GpuUse(gpu="0", busy=busy, own_busy=busy, used_bytes=9e9, own_bytes=6e9, total_bytes=8e10, power_w=None)
        gpus = () if busy is None else (gpu,)
        use = Use(n_looks=9, seconds=90.0, cpus=cpus, rss_bytes=3 << 30, n_processes=1, gpus=gpus)
        look = Look(attempt=0, time=self.now, now=use, so_far=use)
        self.dir.trial(number).path.mkdir(parents=True, exist_ok=True)
        self.dir.trial(number).use_path.write_text(look.encode())

    def end(self, number: int, state: TrialState = TrialState.FINISHED, why: str | None = None) -> None:
        cause = {TrialState.FINISHED: Cause.FINISHED, TrialState.FAILED: Cause.FAILED}.get(state, Cause.STOPPED)
        error = why if state is TrialState.FAILED else None
        ended = Ended(trial=number, attempt=self.ledger.trial(number).attempt, time=self.now, cause=cause, error=error)
        self.ledger.record([ended], {number: (state, None if error else why)})

    def asked(self) -> list[str]:
        """What other terminals have asked for since the last call."""
        return [str(each) for each in self.requests.take()]

    def close(self, state: SweepState | None = SweepState.FINISHED, reason: str = "all trials are done") -> None:
        """End the sweep in order; or, without a state, as if its controller was killed. Once."""
        if self._is_closed:
            return
        self._is_closed = True
        if state is not None:
            self.ledger.sweep.set_state(state, reason, exit_code=0, active_s=100.0)
        self._lock.close()
        self.ledger.close()
