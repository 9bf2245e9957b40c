"""What the controller tells whoever watches a sweep: events as they happen, and a snapshot to draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from orchestrator.diagnosis.model import Flag
from orchestrator.errors import ExitCode
from orchestrator.ledger.records import TrialRecord
from orchestrator.trial.contract.events import Cause

STOPPED = "stopped on request"
"""Why a sweep ended that `sweep stop` was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStarted:
    """An attempt of a trial was handed to a worker and its process exists."""

    number: int
    attempt: int
    config: Mapping[str, Any]
    host: str
    gpu_ids: tuple[str, ...]
    cold_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEnded:
    """A trial reached a state it stays in. `log_path` is worth showing when it failed.

    Attributes:
        flags: What was wrong with it.
        done: Trials of the sweep that have ended, this one included.
        total: How many it will have; None for a sweep without an end.
    """

    trial: TrialRecord
    took_s: float | None
    log_path: str
    log_tail: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    done: int = 0
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRequeued:
    """A trial will run again; `reason` says why. `on_resume`: not before somebody resumes the sweep."""

    number: int
    reason: str
    on_resume: bool = False

    @classmethod
    def after(
        cls, number: int, *, cause: Cause | None, error: str | None, reason: str | None, on_resume: bool
    ) -> "TrialRequeued":
        """Return it for an attempt that ended: what was lost is named with its host, as the pool's error has it.

        Args:
            number: The trial's.
            cause: Why the attempt ended; None where that is not known.
            error: What was said of its end.
            reason: What was decided about the trial; None where nothing was said of it.
            on_resume: Whether it waits for `sweep resume`.
        """
        words = "it was lost" if cause is None else cause.words
        reason = reason or words
        is_loss = cause is not None and reason == words and error
        return cls(number=number, reason=f"{reason}: {error}" if is_loss else reason, on_resume=on_resume)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBest:
    """A trial's value is the best of the sweep so far."""

    number: int
    value: float
    step: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One line about the sweep itself: capacity, W&B, requests from other terminals.

    Attributes:
        topic: What somebody elsewhere wants to be told it for: ``budget``, ``node`` or ``alert``; None for nothing.
    """

    text: str
    topic: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepEnded:
    """The controller is done. `reason` is one sentence; the exit code says which kind of end it is."""

    exit_code: ExitCode
    reason: str


SweepEvent: TypeAlias = TrialStarted | TrialEnded | TrialRequeued | NewBest | Note | SweepEnded


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningTrial:
    """A row of the live view.

    Attributes:
        elapsed_s: Since its process began; None before.
        step: The script's own step of its latest row, if it has one.
        values: The latest values of the metric, oldest first.
    """

    number: int
    config: Mapping[str, Any]
    elapsed_s: float | None
    n_reports: int
    values: Sequence[float]
    host: str
    gpu_ids: tuple[str, ...]
    step: int | None = None
    ending: str | None = None
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A snapshot of a sweep.

    Attributes:
        total: How many trials it will have; None for a sweep without an end.
        eta_s: Seconds that are left, most likely; None while it cannot be known.
        eta_range_s: At least and at most, as far as the trials so far tell.
        varying: Names of the parameters that vary: the others need not be said of each trial.
    """

    name: str
    sweep_id: str
    metric: str | None
    total: int | None
    finished: int
    stopped: int
    failed: int
    pending: int
    elapsed_s: float
    eta_s: float | None
    slots: int
    best: TrialRecord | None
    best_history: Sequence[float]
    running: Sequence[RunningTrial]
    problem: str | None = None
    paused: bool = False
    varying: frozenset[str] = frozenset()
    eta_range_s: tuple[float, float] | None = None


def all_done(n: int) -> str:
    """Return how it is said that a sweep has nothing left to run."""
    return f"all {n} trials are done" if n != 1 else "its one trial is done"


class View(Protocol):
    """Somebody who watches. Called from the controller's thread; must return within milliseconds and never raise."""

    def event(self, event: SweepEvent) -> None:
        """Something happened; called once per event, in order."""
        ...

    def refresh(self, progress: Progress) -> None:
        """Redraw; called a few times per second."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was. Idempotent; called however the sweep ends."""
        ...


class CompositeView:
    """Several views as one: each gets everything, in the order they are given."""

    def __init__(self, *views: View) -> None:
        self._views = views

    def event(self, event: SweepEvent) -> None:
        """Pass an event to every view."""
        for view in self._views:
            view.event(event)

    def refresh(self, progress: Progress) -> None:
        """Let every view redraw."""
        for view in self._views:
            view.refresh(progress)

    def close(self) -> None:
        """Close every view."""
        for view in self._views:
            view.close()
