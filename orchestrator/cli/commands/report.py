"""`sweep report`: the whole sweep on one page."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.damage import say_damage
from orchestrator.cli.naming import sweep_named
from orchestrator.cli.options import JsonOption, RunsDirOption, SweepArgument
from orchestrator.errors import SweepError
from orchestrator.watch.text import clean

if TYPE_CHECKING:
    from orchestrator.layout import SweepDir
    from orchestrator.reporting.results import Results


def report(
    sweep: SweepArgument = "last",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="File. Default: report.html in the sweep's directory.")
    ] = None,
    runs_dir: RunsDirOption = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but the file's path.")] = False,
) -> None:
    """Write report.html: one file that needs no network, at any time, also while the sweep runs."""
    from orchestrator.reporting.page.render import write_report

    sweep_dir = sweep_named(sweep, runs_dir)
    try:
        path = write_report(sweep_dir, out)
    except OSError as error:
        raise SweepError(f"{out or sweep_dir.path}: {error.strerror or error}\n  Say where to write with -o.") from None
    if not quiet:
        say_damage(_results(sweep_dir))
    typer.echo(json.dumps({"path": str(path)}) if as_json else clean(str(path)))


def _results(sweep_dir: "SweepDir") -> "Results":
    """What the page was made of, as far as its ledger could be read."""
    from orchestrator.ledger.reader import LedgerReader
    from orchestrator.reporting.results import read_results

    with LedgerReader(sweep_dir.ledger_path) as reader:
        return read_results(sweep_dir, reader)
