"""What a diagnosis is made from and what it says."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.trial.contract.resource_use import Use


class Issue(StrEnum):
    """What may be wrong with a trial; the value is the short flag that people see."""

    NAN = "nan"
    DIVERGING = "diverging"
    OVERFITTING = "overfitting"
    PLATEAU = "plateau"
    NEVER_LEARNED = "never learned"
    VANISHING = "vanishing gradients"
    EXPLODING = "exploding gradients"
    SILENT = "silent"
    CRASHED = "crashed"
    IDLE_GPU = "idle GPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One finding.

    Attributes:
        evidence: One sentence with the numbers that decided.
        since: Report of the metric (from 1) at which it began; None where that has no meaning.
    """

    issue: Issue
    evidence: str
    since: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The values of one metric in one trial, in order, thinned or not.

    Attributes:
        reports: Which report of the metric each value was, from 1.
        times: Unix times in seconds.
    """

    name: str
    values: Sequence[float]
    reports: Sequence[int]
    times: Sequence[float] = ()

    @property
    def is_finite(self) -> bool:
        """Whether there are values, and all of them are numbers."""
        return bool(self.values) and all(math.isfinite(v) for v in self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A trial as a diagnosis sees it.

    Attributes:
        series: By name, everything the trial reported.
        objective: Name of the sweep's metric; None when it has none.
        sign: -1 where a higher objective is better, else 1.
        peer_score: Median score of the sweep's other trials that ended well (lower is better); None while there are few.
        cause: Why the trial's last attempt ended; None while it runs.
        error: One line, for trials that failed.
        now: Unix time of the diagnosis, or of the trial's end.
        begun: Unix time at which the attempt started.
        use: What the attempt used of its machine so far; None where nobody looked, or it has no GPU.
    """

    series: Mapping[str, Series] = field(default_factory=dict)
    objective: str | None = None
    sign: float = 1.0
    peer_score: float | None = None
    cause: str | None = None
    error: str | None = None
    now: float = 0.0
    begun: float | None = None
    use: Use | None = None
