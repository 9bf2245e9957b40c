"""`sweep fetch`: bring a sweep, or the best of it, from a cluster elsewhere, or from its copy in a store."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.options import RunsDirThereOption
from orchestrator.printable import clean
from orchestrator.reporting.wording import amount

if TYPE_CHECKING:
    from orchestrator.remote.fetching import Fetched


def fetch(
    sweep: Annotated[
        str,
        typer.Argument(
            metavar="SWEEP",
            help="Id, name, how one of these begins, or last; or where its copy lies: s3://BUCKET/PATH/NAME-ID.",
        ),
    ] = "last",
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="ADDRESS",
            help="The head, http://HOST:8265 or ssh://USER@HOST; or where copies lie (run --storage).",
            show_default=False,
        ),
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="Of the trials the best alone.")] = False,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints/--no-checkpoints", help="Checkpoints and artifacts, too.")
    ] = True,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="DIR", help="Where to put it. Default: the runs directory here."),
    ] = None,
    runs_dir: RunsDirThereOption = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print the sweep's directory alone.")] = False,
) -> None:
    """Bring a sweep's files here, also while it runs. What is here already does not come again; what was interrupted goes on."""
    from orchestrator.cli import heads, stores
    from orchestrator.ledger.paths import runs_dir as runs_dir_of
    from orchestrator.remote.address import parse_address
    from orchestrator.remote.sending import Wanted
    from orchestrator.spec.storage_urls import is_storage_url

    if is_storage_url(sweep):
        if at is not None:
            raise typer.BadParameter("the sweep's argument says already where it lies", param_hint="--at")
        at, sweep = sweep, "last"
    if at is None:
        raise typer.BadParameter("say where the sweep is: a head's address, or where its copy lies", param_hint="--at")
    wanted = Wanted(sweep=sweep, only_best=best, with_checkpoints=checkpoints, have={})
    if is_storage_url(at):
        if runs_dir is not None:
            raise typer.BadParameter(
                f"{runs_dir} is about a head; {at} says where the copy lies", param_hint="--runs-dir"
            )
        found = stores.fetched(at, runs_dir_of(out), wanted, quiet=quiet)
    else:
        found = heads.fetched(parse_address(at), runs_dir_of(out), wanted, runs_dir=runs_dir, quiet=quiet)
    if not quiet:
        for line in _account(found):
            typer.echo(clean(line), err=True)
    typer.echo(clean(str(found.place)))


def _account(found: "Fetched") -> list[str]:
    """What came, and what did not."""
    lines = [f"{found.n_new:,} files came ({amount(found.n_bytes)}), {found.n_same:,} were here"]
    for paths, what in (
        (found.changed, "changed meanwhile: fetch again"),
        (found.left_out, "left out: a link to elsewhere"),
    ):
        if paths:
            lines.append(f"{paths[0]}{f' and {len(paths) - 1:,} more' if len(paths) > 1 else ''}: {what}")
    return lines
