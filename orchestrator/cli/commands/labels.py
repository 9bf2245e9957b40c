"""`sweep tag` and `sweep note`: say something of a sweep or a trial, or what was said."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import completion
from orchestrator.cli.naming import no_trial, trial_named
from orchestrator.cli.options import RunsDirOption, SilentOption
from orchestrator.printable import clean

if TYPE_CHECKING:
    from orchestrator.layout import SweepDir
    from orchestrator.reporting.labels import Labels

WhatArgument = Annotated[
    str,
    typer.Argument(
        metavar="SWEEP[/TRIAL]",
        help="A sweep, one of its trials (SWEEP/3), or a trial of the last sweep (3).",
        show_default=False,
        autocompletion=completion.sweeps,
    ),
]


def tag(
    what: WhatArgument = "last",
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="TAG...", help="One word each.", show_default=False)
    ] = None,
    remove: Annotated[bool, typer.Option("-r", "--remove", help="Take these tags away.")] = False,
    runs_dir: RunsDirOption = None,
    quiet: SilentOption = False,
) -> None:
    """Tag a sweep or a trial; without a tag say which it has. `sweep ls --tag` and filters name them."""
    from orchestrator.reporting import labels

    sweep_dir, trial = _meant(what, runs_dir)
    if tags:
        labels.tag(sweep_dir, [] if trial is None else [trial], tags, remove=remove)
    if not quiet:
        typer.echo(f"{_name(sweep_dir, trial)}: {' '.join(f'#{t}' for t in _said(sweep_dir, trial).tags) or 'no tags'}")


def note(
    what: WhatArgument = "last",
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="What to say; '' takes it away.", show_default=False)
    ] = None,
    runs_dir: RunsDirOption = None,
    quiet: SilentOption = False,
) -> None:
    """Write a note on a sweep, which is its description, or on a trial; without a text say what it is."""
    from orchestrator.reporting import labels

    sweep_dir, trial = _meant(what, runs_dir)
    if text is not None:
        labels.note(sweep_dir, [] if trial is None else [trial], text)
    if not quiet:
        typer.echo(f"{_name(sweep_dir, trial)}: {clean(_said(sweep_dir, trial).note or 'no note')}")


def _meant(what: str, runs_dir: Path | None) -> "tuple[SweepDir, int | None]":
    """The sweep, and the number of a trial that it has."""
    from orchestrator.ledger.reader import LedgerReader

    sweep_dir, trial = trial_named(what, None, runs_dir)
    if trial is not None:
        with LedgerReader(sweep_dir.ledger_path, whole=False) as reader:
            if reader.trial(trial) is None:
                raise no_trial(sweep_dir.sweep_id, trial, [each.number for each in reader.trials()])
    return sweep_dir, trial


def _said(sweep_dir: "SweepDir", trial: int | None) -> "Labels":
    from orchestrator.reporting.labels import read_labels

    found = read_labels(sweep_dir)
    return found.sweep if trial is None else found.of(trial)


def _name(sweep_dir: "SweepDir", trial: int | None) -> str:
    return f"sweep {sweep_dir.sweep_id}" if trial is None else f"trial {trial} of sweep {sweep_dir.sweep_id}"
