"""What became of the trials that were running when a controller died: settled before the sweep goes on."""

from pathlib import Path

from orchestrator.consequences import History, verdict
from orchestrator.launching import Launcher
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.ledger.store import Ledger
from orchestrator.trial.endings import Ending, ended_event, left_behind
from orchestrator.trial.events import Cause, Reported
from orchestrator.trial.processes import end_marked
from orchestrator.trial.reports import FILE, ReportTail


def settle(ledger: Ledger, launcher: Launcher, *, retries: int) -> dict[int, History]:
    """Settle every trial that the ledger has as running, and return how often each trial ended badly so far.

    A trial that came to its end after its controller died is recorded with all of its reports, and never runs again. The
    others wait for another attempt, which nobody counts: it was not their fault. Processes of the sweep that are still on
    this machine are killed first, so that none of them is at work beside its successor.
    """
    histories: dict[int, History] = {}
    for end in ledger.ends():
        histories.setdefault(end["trial"], History()).count(Cause(end["cause"]))
    running = [trial for trial in ledger.trials() if trial.state is TrialState.RUNNING]
    if running:
        end_marked(f"SWEEP_ID={ledger.sweep.sweep_id}")
    for trial in running:
        if left_behind(launcher.sweep_dir.trial(trial.number), trial.attempt) is None:
            ledger.requeue(trial.number, "its controller died")
        else:
            _record_end(ledger, launcher, trial, histories.setdefault(trial.number, History()), retries)
    return histories


def _record_end(ledger: Ledger, launcher: Launcher, trial: TrialRecord, history: History, retries: int) -> None:
    launch = launcher.launch(trial.number, trial.attempt, trial.config)
    tail = ReportTail(Path(launch.trial_dir) / FILE, trial.attempt)
    reports = tail.read()
    tail.close()
    ending = Ending(names={name for report in reports for name in report.metrics})
    ended = ended_event(launch, ending)
    history.count(ended.cause)
    found = verdict(ended.cause, history, retries=retries)
    missing = tuple(reports[trial.n_reports :])
    late = [Reported(trial=trial.number, attempt=trial.attempt, reports=missing)] if missing else []
    ledger.record([*late, ended], {trial.number: (found.state, found.reason)})
