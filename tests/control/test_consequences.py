from dataclasses import replace

import pytest

from orchestrator.control.consequences import (
    MAX_LOSSES,
    SAME_ERRORS,
    Breaker,
    History,
    Request,
    attributed,
    verdict,
)
from orchestrator.ledger.records import Asker, TrialState
from orchestrator.trial.contract.events import Cause, Ended


def ends(*causes: Cause, retries: int = 0, request: Request | None = None) -> list[TrialState]:
    """The states a trial goes through when its attempts end with these causes."""
    history = History()
    states = []
    for cause in causes:
        history.count(cause)
        states.append(verdict(cause, history, retries=retries, request=request).state)
    return states


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_has_a_consequence(cause):
    """No way for an attempt to end is forgotten in the table."""
    assert ends(cause)[0] in set(TrialState)


@pytest.mark.parametrize("asker", list(Asker))
def test_who_stopped_a_trial_is_in_its_cause(asker):
    """A worker says that it was stopped, and only its user's wish has a cause of its own; an own failure stays one."""
    ended, request = Ended(trial=2, attempt=0, time=0.0, cause=Cause.STOPPED), Request(asker=asker, reason="asked")
    expected = Cause.STOPPED_BY_USER if asker is Asker.USER else Cause.STOPPED
    assert attributed(ended, request).cause is expected
    assert attributed(ended, None) is ended
    assert attributed(replace(ended, cause=Cause.FAILED), request).cause is Cause.FAILED


def test_own_failures_are_retried_as_often_as_the_spec_says():
    """With `retries: 2` the third own failure is final."""
    assert ends(Cause.FAILED, Cause.KILLED, Cause.TIMED_OUT, retries=2) == [
        TrialState.PENDING,
        TrialState.PENDING,
        TrialState.FAILED,
    ]


def test_lost_workers_and_nodes_do_not_count_as_failures():
    """A trial that lost its node and its worker still has its only retry when it fails by itself."""
    states = ends(Cause.NODE_LOST, Cause.WORKER_LOST, Cause.FAILED, Cause.FAILED, retries=1)
    assert states == [TrialState.PENDING] * 3 + [TrialState.FAILED]


def test_preemption_never_ends_a_trial():
    """Spot nodes may take a trial away any number of times."""
    assert set(ends(*[Cause.PREEMPTED] * 50)) == {TrialState.PENDING}


def test_a_trial_that_kills_its_workers_fails_in_the_end():
    """The same trial losing worker after worker is not bad luck."""
    assert ends(*[Cause.WORKER_LOST] * MAX_LOSSES) == [TrialState.PENDING] * (MAX_LOSSES - 1) + [TrialState.FAILED]


@pytest.mark.parametrize("cause", [Cause.OUT_OF_MEMORY, Cause.NO_METRIC, Cause.NOT_STARTED])
def test_what_would_fail_again_is_not_retried(cause):
    """Retries are for accidents."""
    assert ends(cause, retries=9) == [TrialState.FAILED]


@pytest.mark.parametrize(
    ("asker", "state"),
    [
        (Asker.RULE, TrialState.STOPPED),
        (Asker.USER, TrialState.STOPPED),
        (Asker.CANCEL, TrialState.CANCELED),
        (Asker.INTERRUPT, TrialState.PENDING),
    ],
)
@pytest.mark.parametrize("cause", [Cause.STOPPED, Cause.FAILED, Cause.KILLED, Cause.WORKER_LOST])
def test_who_asked_for_the_end_decides_what_it_means(asker, state, cause):
    """However clumsily a program ends when asked to, it ended because it was asked to."""
    assert ends(cause, request=Request(asker=asker, reason="asked")) == [state]


@pytest.mark.parametrize("asker", list(Asker))
def test_a_trial_that_finished_before_the_signal_came_has_finished(asker):
    """A finished trial is never run again and never called stopped."""
    assert ends(Cause.FINISHED, request=Request(asker=asker, reason="asked")) == [TrialState.FINISHED]


def failed(error: str) -> Ended:
    return Ended(trial=0, attempt=0, time=0.0, cause=Cause.FAILED, exit_code=1, error=error)


def test_the_breaker_trips_on_one_error_in_every_first_trial():
    """Numbers and addresses in a message do not make it another error."""
    breaker = Breaker()
    errors = [breaker.failed(failed(f"ValueError: shape {n} at 0x7f{n}")) for n in range(SAME_ERRORS)]
    assert errors == [None] * (SAME_ERRORS - 1) + [f"ValueError: shape {SAME_ERRORS - 1} at 0x7f{SAME_ERRORS - 1}"]


def test_the_breaker_is_not_for_different_errors():
    """Errors that differ are news about configs."""
    breaker = Breaker()
    assert not any(breaker.failed(failed(f"{name}: x")) for name in ["A", "B"] * SAME_ERRORS)


def test_the_breaker_is_off_once_a_trial_worked():
    """After a success the program is known to run."""
    breaker = Breaker()
    breaker.succeeded()
    assert not any(breaker.failed(failed("E: x")) for _ in range(SAME_ERRORS * 2))
