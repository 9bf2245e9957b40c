"""`sweep repair`: rebuild a damaged ledger."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.naming import sweep_named
from orchestrator.cli.options import RunsDirOption, SweepArgument
from orchestrator.errors import ExitCode, SweepError, UnknownSweepError
from orchestrator.printable import clean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.control.repair import Plan
    from orchestrator.layout import SweepDir

MOST = 20
"""Trials and pieces of damage that are listed."""


def repair(
    sweep: SweepArgument = "last",
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do it without asking.")] = False,
    runs_dir: RunsDirOption = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but what it asks about.")] = False,
) -> None:
    """Rebuild a sweep's damaged ledger from what can be read of it and from the trials' directories.

    It says what it will do, then asks. Nothing is lost: the damaged file stays beside the new one.
    """
    from orchestrator.control.repair import carry_out, plan
    from orchestrator.ledger.lock import controlling

    sweep_dir = _find(sweep, runs_dir)
    with controlling(sweep_dir.lock_path):
        found = plan(sweep_dir)
        if not found.is_needed:
            if not quiet:
                typer.echo(f"{clean(str(sweep_dir.ledger_path))} is sound: there is nothing to repair")
            return
        if not (yes and quiet):
            typer.echo("\n".join(plan_lines(found)))
        if not yes:
            _ask()
        kept = carry_out(found)
    if quiet:
        return
    typer.echo("rebuilt" + (f"; the damaged file is {clean(str(kept))}" if kept.exists() else ""))
    typer.echo(f"look at it: sweep show {sweep_dir.sweep_id}    go on with it: sweep resume {sweep_dir.sweep_id}")


def plan_lines(found: "Plan") -> list[str]:
    """Return what a repair says that it will do."""
    lines = [f"{clean(str(found.sweep_dir.ledger_path))} is damaged:"]
    lines += [f"  {clean(what)[:200]}" for what in found.found.damage[:MOST]]
    lines += ["a new ledger will have:"]
    parts = [
        (found.kept, "as the damaged ledger has them"),
        (sorted(found.retold), "as their directories tell"),
        (found.lost, "of which nothing is left: as canceled"),
    ]
    lines += [f"  {_trials(numbers)} {how}" for numbers, how in parts if numbers]
    lines += [f"  {clean(note)}" for note in found.notes]
    return [*lines, "the damaged file stays beside it."] if found.sweep_dir.ledger_path.exists() else lines


def _trials(numbers: "Sequence[int]") -> str:
    listed = ", ".join(map(str, numbers[:MOST])) + (", ..." if len(numbers) > MOST else "")
    return f"trial {listed}" if len(numbers) == 1 else f"{len(numbers)} trials ({listed})"


def _ask() -> None:
    if not sys.stdin.isatty():
        raise SweepError("nobody is here to be asked. Do it with: sweep repair --yes")
    if not typer.confirm("rebuild it?"):
        raise typer.Exit(ExitCode.USAGE)


def _find(name: str, runs_dir: Path | None) -> "SweepDir":
    """The sweep of that name; also one whose ledger is gone, if its directory or its id is given."""
    from orchestrator.layout import SweepDir
    from orchestrator.ledger.paths import runs_dir as runs_dir_of

    try:
        return sweep_named(name, runs_dir)
    except UnknownSweepError:
        runs = runs_dir_of(runs_dir)
        places = [Path(name), *(path for path in runs.glob("*-*") if name in {path.name, path.name.rpartition("-")[2]})]
        for place in map(SweepDir, places):
            if place.spec_path.is_file() and place.trials_path.is_dir():
                return SweepDir(place.path.resolve())
        raise
