"""The trials that workers have: what is known of each, and how one is asked to end."""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import overload

from orchestrator.control.consequences import OVERRULES, Request
from orchestrator.diagnosis.model import Flag
from orchestrator.execution.protocol import Placed, Pool
from orchestrator.ledger.store import Ledger
from orchestrator.trial.contract.events import Reported, TrialEvent
from orchestrator.trial.contract.launch import Launch
from orchestrator.watch.progress import RunningTrial


@dataclass(slots=True, kw_only=True)
class Running:
    """A trial that a worker has; `since_s` is when its process was heard of, None before; `node` is its node's id."""

    launch: Launch
    since_s: float | None = None
    n_reports: int = 0
    step: int | None = None
    values: deque[float] = field(default_factory=lambda: deque(maxlen=48))
    first_report: float | None = None
    node: str = ""
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


class RunningRows(Sequence[RunningTrial]):
    """The running trials of a moment as views show them, by number; each is made when it is looked at."""

    def __init__(self, running: Mapping[int, Running], now_s: float, flags: Callable[[int], tuple[Flag, ...]]) -> None:
        self._running = dict(running)
        self._numbers: list[int] | None = None
        self._now_s = now_s
        self._flags = flags

    def __len__(self) -> int:
        return len(self._running)

    @overload
    def __getitem__(self, index: int) -> RunningTrial: ...
    @overload
    def __getitem__(self, index: slice) -> list[RunningTrial]: ...
    def __getitem__(self, index: int | slice) -> RunningTrial | list[RunningTrial]:
        self._numbers = self._numbers or sorted(self._running)
        if isinstance(index, slice):
            return [self._row(number) for number in self._numbers[index]]
        return self._row(self._numbers[index])

    def _row(self, number: int) -> RunningTrial:
        return self._running[number].shown(self._now_s, self._flags(number))


class RunningTrials(dict[int, Running]):
    """By number."""

    def __init__(self, ledger: Ledger, pool: Pool) -> None:
        super().__init__()
        self._ledger = ledger
        self._pool = pool

    def launch(self, launch: Launch, *, avoid: Collection[str] = ()) -> None:
        """Give an attempt to the pool; it goes to none of the nodes to `avoid` if there are others."""
        self[launch.trial] = Running(launch=launch)
        self._pool.launch(launch, avoid=avoid)

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

    def allow(self, number: int, timeout_s: float | None) -> None:
        """Let a trial take so many seconds from its beginning on, None for no limit."""
        running = self[number]
        running.launch = replace(running.launch, timeout_s=timeout_s)
        self._pool.allow(number, running.launch.attempt, timeout_s)

    def has(self, event: TrialEvent | Placed) -> bool:
        """Return whether an event is of an attempt that runs: what is said of others is late."""
        running = self.get(event.trial)
        return running is not None and running.launch.attempt == event.attempt
