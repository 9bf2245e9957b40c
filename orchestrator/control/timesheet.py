"""How long a sweep has run, under every controller that it had."""

from collections.abc import Callable

from orchestrator.control.closing import Closing, out_of_time
from orchestrator.ledger.sweep_row import SweepRow

EVERY_S = 15.0
"""How often it is written down: at most this much of it is lost when the controller dies."""


class Timesheet:
    """Begins to count when it is made."""

    def __init__(self, sweep: SweepRow, clock: Callable[[], float]) -> None:
        self._sweep = sweep
        self._clock = clock
        self._noted_s = clock()
        self._began_s = clock() - sweep.record.active_s

    @property
    def elapsed_s(self) -> float:
        """Seconds that the sweep has run, under this controller and those before it."""
        return self._clock() - self._began_s

    def keep(self) -> None:
        """Write it down, unless that was done a moment ago."""
        if self._clock() - self._noted_s > EVERY_S:
            self._noted_s = self._clock()
            self._sweep.note_active(self.elapsed_s)

    def over(self, limit_s: float | None) -> Closing | None:
        """Return the end of a sweep that has run for longer than it may, if it has."""
        return None if limit_s is None or self.elapsed_s <= limit_s else out_of_time(limit_s)
