"""Which sweep and which trial the words ``[SWEEP] [TRIAL]`` of a command mean: one grammar for all commands.

A sweep is its id, its name, its directory, how one of these begins, or ``last``, which is the default. A number alone is a
trial of the last sweep, and ``SWEEP/N`` is one of any. So a sweep whose name is a number is named by its id, by NAME-ID, or by
its directory with a slash (``./7``); its name does where a trial's number follows.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import SweepError, UnknownSweepError
from orchestrator.printable import clean

if TYPE_CHECKING:
    from orchestrator.layout import SweepDir

LONGEST_NUMBER = 7
"""Digits of a trial's number: eight may be a sweep's id."""


def sweep_named(word: str, runs_dir: Path | None) -> "SweepDir":
    """Return the sweep that a word means, for a command that is about whole sweeps.

    Raises:
        UnknownSweepError: None answers to it, or more than one, or it is a trial.
    """
    sweep, trial = split(word)
    if trial is not None:
        raise UnknownSweepError(
            f"{clean(word)} is a trial here, and this command takes a whole sweep.\n"
            f"  Leave it out for the last sweep{_instead(sweep, word, runs_dir)}."
        )
    return find(word, runs_dir)


def trial_named(sweep: str, trial: str | None, runs_dir: Path | None) -> "tuple[SweepDir, int | None]":
    """Return the sweep that the words mean, and the number of the trial in it; None when they name none.

    Raises:
        UnknownSweepError: No sweep answers to the first word, or more than one.
        SweepError: The second word is no number.
    """
    if trial is not None and not is_number(trial):
        hint = f"  Did you mean `{clean(trial)} {sweep}`?" if is_number(sweep) else "  It is a number, from 0."
        raise SweepError(f"{clean(trial)!r} is no trial.\n{hint}")
    if trial is not None:
        return find(sweep, runs_dir), int(trial)
    name, number = split(sweep)
    return find(name or "last", runs_dir), number


def trials_named(sweep: str, trials: Sequence[str], runs_dir: Path | None) -> "tuple[SweepDir, list[int]]":
    """Return the sweep that the words mean, and the numbers of the trials in it; no number where they name a whole sweep.

    Raises:
        UnknownSweepError: No sweep answers to the first word, or more than one.
        SweepError: A further word is no number, or the first may be a sweep and a trial.
    """
    for word in trials:
        if not is_number(word):
            raise SweepError(f"{clean(word)!r} is no trial.\n  It is a number, from 0.")
    if trials and is_number(sweep):
        _refuse_sweep_named(sweep, trials, runs_dir)
        return find("last", runs_dir), [int(word) for word in dict.fromkeys((sweep, *trials))]
    name, number = split(sweep)
    if trials and number is not None:
        raise SweepError(
            f"{clean(sweep)} is a trial already.\n  Write {clean(name or 'last')} {number} {' '.join(trials)}."
        )
    numbers = [int(word) for word in dict.fromkeys(trials)] or ([] if number is None else [number])
    return find(name or "last", runs_dir), numbers


def _refuse_sweep_named(word: str, trials: Sequence[str], runs_dir: Path | None) -> None:
    """A number before others is a trial of the last sweep, unless a sweep is called so: then nothing is guessed."""
    from orchestrator.ledger.paths import all_sweeps
    from orchestrator.ledger.paths import runs_dir as runs_dir_of

    named = [sweep.sweep_id for sweep in all_sweeps(runs_dir_of(runs_dir)) if sweep.name == word]
    if named:
        rest = " ".join(trials)
        raise SweepError(
            f"{word} may be a trial of the last sweep, or the sweep of that name.\n"
            f"  Write `last {word} {rest}`, or `{named[0]} {rest}`."
        )


def find(sweep: str, runs_dir: Path | None) -> "SweepDir":
    """Return the sweep that a word means where it can be nothing else.

    Raises:
        UnknownSweepError: None answers to it, or more than one.
    """
    from orchestrator.ledger.paths import find_sweep
    from orchestrator.ledger.paths import runs_dir as runs_dir_of

    return find_sweep(runs_dir_of(runs_dir), sweep)


def split(word: str) -> tuple[str | None, int | None]:
    """Return what one word alone says: ``SWEEP``, ``SWEEP/7`` or ``7``."""
    from orchestrator.ledger.paths import is_sweep

    if is_number(word):
        return None, int(word)
    sweep, _, number = word.rpartition("/")
    if sweep and is_number(number) and not is_sweep(Path(word)):
        return sweep, int(number)
    return word, None


def is_number(word: str) -> bool:
    """Return whether a word is read as a trial's number."""
    return word.isdecimal() and len(word) <= LONGEST_NUMBER


def no_trial(sweep_id: str, wanted: int, numbers: Sequence[int]) -> SweepError:
    """Return the error about a trial that a sweep does not have: which ones it has."""
    there = f"its trials are {numbers[0]} to {numbers[-1]}" if numbers else "it has none yet"
    return SweepError(f"sweep {sweep_id} has no trial {wanted}; {there}")


def _instead(sweep: str | None, word: str, runs_dir: Path | None) -> str:
    """What to write for a sweep that may have been meant."""
    from orchestrator.ledger.paths import all_sweeps
    from orchestrator.ledger.paths import runs_dir as runs_dir_of

    if sweep is not None:
        return f", or write {clean(sweep)}"
    sweeps = all_sweeps(runs_dir_of(runs_dir))
    meant = [s.sweep_id for s in sweeps if s.sweep_id.startswith(word) or s.path.name.startswith(word)]
    return f", or write more of its id: {', '.join(meant[:3])}" if meant else ""
