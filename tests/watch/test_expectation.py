import pytest

from orchestrator.reporting.pace import Pace
from orchestrator.spec import load_text
from orchestrator.watch.expectation import Expectation, ended_early

TEXT = "program: t.py\nmethod: random\nmetric: {name: loss}\nparameters: {a: {min: 0.0, max: 1.0}}\n"
HALVING = TEXT + "early_terminate: {type: hyperband, min_iter: 3, eta: 3}\n"


def expected(text=TEXT, pace=None):
    return Expectation.of(load_text(text).require(), pace)


def test_rows_of_the_first_trial_tell_how_long_it_will_take():
    """Where it is known how many it makes: from a tried one, or from the spec; else nothing is said."""
    assert expected().seconds([(10.0, 5)]) == ([], 0)
    tried = expected(pace=Pace(took_s=(50.0,), n_rows=20, n_values=20))
    assert tried.seconds([]) == ([50.0], 1)
    assert tried.seconds([(3.0, 0)]) == ([50.0], 1)
    assert tried.seconds([(10.0, 5), (12.0, 4)]) == ([40.0, 60.0], 2)
    assert expected(TEXT + "orchestrator: {stop: {training_iteration: 10}}\n").seconds([(10.0, 5)]) == ([20.0], 1)


@pytest.mark.parametrize(
    ("rule", "share"), [("{type: hyperband, min_iter: 3, eta: 3}", 0.2), ("{type: median, min_iter: 5}", 0.6)]
)
def test_a_rule_ends_the_share_that_it_is_there_to_end(rule, share):
    """Two in three at row 3 of 20, two in nine at row 9; half at the median's first look."""
    early = load_text(f"{TEXT}early_terminate: {rule}\n").require().early_terminate
    taken = ended_early([100.0], 20, early)
    assert max(taken) == 100.0
    assert sum(taken) / len(taken) == pytest.approx(100 * share, rel=0.6)
    assert ended_early([100.0], None, early) == [100.0]
    assert ended_early([100.0], 2, early) == [100.0]


def test_rules_judge_by_values_of_the_objective():
    """Of which a trial makes fewer than rows."""
    pace = Pace(took_s=(100.0,), n_rows=1000, n_values=9)
    assert min(expected(HALVING, pace).seconds([(10.0, 100)])[0]) == pytest.approx(100 / 3)
