"""`sweep report`: the whole sweep on one page."""

import json
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.options import JsonOption, RunsDirOption, SweepArgument
from orchestrator.cli.text import clean
from orchestrator.errors import SweepError


def report(
    sweep: SweepArgument = "last",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="File. Default: report.html in the sweep's directory.")
    ] = None,
    runs_dir: RunsDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write report.html: one file that needs no network, at any time, also while the sweep runs."""
    from orchestrator.ledger.paths import find_sweep
    from orchestrator.ledger.paths import runs_dir as runs_dir_of
    from orchestrator.reporting.page.render import write_report

    sweep_dir = find_sweep(runs_dir_of(runs_dir), sweep)
    try:
        path = write_report(sweep_dir, out)
    except OSError as error:
        raise SweepError(f"{out or sweep_dir.path}: {error.strerror or error}\n  Say where to write with -o.") from None
    typer.echo(json.dumps({"path": str(path)}) if as_json else clean(str(path)))
