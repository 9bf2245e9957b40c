"""`sweep rename|archive|rm`: what a sweep is called, and where it lies, once it is over."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.naming import sweep_named
from orchestrator.cli.options import RunsDirOption, SilentOption
from orchestrator.errors import SweepError
from orchestrator.printable import clean

if TYPE_CHECKING:
    from orchestrator.layout import SweepDir

ARCHIVE, TRASH = "archive", "trash"
"""Folders of a runs directory whose sweeps `sweep ls` does not list."""

YesOption = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")]
GivenSweep = Annotated[str, typer.Argument(metavar="SWEEP", help="Id, name, directory, or how one of these begins.")]


def rename(
    sweep: GivenSweep,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called from now on.")],
    runs_dir: RunsDirOption = None,
    quiet: SilentOption = False,
) -> None:
    """Give a sweep another name; its id stays, and its directory gets the new name too."""
    from contextlib import closing

    from orchestrator.ledger.paths import slug
    from orchestrator.ledger.store import Ledger

    sweep_dir = sweep_named(sweep, runs_dir)
    if not name.strip():
        raise SweepError("a name has at least one character")
    there = sweep_dir.path.with_name(f"{slug(name)}-{sweep_dir.sweep_id}")
    with _at_rest(sweep_dir):
        with closing(Ledger(sweep_dir.ledger_path)) as ledger:
            ledger.sweep.rename(name.strip())
        _move(sweep_dir, there)
    if not quiet:
        typer.echo(f"sweep {sweep_dir.sweep_id} is now {clean(name.strip())}: {clean(str(there))}")


def archive(
    sweep: GivenSweep, yes: YesOption = False, runs_dir: RunsDirOption = None, quiet: SilentOption = False
) -> None:
    """Move a sweep to the archive of its runs directory: `sweep ls` lists it no more, nothing of it is lost."""
    _put_away(sweep, ARCHIVE, runs_dir, yes=yes, quiet=quiet)


def rm(sweep: GivenSweep, yes: YesOption = False, runs_dir: RunsDirOption = None, quiet: SilentOption = False) -> None:
    """Move a sweep to the trash of its runs directory; it says what to delete to be rid of it."""
    _put_away(sweep, TRASH, runs_dir, yes=yes, quiet=quiet)


def _put_away(sweep: str, folder: str, runs_dir: Path | None, *, yes: bool, quiet: bool) -> None:
    from orchestrator.ledger.reader import LedgerReader
    from orchestrator.reporting.wording import command_line

    sweep_dir = sweep_named(sweep, runs_dir)
    if sweep_dir.path.parent.name in {ARCHIVE, TRASH}:
        raise SweepError(f"{clean(str(sweep_dir.path))} was put away already")
    there = sweep_dir.path.parent / folder / sweep_dir.path.name
    with LedgerReader(sweep_dir.ledger_path, whole=False) as reader:
        what = f"sweep {sweep_dir.sweep_id} ({clean(sweep_dir.name)}, {sum(reader.counts().values())} trials)"
    if not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise SweepError(
                f"{what} would be moved to {clean(str(there))}.\n  Say so with --yes: nobody is there to ask."
            )
        if not typer.confirm(f"Move {what} to {clean(str(there))}?", err=True):
            raise SweepError("nothing was moved")
    with _at_rest(sweep_dir):
        there.parent.mkdir(exist_ok=True)
        _move(sweep_dir, there)
    if quiet:
        return
    typer.echo(f"{what} lies in {clean(str(there))}")
    back = command_line(["mv", str(there), str(sweep_dir.path)])
    typer.echo(f"  back       {clean(back)}")
    if folder == TRASH:
        typer.echo(f"  for good   {clean(command_line(['rm', '-r', str(there)]))}")


@contextmanager
def _at_rest(sweep_dir: "SweepDir") -> Iterator[None]:
    """Keep controllers away while inside.

    Raises:
        SweepLockedError: One is there.
    """
    from orchestrator.ledger.lock import controlling

    with controlling(sweep_dir.lock_path):
        yield


def _move(sweep_dir: "SweepDir", there: Path) -> None:
    from orchestrator.ledger.paths import FORMER_RUNS_DIR

    if there == sweep_dir.path:
        return
    if there.exists():
        raise SweepError(f"{clean(str(there))} is there already")
    sweep_dir.path.rename(there)
    link = Path(FORMER_RUNS_DIR, sweep_dir.path.name)
    if link.is_symlink() and not link.exists():
        link.unlink()
