import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.diagnosis.examine import examine
from orchestrator.diagnosis.model import Case, Issue, Series

FALLING = [2.3 * 0.7**i + 0.1 for i in range(12)]


def issues(case):
    return [flag.issue for flag in examine(case)]


def test_a_curve_that_comes_down_with_its_training_curve_is_healthy(a_case):
    """Learning is no issue."""
    assert issues(a_case(train__loss=FALLING, valid__loss=[v + 0.05 for v in FALLING])) == []


@pytest.mark.parametrize("seed", range(20))
def test_noise_on_a_healthy_curve_raises_no_flag(a_case, seed):
    """Curves that come down and then go up and down by 5 %, among peers alike."""
    noise = np.random.default_rng(seed).normal(1, 0.05, (4, 40))
    down = 2.0 * 0.8 ** np.arange(40) + 0.3
    case = a_case(
        {"peer_score": 0.29},
        train__loss=down * noise[0],
        valid__loss=(down + 0.05) * noise[1],
        train__accuracy=1 - 0.3 * down * noise[2] / 2.3,
        valid__accuracy=1 - 0.3 * (down + 0.05) * noise[3] / 2.3,
    )
    assert issues(case) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_metric_that_ends_not_finite_is_told_with_its_first_such_report(a_case, bad):
    """Since when, and which metric was the first."""
    (flag,) = examine(a_case(train__loss=[2.0, 1.0, bad, bad, bad], valid__loss=[2.0, 1.0, 0.9, bad, bad]))
    assert (flag.issue, flag.since) == (Issue.NAN, 3)
    assert flag.evidence == f"train/loss is {bad} since its row 3, as 1 more"


def test_a_nan_that_went_away_is_no_issue(a_case):
    """One undefined value among good ones, as a metric of an empty class has."""
    assert issues(a_case(valid__auc=[0.5, math.nan, 0.7, 0.8, 0.9])) == []


def test_a_loss_far_above_its_beginning_diverges(a_case):
    """And the evidence names where it came from and went to."""
    (flag,) = examine(a_case(train__loss=[2.3, 2.0, 9.0, 60.0, 500.0, 4000.0, 9000.0]))
    assert (flag.issue, flag.since) == (Issue.DIVERGING, 3)
    assert flag.evidence == "train/loss went from 2.3 to 9e+03, its best was 2"


def test_one_spike_is_not_divergence(a_case):
    """A single bad batch passes."""
    assert issues(a_case(train__loss=[2.3, 1.0, 900.0, 0.9, 0.8, 0.7])) == []


def test_a_loss_that_jumps_about_above_its_peers_is_unstable(a_case):
    """A learning rate too high: there is no way down."""
    case = a_case({"peer_score": 0.3}, valid__loss=[5.75, 6.41, 15.9, 8.57, 12.2, 6.7, 6.64, 12.57])
    assert issues(case) == [Issue.DIVERGING]


def test_a_loss_that_comes_down_roughly_above_its_peers_is_unstable_too(a_case):
    """It rises as much as it falls; one that learns slowly, with noise on it, does not."""
    rough = [10.28, 11.43, 8.98, 8.41, 8.54, 7.17, 6.17, 6.71]
    assert issues(a_case({"peer_score": 0.3}, valid__loss=rough)) == [Issue.DIVERGING]
    slow = 2.3 - np.linspace(0, 1.2, 300) + np.random.default_rng(0).normal(0, 0.05, 300)
    assert issues(a_case({"peer_score": 0.3}, valid__loss=slow)) == []


