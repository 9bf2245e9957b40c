"""Examines running trials now and then: what is wrong is seen while it can still be mended."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from orchestrator.diagnosis.cases import case_of, peer_score, use_of
from orchestrator.diagnosis.examine import examine
from orchestrator.diagnosis.model import Flag
from orchestrator.ledger.curves import Objective
from orchestrator.ledger.store import Ledger

EVERY_S = 2.0
"""How old a running trial's flags may be."""

SHARE = 0.01
"""The largest share of the time that examinations may take, however many trials run."""


@dataclass(slots=True, kw_only=True)
class HealthMonitor:
    """The flags of running trials, as of the last examination."""

    ledger: Ledger
    objectives: Sequence[Objective]
    _flags: dict[int, tuple[Flag, ...]] = field(default_factory=dict)
    _next_s: float = 0.0
    _peer: float | None = None
    _peer_until_s: float = 0.0

    def flags(self, number: int) -> tuple[Flag, ...]:
        """Return a trial's flags as of the last examination."""
        return self._flags.get(number, ())

    def examine(self, numbers: Iterable[int]) -> None:
        """Examine these trials, unless they were a moment ago."""
        began_s = time.monotonic()
        if began_s < self._next_s:
            return
        self._flags = {number: self.examined(number) for number in numbers}
        took_s = time.monotonic() - began_s
        self._next_s = began_s + max(EVERY_S, took_s / SHARE)

    def examined(self, number: int) -> tuple[Flag, ...]:
        """Return a trial's flags as of now."""
        trial = self.ledger.trial(number)
        rows, use = self.ledger.metrics.of(number), use_of(self.ledger.path, trial)
        return examine(case_of(trial, rows, self.objectives, self._peers(), use))

    def _peers(self) -> float | None:
        """What other trials reached, as of a moment ago: finding it takes a look at every trial."""
        began_s = time.monotonic()
        if began_s >= self._peer_until_s:
            self._peer = peer_score(self.ledger.trials())
            self._peer_until_s = began_s + max(EVERY_S, (time.monotonic() - began_s) / SHARE)
        return self._peer
