"""How a sweep comes to its end: why nothing is launched any more, and what that makes of it."""

from dataclasses import dataclass

from orchestrator.control.consequences import Breaker, Request
from orchestrator.errors import ExitCode
from orchestrator.ledger.ranking import WORTH_NOTHING
from orchestrator.ledger.records import Asker, TrialRecord, TrialState
from orchestrator.spec.model import Metric
from orchestrator.trial.contract.events import Ended
from orchestrator.watch.progress import SweepEnded


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Why nothing is launched any more.

    Attributes:
        code: The exit code; None when what the trials come to decides.
        request: What the running trials were asked to end with; None when they may finish.
        enough: Whether the sweep has what it was for: nobody misses a trial that still waits to run again.
    """

    reason: str
    code: ExitCode | None = None
    request: Request | None = None
    enough: bool = False

    def end(self, *, n_waiting: int, has_worked: bool) -> SweepEnded:
        """Return how the sweep ends, once nothing runs.

        Args:
            n_waiting: Trials that wait to run again.
            has_worked: Whether a trial succeeded, or there was none.
        """
        if self.code is None and n_waiting and not self.enough:
            left = f"{n_waiting} {'trial waits' if n_waiting == 1 else 'trials wait'} to run again"
            return SweepEnded(exit_code=ExitCode.INTERRUPTED, reason=f"{self.reason}; {left}")
        worked = ExitCode.DONE if has_worked else ExitCode.NO_TRIAL_SUCCEEDED
        return SweepEnded(exit_code=worked if self.code is None else self.code, reason=self.reason)


INTERRUPTED = Closing(
    reason="interrupted",
    code=ExitCode.INTERRUPTED,
    request=Request(asker=Asker.INTERRUPT, reason="interrupted"),
)

CANCELED = Closing(
    reason="canceled on request",
    code=ExitCode.INTERRUPTED,
    request=Request(asker=Asker.CANCEL, reason="canceled"),
)


def out_of_time(limit_s: float) -> Closing:
    """Return the end of a sweep whose time is over."""
    return Closing(
        reason=f"timeout.sweep of {limit_s:g} s is over; a longer one (--set orchestrator.timeout.sweep=...) goes on",
        code=ExitCode.BUDGET_STOPPED,
        request=Request(asker=Asker.INTERRUPT, reason="the sweep's time was over"),
    )


def out_of_budget(limit_h: float, used_h: float) -> Closing:
    """Return the end of a sweep whose GPU hours are used: running trials finish, for they have cost most of theirs."""
    return Closing(
        reason=f"the budget of {limit_h:g} GPU hours is used ({used_h:.4g}); a larger one (--set orchestrator.budget...) goes on",
        code=ExitCode.BUDGET_STOPPED,
    )


def target_reached(metric: Metric | None, trial: TrialRecord) -> Closing | None:
    """Return the end of a sweep that a trial's value is good enough for, if it is."""
    if metric is None or metric.target is None or trial.score is None or trial.state in WORTH_NOTHING:
        return None
    if trial.score > metric.goal.sign * metric.target:
        return None
    return Closing(reason=f"trial {trial.number} reached the target {metric.target:g}", enough=True)


def program_broken(breaker: Breaker, event: Ended, trial: TrialRecord) -> Closing | None:
    """Return the end of a sweep whose program fails in every trial, if it does; the breaker counts this trial's end."""
    if trial.state is not TrialState.FAILED:
        breaker.succeeded()
        return None
    error = breaker.failed(event)
    if error is None:
        return None
    return Closing(
        reason=f"the first {breaker.limit} trials all failed with the same error: {error}",
        code=ExitCode.NO_TRIAL_SUCCEEDED,
        request=Request(asker=Asker.INTERRUPT, reason="the program fails in every trial"),
    )
