"""What became of the trials that were running when a controller died: settled before the sweep goes on."""

import time
from pathlib import Path

from orchestrator.consequences import Asker, History, Request, verdict
from orchestrator.launching import Launcher
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.ledger.store import Ledger
from orchestrator.trial.endings import Ending, ended_event, left_behind
from orchestrator.trial.events import Cause, Ended, Reported
from orchestrator.trial.processes import end_marked
from orchestrator.trial.reports import FILE, ReportTail


def settle(ledger: Ledger, launcher: Launcher, *, retries: int) -> dict[int, History]:
    """Settle every trial that the ledger has as running, and return how often each trial ended badly so far.

    A trial that came to its end after its controller died is recorded with all of its reports, and never runs again. The
    others wait for another attempt, which nobody counts: it was not their fault; a trial that a rule was about to end early
    is over. Processes of the sweep that are still on
    this machine are killed first, so that none of them is at work beside its successor.
    """
    histories: dict[int, History] = {}
    for end in ledger.ends():
        histories.setdefault(end["trial"], History()).count(Cause(end["cause"]))
    running = [trial for trial in ledger.trials() if trial.state is TrialState.RUNNING]
    if running:
        end_marked(f"SWEEP_ID={ledger.sweep.sweep_id}")
    for trial in running:
        history = histories.setdefault(trial.number, History())
        if left_behind(launcher.sweep_dir.trial(trial.number), trial.attempt) is not None:
            _record_end(ledger, launcher, trial, history, retries)
        else:
            _give_up(ledger, trial)
    return histories


def _give_up(ledger: Ledger, trial: TrialRecord) -> None:
    """Settle a trial whose attempt came to no end: what had been decided about it holds, else it runs again."""
    request = _request(ledger, trial)
    if request is None or request.asker is Asker.INTERRUPT:
        ledger.requeue(trial.number, "its controller died")
        return
    ended = Ended(trial=trial.number, attempt=trial.attempt, time=time.time(), cause=Cause.STOPPED)
    ledger.record([ended], {trial.number: (request.asker.value, request.reason)})


def _record_end(ledger: Ledger, launcher: Launcher, trial: TrialRecord, history: History, retries: int) -> None:
    launch = launcher.launch(trial.number, trial.attempt, trial.config)
    tail = ReportTail(Path(launch.trial_dir) / FILE, trial.attempt)
    reports = tail.read()
    tail.close()
    request = _request(ledger, trial)
    ending = Ending(asked=request is not None, names={name for report in reports for name in report.metrics})
    ended = ended_event(launch, ending)
    history.count(ended.cause)
    found = verdict(ended.cause, history, retries=retries, request=request)
    missing = tuple(reports[trial.n_reports :])
    late = [Reported(trial=trial.number, attempt=trial.attempt, reports=missing)] if missing else []
    ledger.record([*late, ended], {trial.number: (found.state, found.reason)})


def _request(ledger: Ledger, trial: TrialRecord) -> Request | None:
    """What a trial had been asked before its controller died."""
    asked = ledger.asked(trial.number)
    return Request(asker=Asker[asked[0].upper()], reason=asked[1]) if asked else None
