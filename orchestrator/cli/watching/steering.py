"""What the keys ask of a sweep: which trials are meant, what is asked back before, and what is said after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.cli.watching.followed import Picture
from orchestrator.control.steering import OF_SWEEPS, OF_TRIALS, refusal, steer
from orchestrator.layout import SweepDir
from orchestrator.ledger.records import SweepState, TrialRecord
from orchestrator.ledger.requests import Action, Instruction
from orchestrator.reporting.wording import trials_named
from orchestrator.spec.durations import format_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be asked of a sweep.

    Attributes:
        question: What is asked back before; None where nothing is lost.
        done: What is said once it is asked for.
    """

    instructions: tuple[Instruction, ...]
    question: str | None
    done: str


BACK_OF_TRIALS: Mapping[Action, str] = {
    Action.STOP: "What it showed counts.",
    Action.CANCEL: "For good; what it showed does not count.",
    Action.RETRY: "It gets another attempt.",
}
"""What is asked back of a trial."""

BACK_OF_SWEEPS: Mapping[Action, str] = {
    Action.STOP: "Stop the whole sweep? No new trials; the running ones finish.",
    Action.CANCEL: "Cancel the whole sweep? Running trials are ended now, for good.",
}
"""The same of whole sweeps, where something is lost."""

OF_SEVERAL = {"it showed": "they showed", "It gets": "Each gets", "runs again": "run again"}


def wish_for_trials(action: Action, trials: Sequence[TrialRecord]) -> Wish | str:
    """Return what is to be asked for trials, those among them left out that it cannot be asked of; or why it is nothing."""
    meant = [trial for trial in trials if refusal(action, trial) is None]
    if not meant:
        why = refusal(action, trials[0]) if trials else None
        return "there is no trial here" if why is None else f"cannot {action} {_named(trials[:1])}: {why}"
    back, done = BACK_OF_TRIALS[action], OF_TRIALS[action]
    for one, several in OF_SEVERAL.items() if len(meant) > 1 else ():
        back, done = back.replace(one, several), done.replace(one, several)
    return Wish(
        instructions=tuple(Instruction(action=action, trial=trial.number) for trial in meant),
        question=f"{action.capitalize()} {_named(meant)}? {back}",
        done=f"{_named(meant)}: {done}",
    )


def wish_for_sweep(action: Action) -> Wish:
    """Return what is to be asked for a whole sweep."""
    back = BACK_OF_SWEEPS.get(action)
    return Wish(instructions=(Instruction(action=action),), question=back, done=OF_SWEEPS[action])


def pause_or_go_on(picture: Picture) -> Wish:
    """Return the wish that pauses a sweep, or lets a paused one go on."""
    return wish_for_sweep(Action.UNPAUSE if picture.state is SweepState.PAUSED else Action.PAUSE)


def other_concurrency(picture: Picture, by: int) -> Wish | str:
    """Return the wish for so many trials more at once; or why there is nothing to ask for."""
    limit, slots = picture.spec.options.concurrency, picture.progress.slots
    if limit is None and by > 0:
        return f"there is no limit: {slots} trials fit at once"
    if limit is None and not slots:
        return "there are no slots yet"
    now = limit if limit is not None else slots
    then = now + by
    if then < 1:
        return "at least one trial runs at once; p pauses the sweep"
    return Wish(
        instructions=(Instruction(action=Action.SET, changes={"concurrency": str(then)}),),
        question=None,
        done=f"concurrency {now} → {then}" + (f"; {slots} fit" if then > slots else ""),
    )


def time_out(picture: Picture) -> str:
    """Return how long a trial may take now, as it is written."""
    limit_s = picture.spec.options.timeout_trial_s
    return "none" if limit_s is None else format_duration(limit_s)


def other_time_out(text: str) -> Wish:
    """Return the wish for another time-out of trials."""
    return Wish(
        instructions=(Instruction(action=Action.SET, changes={"timeout": text.strip()}),),
        question=None,
        done=f"a trial may take {text.strip()} from its beginning on",
    )


def trials_in_all(picture: Picture) -> str:
    """Return how many trials the sweep may have, as it is written."""
    return "none" if picture.spec.run_cap is None else str(picture.spec.run_cap)


def other_number_of_trials(picture: Picture, text: str) -> Wish | str:
    """Return the wish for another number of trials, or for so many more (``+20``); or why there is nothing to ask for."""
    text, now = text.strip(), picture.spec.run_cap
    if text.startswith("+"):
        if now is None:
            return "there is no limit: no trials need to be added"
        if not text[1:].isdecimal():
            return f"{text} is no number of trials; +20 adds 20"
        text = str(now + int(text[1:]))
    return Wish(
        instructions=(Instruction(action=Action.SET, changes={"run_cap": text}),),
        question=None,
        done=f"{text} trials in all" if text != "none" else "trials without a limit",
    )


def ask(sweep_dir: SweepDir, wish: Wish) -> str:
    """Ask for it; return what is to be said.

    Raises:
        SweepError: It cannot be had.
    """
    who = steer(sweep_dir, wish.instructions)
    return wish.done if who else f"{wish.done} (once it is resumed: sweep resume {sweep_dir.sweep_id})"


def _named(trials: Sequence[TrialRecord]) -> str:
    return trials_named([trial.number for trial in trials])
