"""`sweep fetch`: bring a sweep, or the best of it, from a cluster that this machine is no part of."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import SweepArgument
from orchestrator.printable import clean

if TYPE_CHECKING:
    from orchestrator.remote.fetching import Fetched


def fetch(
    at: Annotated[str, typer.Option("--at", metavar="ADDRESS", help="The head: http://HOST:8265 or ssh://USER@HOST.")],
    sweep: SweepArgument = "last",
    best: Annotated[bool, typer.Option("--best", help="Of the trials the best alone.")] = False,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints/--no-checkpoints", help="Checkpoints and artifacts, too.")
    ] = True,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="Where to put it. Default: the runs directory here."),
    ] = None,
    runs_dir: Annotated[
        str | None, typer.Option(help="Where sweeps are kept there; SWEEP_RUNS_DIR there, else ~/sweep-runs.")
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print the sweep's directory alone.")] = False,
) -> None:
    """Bring a sweep's files here, also while it runs. What is here already does not come again; what was interrupted goes on."""
    from orchestrator.cli.heads import fetched
    from orchestrator.ledger.paths import runs_dir as runs_dir_of
    from orchestrator.remote.address import parse_address
    from orchestrator.remote.sending import Wanted

    wanted = Wanted(sweep=sweep, only_best=best, with_checkpoints=checkpoints, have={})
    found = fetched(parse_address(at), runs_dir_of(out), wanted, runs_dir=runs_dir, quiet=quiet)
    if not quiet:
        for line in _account(found):
            typer.echo(clean(line), err=True)
    typer.echo(clean(str(found.place)))


def _account(found: "Fetched") -> list[str]:
    """What came, and what did not."""
    lines = [f"{found.n_new:,} files came ({found.n_bytes / 2**20:,.1f} MiB), {found.n_same:,} were here"]
    for paths, what in (
        (found.changed, "changed meanwhile: fetch again"),
        (found.left_out, "left out: a link to elsewhere"),
    ):
        if paths:
            lines.append(f"{paths[0]}{f' and {len(paths) - 1:,} more' if len(paths) > 1 else ''}: {what}")
    return lines
