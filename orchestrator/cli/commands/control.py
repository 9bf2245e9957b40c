"""`sweep stop|cancel|pause|unpause`: ask something of a running sweep from another terminal."""

from pathlib import Path

import typer

from orchestrator.cli.naming import sweep_named
from orchestrator.cli.options import RunsDirOption, SilentOption, SweepArgument
from orchestrator.errors import SweepError

SAID = {
    "stop": "no new trials; the running ones finish",
    "cancel": "running trials are ended now",
    "pause": "on hold: the running trials finish, none are started",
    "unpause": "goes on",
}


def stop(sweep: SweepArgument = "last", runs_dir: RunsDirOption = None, quiet: SilentOption = False) -> None:
    """Start no new trials; let the running ones finish."""
    _ask("stop", sweep, runs_dir, quiet=quiet)


def cancel(sweep: SweepArgument = "last", runs_dir: RunsDirOption = None, quiet: SilentOption = False) -> None:
    """End the running trials now, for good."""
    _ask("cancel", sweep, runs_dir, quiet=quiet)


def pause(sweep: SweepArgument = "last", runs_dir: RunsDirOption = None, quiet: SilentOption = False) -> None:
    """Hold: let the running trials finish, start none until `sweep unpause`."""
    _ask("pause", sweep, runs_dir, quiet=quiet)


def unpause(sweep: SweepArgument = "last", runs_dir: RunsDirOption = None, quiet: SilentOption = False) -> None:
    """Go on after `sweep pause`."""
    _ask("unpause", sweep, runs_dir, quiet=quiet)


def _ask(action: str, sweep: str, runs_dir: Path | None, *, quiet: bool) -> None:
    from orchestrator.ledger.lock import holder
    from orchestrator.ledger.requests import Action, ask

    sweep_dir = sweep_named(sweep, runs_dir)
    who = holder(sweep_dir.lock_path)
    if who is None:
        raise SweepError(
            f"sweep {sweep_dir.sweep_id} is not running.\n  `sweep resume {sweep_dir.sweep_id}` goes on with it."
        )
    ask(sweep_dir.ledger_path, Action(action))
    if not quiet:
        typer.echo(f"sweep {sweep_dir.sweep_id} ({who}): {SAID[action]}")
