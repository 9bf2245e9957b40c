from dataclasses import replace

import pytest

from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.watch.expectation import Expectation
from orchestrator.watch.scoreboard import Scoreboard


def trial(number, score=None, state=TrialState.RUNNING, **fields):
    value, scores = (None, ()) if score is None else (-score, (score,))
    return TrialRecord(
        number=number, config={}, state=state, attempt=0, score=score, scores=scores, value=value, **fields
    )


def ran(seconds, state=TrialState.FINISHED):
    return trial(0, state=state, started=1000.0, ended=1000.0 + seconds)


def test_the_best_is_the_lowest_score_and_of_equals_the_first():
    """Its value, as the user knows it, is the history."""
    board = Scoreboard()
    taken = [board.consider(trial(n, score)) for n, score in enumerate([3.0, 2.0, 2.0, 5.0, 1.0])]
    assert taken == [True, True, False, False, True]
    assert (board.best.number, board.best_history) == (4, [-3.0, -2.0, -1.0])


def test_of_equal_scores_the_trial_begun_first_is_the_best_whenever_it_ended():
    """The live view and best.yaml name the same trial; the value did not improve."""
    board = Scoreboard()
    assert [board.consider(trial(number, 1.0)) for number in (7, 3, 5)] == [True, True, False]
    assert (board.best.number, board.best_history) == (3, [-1.0])


@pytest.mark.parametrize("state", [TrialState.FAILED, TrialState.CANCELED])
def test_what_failed_is_not_considered(state):
    """Whatever it had reported."""
    board = Scoreboard()
    assert not board.consider(trial(0, 1.0, state))
    assert board.best is None


def test_a_trial_without_a_score_is_not_considered():
    """It has reported nothing finite yet."""
    assert not Scoreboard().consider(trial(0))


@pytest.mark.parametrize(
    ("now", "fallen"),
    [
        (trial(0, 1.0, TrialState.FAILED), True),
        (trial(0), True),
        (trial(0, 2.0), True),
        (trial(0, 1.0, TrialState.FINISHED), False),
        (trial(0, 0.5), False),
        (trial(1, 9.0), False),
    ],
)
def test_the_best_falls_when_it_gets_worse(now, fallen):
    """It failed, started over, or its last value counts and is worse; other trials do not matter."""
    board = Scoreboard()
    board.consider(trial(0, 1.0))
    sought = []
    assert board.new_best(now, lambda: sought.append(now) or [now]) is None or now.score < 1.0
    assert bool(sought) is fallen


def test_without_a_best_nothing_falls():
    """The first failure of a sweep."""
    assert Scoreboard().new_best(trial(0, None, TrialState.FAILED), list) is None


def test_the_best_is_found_anew_among_all():
    """After the best has failed."""
    board = Scoreboard()
    board.consider(trial(0, 1.0))
    everybody = [trial(0, 1.0, TrialState.FAILED), trial(1, 3.0), trial(2, 2.0)]
    assert board.new_best(everybody[0], lambda: everybody) is None
    assert board.best.number == 2


def test_counts_follow_every_change_of_state():
    """Each trial is in exactly one column."""
    board = Scoreboard()
    first = trial(0, state=TrialState.PENDING)
    board.add(first)
    board.move(first, replace(first, state=TrialState.RUNNING))
    assert {state: n for state, n in board.counts.items() if n} == {TrialState.RUNNING: 1}
    assert board.succeeded == 0
    board.move(replace(first, state=TrialState.RUNNING), replace(first, state=TrialState.STOPPED))
    assert board.succeeded == 1


def test_time_left_is_unknown_until_a_trial_has_worked():
    """One that failed at once says nothing; nor can it be known without slots or without an end."""
    board = Scoreboard()
    board.took(ran(1.0, TrialState.FAILED))
    assert board.time_left(10, 2, [], 0.0, Expectation()) is None
    board.took(ran(60.0))
    assert board.time_left(None, 2, [], 0.0, Expectation()) is None
    assert board.time_left(10, 0, [], 0.0, Expectation()) is None


def test_time_left_goes_down_with_the_clock_until_it_is_sought_again():
    """Between two looks it is what it was, less the time since; a sweep without trials left has none."""
    board = Scoreboard()
    for number in range(20):
        board.took(ran(60.0))
        board.add(trial(number, state=TrialState.FINISHED))
    first = board.time_left(40, 2, [(0.0, 0)] * 2, 100.0, Expectation())
    assert first.low_s < 600.0 < first.high_s
    later = board.time_left(40, 2, [(3.0, 0)] * 2, 103.0, Expectation())
    assert later.typical_s == pytest.approx(first.typical_s - 3.0)
    assert board.time_left(20, 2, [], 200.0, Expectation()).high_s == 0.0


def test_time_left_is_said_from_the_first_trials_rows_on():
    """Before one has ended: half of its rows took ten seconds, and so will the other half, and nine more trials."""
    board = Scoreboard()
    said = board.time_left(10, 1, [(10.0, 5)], 0.0, Expectation(n_rows=10, n_values=10))
    assert said.low_s < 190.0 < said.high_s
    assert board.time_left(10, 1, [(10.0, 5)], 1e9, Expectation()) is None
