"""What a page asks of a sweep: JSON in, instructions for `steer` out, and what is said when it is done."""

from collections.abc import Mapping
from typing import Any

from orchestrator.control.steering import OF_SWEEPS, OF_TRIALS, SETTABLE, steer
from orchestrator.errors import SweepError
from orchestrator.layout import SweepDir
from orchestrator.ledger.requests import Action, Instruction

LONGEST_VALUE = 40
"""Characters of a limit."""


def obey(sweep_dir: SweepDir, asked: Any) -> str:
    """Do what a page asks for, and return what is said of it.

    Raises:
        SweepError: It is nothing that can be asked, or not now.
    """
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
    action, trial = asked.get("action"), asked.get("trial")
    if action == Action.SET:
        return Instruction(action=Action.SET, changes=_changes(asked.get("changes")))
    if trial is not None and (not isinstance(trial, int) or isinstance(trial, bool) or trial < 0):
        raise SweepError(f"{trial!r:.40} is no trial's number")
    allowed = OF_SWEEPS if trial is None else OF_TRIALS
    if not isinstance(action, str) or action not in allowed:
        about = "a sweep" if trial is None else "a trial"
        raise SweepError(f"{action!r:.40} cannot be asked of {about}; allowed: {', '.join(sorted(allowed))}")
    return Instruction(action=Action(action), trial=trial)


def _changes(given: Any) -> Mapping[str, str]:
    if not isinstance(given, dict) or not given:
        raise SweepError("nothing to set")
    for key, value in given.items():
        if key not in SETTABLE:
            raise SweepError(f"{key!r:.40} cannot be set; allowed: {', '.join(SETTABLE)}")
        if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_VALUE:
            raise SweepError(f"{key}: {value!r:.60} is no limit; write a number, a duration such as 2h, or none")
    return {key: value.strip() for key, value in given.items()}
