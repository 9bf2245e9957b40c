import math
from dataclasses import replace

import pytest

from orchestrator.diagnosis.cases import case_of
from orchestrator.diagnosis.examine import examine
from orchestrator.diagnosis.model import Case, Issue, Series
from orchestrator.ledger.curves import Objective
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.ledger.rows import MetricRow
from orchestrator.trial.contract.events import Cause
from orchestrator.trial.contract.resource_use import GpuUse, Use
from orchestrator.trial.contract.watched import NORM, SPREAD


def gradients(norms=(), spreads=()):
    return Case(
        series={
            name: Series(name=name, values=v, reports=list(range(1, len(v) + 1)))
            for name, v in {NORM: norms, SPREAD: spreads}.items()
            if v
        }
    )


def issues(case):
    return [flag.issue for flag in examine(case)]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (gradients([1.0, 0.5, 0.1, 1e-4], [0.5, 0.2, 0.1, 0.1]), []),
        (gradients([1.0, 1.0], [1e-6, 1e-7]), [Issue.VANISHING]),
        (gradients([1.0], [1e-6]), []),
        (gradients([1.0], [1e-9]), [Issue.VANISHING]),
        (gradients([1.0, 0.0, 0.0, 0.0]), [Issue.VANISHING]),
        (gradients([1.0, 2.0, 900.0, 1e4, 1e5]), [Issue.EXPLODING]),
        (gradients([1.0, 2.0, 900.0, 1.0, 2.0]), []),
        (gradients([1.0, math.inf]), [Issue.EXPLODING]),
        (gradients([math.nan]), [Issue.EXPLODING]),
        (gradients([0.0, math.nan, 0.0]), []),
        (gradients([1.0, math.nan, 1.0], [1e-7, 1e-7]), []),
        (gradients([1.0, 1.0, 1.0], [1e-7, math.nan]), []),
    ],
)
def test_gradients_tell_by_their_spread_and_their_growth(case, expected):
    """A converged network's small gradients, one spike and one lone sample are no issue."""
    assert issues(case) == expected


def test_a_running_trial_that_fell_silent_is_told_with_its_usual_interval(a_case):
    """Ten usual intervals, and at least a minute."""
    values = [1.0, 0.9, 0.8, 0.7]
    assert issues(a_case({"now": 140.0}, valid__loss=values)) == []
    (flag,) = examine(a_case({"now": 203.0}, valid__loss=values))
    assert flag.evidence == "no row for 100 s; before, one every 1 s"


def test_a_trial_whose_time_was_over_says_whether_it_hung(a_case):
    """One that reported to its end was slow, not silent."""
    values = [1.0, 0.9, 0.8, 0.7]
    assert issues(a_case({"now": 125.0, "cause": "timed_out"}, valid__loss=values)) == [Issue.SILENT]
    assert issues(a_case({"now": 104.0, "cause": "timed_out"}, valid__loss=values)) == []
    (flag,) = examine(a_case({"now": 109.0, "cause": "timed_out"}))
    assert flag.evidence == "it reported nothing in 10 s"


def test_a_crash_is_told_with_its_error(a_case):
    """The first flag of all."""
    (flag,) = examine(a_case({"cause": "failed", "error": "ValueError: bad lr"}, valid__loss=[1.0]))
    assert (flag.issue, flag.evidence) == (Issue.CRASHED, "ValueError: bad lr")


def using(busy, *, seconds=600.0, n_looks=60, **fields):
    """A trial that used its GPU for a share of the time."""
    gpu = GpuUse(gpu="3", busy=busy, own_busy=None, used_bytes=1, own_bytes=None, total_bytes=2, power_w=None)
    use = Use(n_looks=n_looks, seconds=seconds, cpus=1.0, rss_bytes=1, n_processes=1, gpus=(gpu,))
    return Case(use=replace(use, **fields))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (using(0.3), "GPU 3 stood idle 70 % of 600 s, in 60 looks"),
        (using(0.1, seconds=61.0, n_looks=6), "GPU 3 stood idle 90 % of 61 s, in 6 looks"),
        (using(0.0, gpu_share=0.5), "GPU 3, which others used as well, stood idle 100 % of 600 s, in 60 looks"),
        (using(0.1, seconds=59.0), None),
        (using(0.1, n_looks=5), None),
        (using(0.3, seconds=100.0, n_looks=10), None),
        (using(0.45), None),
        (using(None), None),
        (using(0.0, gpus=(), problem="no NVML"), None),
        (using(0.0, gpus=()), None),
        (Case(), None),
    ],
    ids=["idle", "early", "shared", "young", "seldom", "unsure", "half", "mute", "unknown", "cpu", "unseen"],
)
def test_a_gpu_that_stood_idle_is_told_where_that_is_sure(case, expected):
    """By the worst spread that so few looks can have; a trial of a minute, and one of which nothing is known, is none."""
    assert [flag.evidence for flag in examine(case) if flag.issue is Issue.IDLE_GPU] == ([expected] if expected else [])


@pytest.mark.parametrize(("cause", "expected"), [(Cause.FINISHED, [Issue.NAN]), (Cause.TIMED_OUT, [Issue.SILENT])])
def test_a_trial_that_is_over_shows_the_rows_of_all_of_its_attempts(cause, expected):
    """Its last one may have had nothing to add; what that was silent for is told from its own beginning."""
    trial = TrialRecord(
        number=0, config={}, state=TrialState.FINISHED, attempt=1, created=0.0, started=500.0, ended=600.0, cause=cause
    )
    rows = [MetricRow(name="loss", report=i, attempt=0, step=i, time=i, value=math.nan) for i in range(3)]
    case = case_of(trial, rows, [Objective(name="loss", sign=1.0, last=False)], None)
    assert issues(case) == expected
