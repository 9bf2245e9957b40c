"""`sweep report`: the whole sweep on one page."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.damage import say_damage
from orchestrator.cli.elsewhere import FromOption
from orchestrator.cli.naming import sweep_named
from orchestrator.cli.options import JsonOption, RunsDirOption, SweepArgument
from orchestrator.errors import SweepError
from orchestrator.printable import clean

if TYPE_CHECKING:
    from orchestrator.layout import SweepDir
    from orchestrator.reporting.results import Results


def report(
    sweep: SweepArgument = "last",
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="File. Default: report.html in the sweep's directory.")
    ] = None,
    runs_dir: RunsDirOption = None,
    at: FromOption = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but the file's path.")] = False,
) -> None:
    """Write report.html: one file that needs no network, at any time, also while the sweep runs."""
    from orchestrator.reporting.page.render import write_report

    if at is not None:
        path = _fetched(at, sweep, out, runs_dir, quiet=quiet)
    else:
        sweep_dir = sweep_named(sweep, runs_dir)
        with _place(out or sweep_dir.path):
            path = write_report(sweep_dir, out)
        if not quiet:
            say_damage(_results(sweep_dir))
    typer.echo(json.dumps({"path": str(path)}) if as_json else clean(str(path)))


@contextmanager
def _place(path: Path) -> Iterator[None]:
    """Say what is wrong with the place that the page is written to."""
    try:
        yield
    except OSError as error:
        raise SweepError(f"{path}: {error.strerror or error}\n  Say where to write with -o.") from None


def _fetched(at: str, sweep: str, out: Path | None, runs_dir: Path | None, *, quiet: bool) -> Path:
    """Let a head write the page now, and bring it here."""
    from orchestrator import confined
    from orchestrator.cli.heads import fetched
    from orchestrator.layout import SweepDir
    from orchestrator.ledger.paths import runs_dir as runs_dir_of
    from orchestrator.remote.address import parse_address
    from orchestrator.remote.sending import Wanted

    there = None if runs_dir is None else str(runs_dir)
    wanted = Wanted(sweep=sweep, only_report=True, have={})
    found = fetched(parse_address(at), runs_dir_of(None), wanted, runs_dir=there, quiet=quiet)
    path = SweepDir(found.place).report_path
    if out is None:
        return path
    with _place(out):
        confined.replace(out, confined.read_bytes(path, path.parent, most=1 << 30))
    return out


def _results(sweep_dir: "SweepDir") -> "Results":
    """What the page was made of, as far as its ledger could be read."""
    from orchestrator.ledger.reader import LedgerReader
    from orchestrator.reporting.results import read_results

    with LedgerReader(sweep_dir.ledger_path) as reader:
        return read_results(sweep_dir, reader)
