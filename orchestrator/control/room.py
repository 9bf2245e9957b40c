"""How many trials there may be: now, at the same time, and at all."""

import math
from dataclasses import dataclass

from orchestrator.execution.protocol import Pool
from orchestrator.spec.model import SweepSpec


@dataclass(slots=True, kw_only=True)
class Room:
    """What the pool and the spec leave room for.

    Attributes:
        spec: Its limits; they may be changed while the sweep runs.
        size: Number of configs the search can propose; None for no end.
    """

    spec: SweepSpec
    pool: Pool
    size: int | None

    def free(self, n_running: int) -> int:
        """Return how many trials may be launched now."""
        free, limit = self.pool.capacity().free, self.spec.options.concurrency
        return free if limit is None else min(free, limit - n_running)

    @property
    def at_once(self) -> int:
        """Trials that run at the same time."""
        slots = self.pool.capacity().slots
        return min(slots, self.spec.options.concurrency or slots)

    def wanted(self, n_ended: int) -> float:
        """Return how many trials could run at once if there were slots for all of them."""
        return math.inf if self.total is None else max(0, self.total - n_ended)

    def is_full(self, n_trials: int) -> bool:
        """Return whether there may be no more trials."""
        return self.spec.run_cap is not None and n_trials >= self.spec.run_cap

    @property
    def total(self) -> int | None:
        """Trials that there will be; None for no end."""
        sizes = [n for n in (self.spec.run_cap, self.size) if n is not None]
        return min(sizes) if sizes else None

    def total_of(self, n_trials: int) -> int | None:
        """Return the same where there are `n_trials` already: a cap may have been set below those that there are."""
        return None if self.total is None else max(self.total, n_trials)
