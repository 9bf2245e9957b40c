"""What became of attempts whose worker or controller died before their end."""

import math
import time
from collections.abc import Sequence

from orchestrator.control.consequences import POLICIES, History, Policy, Request, attributed, verdict
from orchestrator.control.launching import Launcher
from orchestrator.control.running import Running
from orchestrator.layout import TrialDir
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.ledger.store import Ledger
from orchestrator.trial.contract.end_record import STOPPED_EXIT, give_up
from orchestrator.trial.contract.events import Ended, Report, Reported, TrialEvent
from orchestrator.trial.contract.launch import Launch
from orchestrator.trial.contract.reports import ReportTail
from orchestrator.trial.contract.rows import RunEnd
from orchestrator.trial.processes import end_marked
from orchestrator.trial.runner.endings import Ending, ended_event


def settle(ledger: Ledger, launcher: Launcher, *, retries: int) -> dict[int, History]:
    """Settle every trial that the ledger has as running, and return how often each trial ended badly so far.

    A trial that came to its end after its controller died is recorded with all of its reports, and never runs again. A
    trial that had been asked to end goes to the state of that request. The others get another attempt, which does not
    count as a retry: neither where the controller died alone, nor where the shutdown of a machine ended both; what they
    had reported is recorded, as the next attempt may go on behind it. Ends before `--retry-failed` do not count.
    Processes of the sweep that are still on this machine are killed first, so that no trial runs beside its successor.
    """
    histories: dict[int, History] = {}
    for number, cause in ledger.attempts.ends():
        histories.setdefault(number, History()).count(cause)
    running = [trial for trial in ledger.trials() if trial.state is TrialState.RUNNING]
    if running:
        end_marked(f"SWEEP_ID={ledger.sweep.record.sweep_id}")
    for trial in running:
        _settle(ledger, launcher, trial, histories.setdefault(trial.number, History()), retries)
    return histories


def _settle(ledger: Ledger, launcher: Launcher, trial: TrialRecord, history: History, retries: int) -> None:
    launch = launcher.launch(trial.number, trial.attempt, trial.config, trial.metrics)
    request = _request(ledger, trial.number)
    ended = untold_end(launch, asked=request is not None)
    late = untold_reports(launch, ledger.metrics.n_told(trial.number))
    if request is None and (ended is None or ended.exit_code == STOPPED_EXIT):
        ledger.record(late, {})
        ledger.give_up(trial.number, "its controller died", last_seen=_last_seen(launch, trial))
        return
    if ended is None:
        ended = ended_event(launch, Ending(asked_s=-math.inf))
    history.count(ended.cause)
    found = verdict(ended.cause, history, retries=retries, request=request)
    ledger.record([*late, attributed(ended, request)], {trial.number: (found.state, found.reason)})


def _last_seen(launch: Launch, trial: TrialRecord) -> float:
    """The time of an attempt's last sign of life: its start, its last output or its last report."""
    signs = [trial.started or trial.created]
    for path in (launch.dir.reports_path, launch.dir.log_path):
        try:
            signs.append(path.stat().st_mtime)
        except OSError:
            continue
    return min(max(signs), time.time())


def _request(ledger: Ledger, number: int) -> Request | None:
    """The request to end that the ledger has for a running trial."""
    asked = ledger.decisions.asked(ledger.trial(number))
    return None if asked is None else Request(asker=asked[0], reason=asked[1])


def whole_truth(event: TrialEvent, batch: Sequence[TrialEvent], running: Running, ledger: Ledger) -> list[TrialEvent]:
    """Return an event; for a loss all that the attempt had reported, and how it ended if that was before its worker was gone."""
    if not isinstance(event, Ended) or POLICIES[event.cause] is not Policy.AGAIN or event.exit_code is not None:
        return [event]
    ended = untold_end(running.launch, asked=running.request is not None)
    told = sum(len(e.reports) for e in batch if isinstance(e, Reported) and e.trial == event.trial)
    return [*untold_reports(running.launch, ledger.metrics.n_told(event.trial) + told), ended or event]


def untold_end(launch: Launch, *, asked: bool) -> Ended | None:
    """Return how an attempt ended that came to its end unseen; None when it did not, and then it never will.

    Args:
        launch: The attempt.
        asked: Whether it had been asked to end; it may have been before it ended, so that it did not finish then.
    """
    if give_up(launch.dir, launch.attempt) is None:
        return None
    return end_of(launch, asked=asked)


def end_of(launch: Launch, *, asked: bool = False) -> Ended:
    """Return how an attempt ended, by what it left behind."""
    ending = Ending(asked_s=-math.inf if asked else math.inf)
    reports, summary, said, ending.apart = told(launch.dir, launch.attempt)
    ending.hear(said, summary.keys() | {name for report in reports for name in report.metrics})
    return ended_event(launch, ending)


def untold_reports(launch: Launch, n_told: int) -> list[TrialEvent]:
    """Return the reports of an attempt that is over, after the first `n_told`, and what its summary has."""
    reports, summary, *_ = told(launch.dir, launch.attempt)
    missing = tuple(reports[n_told:])
    if not (missing or summary):
        return []
    return [Reported(trial=launch.trial, attempt=launch.attempt, reports=missing, summary=summary)]


def told(
    trial_dir: TrialDir, attempt: int
) -> tuple[list[Report], dict[str, float], RunEnd, dict[str, tuple[str, ...]]]:
    """Return what an attempt that is over has told: reports, summary, the end of its W&B run, names of several series."""
    tail = ReportTail(trial_dir.reports_path, attempt)
    try:
        return [*tail.read(), *tail.rest()], tail.summary(), tail.run_end, tail.apart
    finally:
        tail.close()
