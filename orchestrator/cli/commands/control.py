"""`sweep stop|cancel|pause|unpause|retry|set`: ask something of a sweep from another terminal, or of some of its trials."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import completion
from orchestrator.cli.elsewhere import AtOption
from orchestrator.cli.naming import sweep_named, trials_named
from orchestrator.cli.options import RunsDirOption, SilentOption, SweepArgument
from orchestrator.errors import SweepError

if TYPE_CHECKING:
    from orchestrator.layout import SweepDir

SAID_FOR_LATER = {
    "stop": "over once the sweep is resumed; what it showed counts",
    "cancel": "given up for good",
    "retry": "runs again once the sweep is resumed",
}
"""What follows for a trial of a sweep that does not run."""

TrialsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TRIAL...",
        help="Numbers of trials; alone they are of the last sweep.",
        show_default=False,
        autocompletion=completion.trials,
    ),
]


def stop(
    sweep: SweepArgument = "last",
    trials: TrialsArgument = None,
    runs_dir: RunsDirOption = None,
    _at: AtOption = None,
    quiet: SilentOption = False,
) -> None:
    """Start no new trials and let the running ones finish; or end the trials that are named softly: what they showed counts."""
    _ask("stop", sweep, trials, runs_dir, quiet=quiet)


def cancel(
    sweep: SweepArgument = "last",
    trials: TrialsArgument = None,
    runs_dir: RunsDirOption = None,
    _at: AtOption = None,
    quiet: SilentOption = False,
) -> None:
    """End the running trials now, for good; or the trials that are named alone."""
    _ask("cancel", sweep, trials, runs_dir, quiet=quiet)


def retry(
    sweep: SweepArgument = "last",
    trials: TrialsArgument = None,
    runs_dir: RunsDirOption = None,
    _at: AtOption = None,
    quiet: SilentOption = False,
) -> None:
    """Run trials again that are over, however they ended: each gets another attempt, with all of its retries."""
    _ask("retry", sweep, trials, runs_dir, quiet=quiet)


def pause(
    sweep: SweepArgument = "last", runs_dir: RunsDirOption = None, _at: AtOption = None, quiet: SilentOption = False
) -> None:
    """Hold: let the running trials finish, start none until `sweep unpause`."""
    _ask("pause", sweep, None, runs_dir, quiet=quiet)


def unpause(
    sweep: SweepArgument = "last", runs_dir: RunsDirOption = None, _at: AtOption = None, quiet: SilentOption = False
) -> None:
    """Go on after `sweep pause`."""
    _ask("unpause", sweep, None, runs_dir, quiet=quiet)


def set_(
    sweep: SweepArgument = "last",
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE...",
            help="run_cap, concurrency, timeout (of a trial), timeout.sweep; none takes a limit away.",
            show_default=False,
        ),
    ] = None,
    runs_dir: RunsDirOption = None,
    _at: AtOption = None,
    quiet: SilentOption = False,
) -> None:
    """Change limits of a sweep that runs, or of an interrupted one for when it goes on: run_cap, concurrency, timeout."""
    from orchestrator.control.steering import steer
    from orchestrator.ledger.requests import Action, Instruction

    sweep, words = ("last", [sweep, *(settings or [])]) if "=" in sweep else (sweep, settings)
    if not words:
        raise SweepError("nothing to set.\n  For example: sweep set last run_cap=100 concurrency=4 timeout=2h")
    changes = dict(_setting(word) for word in words)
    sweep_dir = sweep_named(sweep, runs_dir)
    who = steer(sweep_dir, [Instruction(action=Action.SET, changes=changes)])
    when = f"({who})" if who else "(once it is resumed)"
    _say(f"sweep {sweep_dir.sweep_id} {when}: {', '.join(f'{k} = {v}' for k, v in changes.items())}", quiet=quiet)


def _setting(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not (equals and key.strip() and value.strip()):
        raise SweepError(f"{word!r} is not KEY=VALUE.\n  For example: run_cap=100; `none` takes a limit away.")
    return key.strip(), value.strip()


def _ask(action: str, sweep: str, trials: list[str] | None, runs_dir: Path | None, *, quiet: bool) -> None:
    from orchestrator.control.steering import OF_SWEEPS, OF_TRIALS, steer
    from orchestrator.ledger.requests import Instruction

    sweep_dir, numbers = _meant(action, sweep, trials, runs_dir)
    asked = [Instruction(action=action, trial=number) for number in numbers] or [Instruction(action=action)]
    who = steer(sweep_dir, asked)
    name = f"sweep {sweep_dir.sweep_id}" + (f" ({who})" if who else "")
    if not numbers:
        _say(f"{name}: {OF_SWEEPS[action]}", quiet=quiet)
    for number in numbers:
        _say(f"{name}: trial {number} {(OF_TRIALS if who else SAID_FOR_LATER)[action]}", quiet=quiet)
    if action == "retry" and not who:
        _say(f"  `sweep resume {sweep_dir.sweep_id}` goes on with it", quiet=quiet)


def _meant(action: str, sweep: str, trials: list[str] | None, runs_dir: Path | None) -> "tuple[SweepDir, list[int]]":
    """The sweep that the words mean, and the trials; none for all of a sweep."""
    if action in {"pause", "unpause"}:
        return sweep_named(sweep, runs_dir), []
    sweep_dir, numbers = trials_named(sweep, trials or [], runs_dir)
    if action == "retry" and not numbers:
        raise SweepError(
            f"which trials of {sweep_dir.sweep_id}? For example: sweep retry {sweep_dir.sweep_id} 3 7\n"
            f"  `sweep resume {sweep_dir.sweep_id} --retry-failed` runs all again that failed or were canceled."
        )
    return sweep_dir, numbers


def _say(text: str, *, quiet: bool) -> None:
    if not quiet:
        typer.echo(text)
