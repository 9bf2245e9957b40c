"""Scores a sweep's trials anew by what they reported, after its author changed what is measured; nothing runs again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from orchestrator.control.recovery import told
from orchestrator.layout import SweepDir
from orchestrator.ledger.curves import Objective
from orchestrator.ledger.metrics import DENSE_ROWS
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.ledger.store import Ledger
from orchestrator.trial.contract.events import Cause, Report, Reported
from orchestrator.trial.runner.endings import no_metric

OWN_ENDS = {(TrialState.FINISHED, Cause.FINISHED), (TrialState.FAILED, Cause.NO_METRIC)}
"""Ends that differ only in whether the metric was there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescored:
    """What came of it: numbers of trials.

    Attributes:
        scored: Those with a score now.
        mended: Those that had failed without the metric, and count as finished now.
        without: Those that had finished, and count as failed now: they never reported the metric.
        thinned: Those of which only the ledger's thinned rows are left.
    """

    scored: Sequence[int]
    mended: Sequence[int]
    without: Sequence[int]
    thinned: Sequence[int]


def rescore(ledger: Ledger, sweep_dir: SweepDir, objectives: Sequence[Objective]) -> Rescored:
    """Score every trial by `objectives` instead of those that the ledger was loaded with, in one transaction."""
    before = {trial.number: trial.state for trial in ledger.trials()}
    with ledger.transaction("rescore"):
        ledger.aim(objectives)
        thinned = [trial.number for trial in ledger.trials() if _rescore(ledger, sweep_dir, trial)]
    after = ledger.trials()
    changed = [trial for trial in after if trial.state is not before[trial.number]]
    return Rescored(
        scored=[trial.number for trial in after if trial.score is not None],
        mended=[trial.number for trial in changed if trial.state is TrialState.FINISHED],
        without=[trial.number for trial in changed if trial.state is TrialState.FAILED],
        thinned=thinned,
    )


def _rescore(ledger: Ledger, sweep_dir: SweepDir, trial: TrialRecord) -> bool:
    """Score one trial, and say whether only thinned rows are left of what it reported."""
    trial_dir = sweep_dir.trial(trial.number)
    apart: dict[str, tuple[str, ...]] = {}
    events, is_thinned = list(_kept(ledger, trial)), trial.n_reports > DENSE_ROWS
    if trial_dir.reports_path.exists():
        events, is_thinned = [], False
        for attempt in range(trial.attempt + 1):
            reports, _, _, apart = told(trial_dir, attempt)
            events.append(Reported(trial=trial.number, attempt=attempt, reports=tuple(reports)))
    if trial.state is TrialState.RUNNING and events:  # its controller died; what it did not hear is told by recovery
        heard = events[-1].reports[: ledger.metrics.n_told(trial.number)]
        events[-1] = Reported(trial=trial.number, attempt=trial.attempt, reports=heard)
    ledger.rescore(trial.number, events)
    _amend(ledger, trial, apart)
    return is_thinned


def _kept(ledger: Ledger, trial: TrialRecord) -> Iterator[Reported]:
    """What the ledger itself keeps of the objectives, by attempt: the trial's own file may lie on another node."""
    names = {objective.name for objective in ledger.scores.objectives}
    rows = sorted((row for row in ledger.metrics.of(trial.number) if row.name in names), key=lambda row: row.attempt)
    for attempt, of_attempt in groupby(rows, key=lambda row: row.attempt):
        reports = [
            Report(index=i, time=row.time, step=row.step, metrics={row.name: row.value})
            for i, row in enumerate(of_attempt)
        ]
        yield Reported(trial=trial.number, attempt=attempt, reports=tuple(reports))


def _amend(ledger: Ledger, trial: TrialRecord, apart: dict[str, tuple[str, ...]]) -> None:
    """Judge anew whether a trial that came to its own end had reported the metric."""
    if (trial.state, trial.cause) not in OWN_ENDS:
        return
    metric = ledger.scores.objectives[0].name if ledger.scores.objectives else None
    if metric is None or (metric in trial.metrics and metric not in apart):
        state, cause, error = TrialState.FINISHED, Cause.FINISHED, None
    else:
        state, cause = TrialState.FAILED, Cause.NO_METRIC
        error = no_metric(metric, set(trial.metrics), apart.get(metric, ()))
    if (cause, error) != (trial.cause, trial.error):
        ledger.amend(trial.number, state, cause, error)
