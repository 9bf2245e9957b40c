"""The trials that workers have: what is known of each, and how one is asked to end."""

from collections import deque
from dataclasses import dataclass, field

from orchestrator.control.consequences import OVERRULES, Request
from orchestrator.diagnosis.model import Flag
from orchestrator.execution.protocol import Pool
from orchestrator.ledger.store import Ledger
from orchestrator.trial.contract.events import Reported, TrialEvent
from orchestrator.trial.contract.launch import Launch
from orchestrator.watch.progress import RunningTrial


@dataclass(slots=True, kw_only=True)
class Running:
    """A trial that a worker has; `since_s` is when its process was heard of, None before."""

    launch: Launch
    since_s: float | None = None
    n_reports: int = 0
    step: int | None = None
    values: deque[float] = field(default_factory=lambda: deque(maxlen=48))
    first_report: float | None = None
    host: str = ""
    gpu_ids: tuple[str, ...] = ()
    request: Request | None = None
    killed: bool = False

    def hear(self, event: Reported) -> None:
        """Take in what it has reported."""
        self.n_reports += sum((not report.part) - report.voids for report in event.reports)
        self.step = next((r.step for r in reversed(event.reports) if r.step is not None), self.step)
        self.values.extend(r.metrics[m] for r in event.reports if (m := self.launch.metric or "") in r.metrics)

    def shown(self, now_s: float, flags: tuple[Flag, ...]) -> RunningTrial:
        """Return it as views show it."""
        return RunningTrial(
            number=self.launch.trial,
            config=self.launch.config,
            elapsed_s=None if self.since_s is None else now_s - self.since_s,
            n_reports=self.n_reports,
            values=self.values,
            step=self.step,
            host=self.host,
            gpu_ids=self.gpu_ids,
            ending=self.request.reason if self.request else None,
            flags=flags,
        )


class RunningTrials(dict[int, Running]):
    """By number."""

    def __init__(self, ledger: Ledger, pool: Pool) -> None:
        super().__init__()
        self._ledger = ledger
        self._pool = pool

    def launch(self, launch: Launch) -> None:
        """Give an attempt to the pool."""
        self[launch.trial] = Running(launch=launch)
        self._pool.launch(launch)

    def stop(self, number: int, request: Request, *, kill: bool = False) -> None:
        """Ask a trial to end. Who asked first decides what becomes of it, unless `OVERRULES` says otherwise."""
        running = self[number]
        overrules = running.request is None or running.request.asker in OVERRULES.get(request.asker, ())
        if not overrules and (running.killed or not kill):
            return
        if overrules:
            running.request = request
            self._ledger.decide(number, request.asker, request.reason)
        running.killed = running.killed or kill
        self._pool.stop(number, running.launch.attempt, kill=kill)

    def has(self, event: TrialEvent) -> bool:
        """Return whether an event is of an attempt that runs: what is said of others is late."""
        running = self.get(event.trial)
        return running is not None and running.launch.attempt == event.attempt
