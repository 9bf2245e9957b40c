"""What the ledger holds, as values: sweeps, trials, attempts, decisions, and the states a trial may pass through."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from orchestrator.trial.contract.events import Cause


class TrialState(StrEnum):
    """State of a trial. `TRANSITIONS` says which may follow which."""

    PENDING = "pending"  # recorded, its config chosen, no attempt running
    RUNNING = "running"  # an attempt was handed to a worker
    FINISHED = "finished"
    STOPPED = "stopped"  # ended early by a rule or its user: what it showed counts
    FAILED = "failed"
    CANCELED = "canceled"  # ended by the user for good


TRANSITIONS: Mapping[TrialState, frozenset[TrialState]] = {
    TrialState.PENDING: frozenset({TrialState.RUNNING, TrialState.CANCELED}),
    TrialState.RUNNING: frozenset(
        {TrialState.PENDING, TrialState.FINISHED, TrialState.STOPPED, TrialState.FAILED, TrialState.CANCELED}
    ),
    TrialState.FINISHED: frozenset({TrialState.PENDING}),  # `sweep retry`
    TrialState.STOPPED: frozenset({TrialState.PENDING}),
    TrialState.FAILED: frozenset({TrialState.PENDING}),
    TrialState.CANCELED: frozenset({TrialState.PENDING}),
}


class Asker(StrEnum):
    """Who asks a running trial to end."""

    RULE = "rule"  # early termination
    LIMIT = "limit"  # `orchestrator.stop`, asha's `max_t`
    USER = "user"  # the user, this one trial: what it showed counts
    CANCEL = "cancel"  # the user, for good
    INTERRUPT = "interrupt"  # Ctrl-C or a budget, for now


class Decided(StrEnum):
    """What is decided about a trial, besides who asks it to end."""

    AGAIN = "again"  # it runs again: nothing that it did ended it, or it may fail once more
    RETRY = "retry"  # it runs again as if it never had
    CANCELED = "canceled"  # it never runs
    AMENDED = "amended"  # its end means something else as the spec is now


class SweepState(StrEnum):
    """What the user has asked of a sweep, and whether it is over."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"  # no new trials
    CANCELING = "canceling"  # end running trials now
    FINISHED = "finished"
    FAILED = "failed"  # over, and no trial has worked
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class WandbSweep:
    """A sweep on a W&B server."""

    entity: str
    project: str
    sweep_id: str

    @classmethod
    def parse(cls, path: str) -> "WandbSweep":
        """Return what ``entity/project/id`` says."""
        entity, project, sweep_id = path.split("/")
        return cls(entity=entity, project=project, sweep_id=sweep_id)

    def __str__(self) -> str:
        return f"{self.entity}/{self.project}/{self.sweep_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRecord:
    """The one row about the sweep itself.

    Attributes:
        spec_text: The spec that is run: what its author wrote with what the command line changed.
        seed: The spec's, or drawn once when it has none.
        wandb_sweep_id: Its path on the W&B server, ``entity/project/id``; None while it is not there.
        active_s: Seconds that controllers have spent on it so far.
        source_path: The file the spec was read from, as it was read (`source_text`); None for a spec from Python.
        exit_code: What its last controller ended with; None while one runs, and where none could say.
    """

    sweep_id: str
    name: str
    spec_text: str
    seed: int
    state: SweepState
    created: float
    cwd: str
    reason: str | None = None
    wandb_sweep_id: str | None = None
    source_path: str | None = None
    source_text: str | None = None
    active_s: float = 0.0
    exit_code: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether its last controller came to an end in order."""
        return self.state in {SweepState.FINISHED, SweepState.FAILED, SweepState.INTERRUPTED}

    @property
    def wandb_sweep(self) -> WandbSweep | None:
        """The sweep on the W&B server, if it is there."""
        return WandbSweep.parse(self.wandb_sweep_id) if self.wandb_sweep_id else None

    def standing(self, holder: str | None) -> SweepState:
        """Return where the sweep stands: what its ledger says, but one that nobody controls does not run.

        Args:
            holder: Who controlled it before this was read (later it may have ended); None for nobody.
        """
        return self.state if self.is_over or holder is not None else SweepState.INTERRUPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What of a running sweep only its controller knows.

    Attributes:
        began: When it would have begun had it run without a break; Unix time in seconds.
        slots: Trials that fit at once.
        total: How many trials it will have; None for a sweep without an end.
        problem: Why nothing can be placed; None when something can.
    """

    began: float
    slots: int
    total: int | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided about a trial's attempt: `what` is an `Asker` or a `Decided`, or a later release's word."""

    id: int
    time: float
    trial: int
    attempt: int
    what: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """A trial and its objective so far.

    Attributes:
        value: The metric as the user knows it: best or last by `orchestrator.objective`; None when never reported.
        score: `value` turned so that lower is better; None when there is none or it is not finite.
        step: Position (n-th row with the metric, from 1) of `value`; None where it is in the trial's summary alone.
        own_step: The step that the script gave there, or W&B counted; None where there is none.
        n_reports: Rows recorded in the current attempt.
        cause: Why the last attempt ended.
        error: One line, for failed trials.
    """

    number: int
    config: Mapping[str, Any]
    state: TrialState
    attempt: int
    value: float | None = None
    score: float | None = None
    scores: tuple[float, ...] = ()
    step: int | None = None
    own_step: int | None = None
    n_reports: int = 0
    cause: Cause | None = None
    error: str | None = None
    reason: str | None = None
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    order: int | None = None
    host: str | None = None
    gpu_ids: tuple[str, ...] = ()
    run_id: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    def reached_at(self, unit: str = "row") -> str:
        """Return where `value` comes from: ``row 3``, with the script's step, or the summary that it made itself."""
        if self.step is None:
            return "its summary"
        return f"{unit} {self.step}" + (f" (step {self.own_step})" if says_more(self.own_step, self.step) else "")

    @property
    def took_s(self) -> float | None:
        """Seconds from the last attempt's start to its end; None where either is not known."""
        return max(0.0, self.ended - self.started) if self.started and self.ended else None


def says_more(own_step: int | None, row: int) -> bool:
    """Return whether a script's step is more than a count of its rows, from 0 or 1."""
    return own_step is not None and own_step not in {row - 1, row}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One execution of a trial; `cause` is None while it has not ended."""

    trial: int
    attempt: int
    begun: float
    started: float | None = None
    ended: float | None = None
    pid: int | None = None
    host: str | None = None
    gpu_ids: tuple[str, ...] = ()
    cold_reason: str | None = None
    cause: Cause | None = None
    exit_code: int | None = None
    signal: int | None = None
    error: str | None = None
    log_tail: tuple[str, ...] = ()
