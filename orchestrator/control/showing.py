"""What the views of a sweep are shown of it while it runs, a few times a second."""

import math
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field

from orchestrator.control.room import Room
from orchestrator.control.running import RunningRows, RunningTrials
from orchestrator.control.timesheet import Timesheet
from orchestrator.control.trials import Trials
from orchestrator.diagnosis.health_monitor import HealthMonitor
from orchestrator.execution.protocol import Pool
from orchestrator.layout import SweepDir
from orchestrator.ledger.records import SweepRecord
from orchestrator.reporting import pace
from orchestrator.reporting.results import varying
from orchestrator.spec.model import SweepSpec
from orchestrator.watch.expectation import Expectation
from orchestrator.watch.progress import Progress, View
from orchestrator.watch.scoreboard import Scoreboard

REFRESH_S = 0.2
"""How often the view is redrawn."""


@dataclass(kw_only=True)
class Showing:
    """Draws a sweep for its views, by what its parts say of it.

    Attributes:
        sweep: What is recorded of the sweep itself.
        view: Who watches.
        clock: Monotonic seconds.
    """

    spec: InitVar[SweepSpec]
    sweep_dir: InitVar[SweepDir]
    sweep: SweepRecord
    view: View
    pool: Pool
    room: Room
    running: RunningTrials
    trials: Trials
    board: Scoreboard
    timesheet: Timesheet
    health: HealthMonitor
    clock: Callable[[], float]
    _shown_s: float = field(default=-math.inf, init=False)

    def __post_init__(self, spec: SweepSpec, sweep_dir: SweepDir) -> None:
        self._expected = Expectation.of(spec, pace.kept(sweep_dir))
        self._metric = spec.objectives[0].name if spec.objectives else None
        self._varying = varying(spec)

    def refresh(self, *, closing: bool, paused: bool, now: bool = False) -> None:
        """Draw the sweep anew, unless that was done a moment ago.

        Args:
            closing: Whether nothing is launched any more.
            paused: Whether nothing is launched for now.
            now: Draw it in any case.
        """
        if not now and self.clock() - self._shown_s < REFRESH_S:
            return
        self._shown_s = self.clock()
        self.health.examine(self.running)
        self.view.refresh(self._progress(closing=closing, paused=paused))

    def _progress(self, *, closing: bool, paused: bool) -> Progress:
        capacity = self.pool.capacity()
        now_s = self.clock()
        total = self.room.total_of(len(self.trials))
        ran = [(0.0 if r.since_s is None else now_s - r.since_s, r.n_reports) for r in self.running.values()]
        left = None if closing else self.board.time_left(total, self.room.at_once, ran, now_s, self._expected)
        return self.board.progress(
            name=self.sweep.name,
            sweep_id=self.sweep.sweep_id,
            metric=self._metric,
            total=total,
            elapsed_s=self.timesheet.elapsed_s,
            left=left,
            slots=capacity.slots,
            running=RunningRows(self.running, now_s, self.health.flags),
            problem=capacity.problem,
            paused=paused,
            varying=self._varying,
        )
