"""What a page asks of a sweep: JSON in, an instruction for `steer` or words on a trial out, and what is said when it is done."""

from collections.abc import Mapping
from typing import Any

from orchestrator.control.steering import OF_SWEEPS, OF_TRIALS, SETTABLE, steer
from orchestrator.errors import SweepError
from orchestrator.layout import SweepDir
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.requests import Action, Instruction
from orchestrator.printable import clean
from orchestrator.reporting import labels

LONGEST_VALUE = 40
"""Characters of a limit."""

LARGEST_TRIAL = 2**63 - 1
"""What a ledger can hold."""

SAY = "say"
"""What writes tags and a note, which is no instruction: no controller has a part in it."""


def obey(sweep_dir: SweepDir, asked: Any) -> str:
    """Do what a page asks for, and return what is said of it.

    Raises:
        SweepError: It is nothing that can be asked, or not now, or it cannot be written.
    """
    try:
        return _done(sweep_dir, asked)
    except OSError as error:
        raise SweepError(f"that cannot be written into {sweep_dir.path}: {error.strerror or error}") from error


def _done(sweep_dir: SweepDir, asked: Any) -> str:
    if isinstance(asked, dict) and asked.get("action") == SAY:
        return _say(sweep_dir, _number(asked.get("trial")), asked.get("words"))
    instruction = read(asked)
    who = steer(sweep_dir, [instruction])
    return f"asked for: {instruction}" if who else f"done, for when the sweep is resumed: {instruction}"


def read(asked: Any) -> Instruction:
    """Return the instruction that a page's JSON is.

    Raises:
        SweepError: It is none.
    """
    if not isinstance(asked, dict):
        raise SweepError('what is asked must be an object, such as {"action": "stop"}')
    action = asked.get("action")
    if action == Action.SET:
        return Instruction(action=Action.SET, changes=_changes(asked.get("changes")))
    trial = _number(asked.get("trial"))
    allowed = OF_SWEEPS if trial is None else OF_TRIALS
    if not isinstance(action, str) or action not in allowed:
        about = "a sweep" if trial is None else "a trial"
        raise SweepError(f"{action!r:.40} cannot be asked of {about}; allowed: {', '.join(sorted(allowed))}")
    return Instruction(action=Action(action), trial=trial)


def _say(sweep_dir: SweepDir, trial: int | None, words: Any) -> str:
    """Write what somebody says of a trial or the sweep, in place of what was said before."""
    if not isinstance(words, str):
        raise SweepError(f"{words!r:.40} is no text; write tags and a note, such as '#good: the one to keep'")
    if trial is not None:
        with LedgerReader(sweep_dir.ledger_path, whole=False) as reader:
            if reader.trial(trial) is None:
                raise SweepError(f"sweep {sweep_dir.sweep_id} has no trial {trial}")
    labels.say(sweep_dir, trial, words)
    about = "the sweep" if trial is None else f"trial {trial}"
    return f"{about}: {clean(words).strip() or 'nothing is said of it any more'}"


def _number(trial: Any) -> int | None:
    if trial is not None and (type(trial) is not int or not 0 <= trial <= LARGEST_TRIAL):
        raise SweepError(f"{trial!r:.40} is no trial's number")
    return trial


def _changes(given: Any) -> Mapping[str, str]:
    if not isinstance(given, dict) or not given:
        raise SweepError("nothing to set")
    for key, value in given.items():
        if key not in SETTABLE:
            raise SweepError(f"{key!r:.40} cannot be set; allowed: {', '.join(SETTABLE)}")
        if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_VALUE:
            raise SweepError(f"{key}: {value!r:.60} is no limit; write a number, a duration such as 2h, or none")
    return {key: value.strip() for key, value in given.items()}
