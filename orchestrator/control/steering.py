"""What a user asks of single trials, and changes of a sweep that has begun: told to its controller, or done where none runs."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.control.consequences import BY_USER, Request
from orchestrator.errors import SweepError
from orchestrator.layout import SweepDir
from orchestrator.ledger.curves import objectives_of
from orchestrator.ledger.lock import holder
from orchestrator.ledger.ranking import ENDED
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import Asker, SweepState, TrialRecord, TrialState
from orchestrator.ledger.requests import Action, Instruction, ask
from orchestrator.ledger.store import Ledger
from orchestrator.spec import dump, load_dict, load_recorded
from orchestrator.spec.dump import to_dict
from orchestrator.spec.model import SweepSpec

SETTABLE: Mapping[str, str] = {
    "run_cap": "run_cap",
    "concurrency": "orchestrator.concurrency",
    "timeout": "orchestrator.timeout.trial",
    "timeout.trial": "orchestrator.timeout.trial",
    "timeout.sweep": "orchestrator.timeout.sweep",
}
"""What may change while a sweep runs, and where the spec has it."""

NONE = frozenset({"none", "null", "off"})
"""What says that there is no limit."""

OF_SWEEPS: Mapping[str, str] = {
    Action.STOP: "no new trials; the running ones finish",
    Action.CANCEL: "running trials are ended now",
    Action.PAUSE: "on hold: the running trials finish, none are started",
    Action.UNPAUSE: "goes on",
}
"""What can be asked of a whole sweep, limits aside, and what follows where it runs."""

OF_TRIALS: Mapping[str, str] = {
    Action.STOP: "asked to end; what it showed counts",
    Action.CANCEL: "given up for good",
    Action.RETRY: "runs again as soon as there is a slot",
}
"""What can be asked of a trial, and what follows where its sweep runs."""

ALLOWED: Mapping[str, frozenset[TrialState]] = {
    Action.STOP: frozenset({TrialState.RUNNING}),
    Action.CANCEL: frozenset({TrialState.RUNNING, TrialState.PENDING}),
    Action.RETRY: ENDED,
}
"""The states in which a trial can be asked for something."""

REQUESTS: Mapping[str, Request] = {
    Action.STOP: BY_USER,
    Action.CANCEL: Request(asker=Asker.CANCEL, reason="its user gave it up"),
}
"""What a running trial is asked to end with."""

AGAIN = "its user wants it again"
"""Why a trial runs again that was over."""


def refusal(action: str, trial: TrialRecord) -> str | None:
    """Return why a trial cannot be asked for something, None when it can."""
    if trial.state in ALLOWED.get(action, ()):
        return None
    if trial.state is TrialState.RUNNING:
        return "it is running"
    if trial.state is TrialState.PENDING:
        return "it waits to run again" + ("" if action == Action.RETRY else "; `sweep cancel` gives it up")
    return f"it is over ({trial.state})"


def changed(spec: SweepSpec, changes: Mapping[str, str]) -> SweepSpec:
    """Return a spec with other limits.

    Args:
        spec: As it is.
        changes: Values as text by a name of `SETTABLE`, or by where the spec has it; ``none`` for no limit.

    Raises:
        SweepError: One cannot be set so, or not while a sweep runs.
    """
    keys = {SETTABLE.get(key, key): value for key, value in changes.items()}
    unknown = [key for key in keys if key not in SETTABLE.values()]
    if unknown:
        raise SweepError(
            f"{unknown[0]} cannot be set in a sweep that has begun; allowed: {', '.join(SETTABLE)}.\n"
            "  `sweep resume SWEEP --set KEY=VALUE` changes other keys of an interrupted one."
        )
    data = to_dict(spec)
    limits = {key: value for key, value in keys.items() if value.strip().lower() not in NONE}
    for key in keys.keys() - limits.keys():
        _drop(data, key.split("."))
    return load_dict(data, path="what was set", overrides=limits, needs_program=False).require()


def _drop(data: Any, path: Sequence[str]) -> None:
    for key in path[:-1]:
        data = data.get(key, {})
    data.pop(path[-1], None)


def steer(sweep_dir: SweepDir, instructions: Sequence[Instruction]) -> str | None:
    """Ask a sweep's controller for something; where there is none, do it in the ledger, for the one that resumes it.

    All of it is checked before any of it is asked for or done.

    Returns:
        Who controls the sweep; None for nobody.

    Raises:
        SweepError: It cannot be done, or the ledger cannot be written.
    """
    who = holder(sweep_dir.lock_path)
    if who is not None:
        with LedgerReader(sweep_dir.ledger_path, whole=False) as reader:
            spec = load_recorded(reader.sweep().spec_text)
            _check(instructions, reader.trials(), spec, sweep_dir, who)
        ask(sweep_dir.ledger_path, *instructions)
        return who
    with Ledger.open(sweep_dir) as ledger:
        spec = load_recorded(ledger.sweep.record.spec_text)
        ledger.load(objectives_of(spec))
        _check(instructions, ledger.trials(), spec, sweep_dir, who)
        with ledger.transaction("steer"):
            for each in instructions:
                _do(ledger, each, spec)
    return None


def _check(
    instructions: Sequence[Instruction],
    trials: Sequence[TrialRecord],
    spec: SweepSpec,
    sweep_dir: SweepDir,
    who: str | None,
) -> None:
    sweep_id = sweep_dir.sweep_id
    by_number = {trial.number: trial for trial in trials}
    for each in instructions:
        if each.action == Action.SET:
            changed(spec, each.changes)
        elif each.trial is None and who is None:
            raise SweepError(f"sweep {sweep_id} is not running.\n  `sweep resume {sweep_id}` goes on with it.")
        elif each.trial is not None:
            _check_trial(each, by_number, sweep_id)


def _check_trial(each: Instruction, trials: Mapping[int, TrialRecord], sweep_id: str) -> None:
    assert each.trial is not None
    if each.trial not in trials:
        there = f"its trials are {min(trials)} to {max(trials)}" if trials else "it has none yet"
        raise SweepError(f"sweep {sweep_id} has no trial {each.trial}; {there}")
    refused = refusal(each.action, trials[each.trial])
    if refused is not None:
        raise SweepError(f"cannot {each} of sweep {sweep_id}: {refused}")


def _do(ledger: Ledger, each: Instruction, spec: SweepSpec) -> None:
    """Do it where no controller runs; a trial that died with its controller is settled by the next one."""
    if each.action == Action.SET:
        ledger.sweep.set_spec(dump(changed(spec, each.changes)), ledger.sweep.record.source_text)
        return
    assert each.trial is not None
    if each.action == Action.RETRY:
        ledger.retry(each.trial, AGAIN)
        ledger.sweep.set_state(SweepState.INTERRUPTED, "trials wait to run again")
    elif ledger.trial(each.trial).state is TrialState.PENDING:
        ledger.cancel(each.trial, REQUESTS[each.action].reason)
    else:
        ledger.decide(each.trial, REQUESTS[each.action].asker, REQUESTS[each.action].reason)