def test_overfitting_is_valid_turning_up_while_train_goes_on_down(a_case):
    """For losses, accuracies and bare names beside val_ ones."""
    up = [2.0, 1.2, 0.8, 0.6, 0.7, 0.85, 1.0, 1.1, 1.2]
    down = [2.0, 1.0, 0.6, 0.4, 0.25, 0.15, 0.1, 0.05, 0.01]
    (flag,) = examine(a_case(train__loss=down, valid__loss=up))
    assert (flag.issue, flag.since) == (Issue.OVERFITTING, 4)
    assert "valid/loss was best with 0.6 at its row 4 and is 1.2 now" in flag.evidence
    assert issues(a_case(loss=down, val_loss=up)) == [Issue.OVERFITTING]
    rates = {"trainAccuracy": [1 - v / 3 for v in down], "evalAccuracy": [1 - v / 3 for v in up]}
    assert issues(a_case(**rates)) == [Issue.OVERFITTING]


def test_an_accuracy_that_falls_beside_a_loss_that_does_not_turn_is_noise(a_case):
    """A few samples of a small validation set; alone, the accuracy would say so."""
    rates = {
        "train__accuracy": [0.85, 0.93, 0.96, 0.975, 0.98, 0.985, 0.99, 0.996],
        "valid__accuracy": [0.85, 0.92, 0.95, 0.96, 0.975, 0.958, 0.96, 0.96],
    }
    losses = {
        "train__loss": [0.9, 0.4, 0.25, 0.16, 0.12, 0.09, 0.07, 0.05],
        "valid__loss": [0.9, 0.45, 0.3, 0.22, 0.19, 0.18, 0.17, 0.17],
    }
    assert issues(a_case(**rates)) == [Issue.OVERFITTING]
    assert issues(a_case(**rates, **losses)) == []


def test_a_validation_curve_that_rises_with_its_training_curve_does_not_overfit(a_case):
    """Both get worse: that is something else."""
    up = [2.0, 1.2, 0.8, 0.6, 0.7, 0.85, 1.0, 1.1, 1.2]
    assert issues(a_case(train__loss=up, valid__loss=up)) == []


def test_a_trial_that_stays_where_it_began_never_learned_if_others_did(a_case):
    """Chance level is told by what the other trials reached; alone, nobody can say."""
    flat = [2.31, 2.30, 2.31, 2.30, 2.31, 2.30]
    (flag,) = examine(a_case({"peer_score": 0.4}, valid__loss=flat))
    assert flag.issue is Issue.NEVER_LEARNED
    assert flag.evidence == "valid/loss was 2.31 at first and 2.3 at best; half of the other trials reached 0.4"
    assert issues(a_case(valid__loss=flat)) == []
    assert issues(a_case({"peer_score": 2.3}, valid__loss=flat)) == []


def test_a_maximised_metric_is_judged_the_right_way_round(a_case):
    """An accuracy at chance, while others have 0.9."""
    case = a_case({"objective": "accuracy", "sign": -1.0, "peer_score": -0.9}, accuracy=[0.10, 0.101, 0.10, 0.099, 0.1])
    (flag,) = examine(case)
    assert flag.evidence == "accuracy was 0.1 at first and 0.101 at best; half of the other trials reached 0.9"


def test_a_curve_that_stalls_early_and_badly_is_a_plateau(a_case):
    """One that stalls where the others are too has converged."""
    stalled = [2.3, 1.6, 1.2, 1.0, *[1.0] * 12]
    (flag,) = examine(a_case({"peer_score": 0.3}, valid__loss=stalled))
    assert (flag.issue, flag.since) == (Issue.PLATEAU, 4)
    assert issues(a_case({"peer_score": 1.0}, valid__loss=stalled)) == []


values = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=12)


@given(a=values, b=values, peer=st.none() | st.floats(allow_nan=False, allow_infinity=False))
def test_every_curve_can_be_examined(a, b, peer):
    """Whatever a program reports, a diagnosis is an answer."""
    series = {
        name: Series(name=name, values=v, reports=list(range(1, len(v) + 1)), times=[float(i) for i in range(len(v))])
        for name, v in {"train/loss": a, "valid/loss": b, "watch/gradient_norm": a}.items()
    }
    examine(Case(series=series, objective="valid/loss", peer_score=peer, begun=0.0, now=20.0))
