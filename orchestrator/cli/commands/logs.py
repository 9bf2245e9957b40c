"""`sweep logs`: what a trial printed; `-f` follows it until the trial ends."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli import completion
from orchestrator.cli.options import RunsDirOption, SweepArgument
from orchestrator.errors import SweepError
from orchestrator.watch.text import clean

if TYPE_CHECKING:
    from orchestrator.layout import SweepDir
    from orchestrator.ledger.reader import LedgerReader
from orchestrator.cli.growing_log import Log

LOOK_S = 0.1


def logs(
    sweep: SweepArgument,
    trial: Annotated[
        int | None,
        typer.Argument(
            metavar="TRIAL",
            help="The trial's number; a number alone is a trial of the last sweep.",
            show_default=False,
            autocompletion=completion.trials,
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the trial ends.")] = False,
    runs_dir: RunsDirOption = None,
) -> None:
    """Print what a trial printed. A terminal gets its colours and progress bars, but nothing that could drive it."""
    from orchestrator.ledger.paths import find_sweep
    from orchestrator.ledger.paths import runs_dir as runs_dir_of
    from orchestrator.ledger.reader import LedgerReader

    if trial is None:
        sweep, trial = "last", _alone(sweep)
    sweep_dir = find_sweep(runs_dir_of(runs_dir), sweep)
    with LedgerReader(sweep_dir.ledger_path) as reader:
        if reader.trial(trial) is None:
            n = sum(reader.counts().values())
            there = f"its trials are 0 to {n - 1}" if n else "it has none yet"
            raise SweepError(f"sweep {sweep_dir.sweep_id} has no trial {trial}; {there}")
        log = Log(sweep_dir.trial(trial).log_path, inside=sweep_dir.path)
        while follow and _is_live(sweep_dir, reader, trial):
            log.print_more()
            time.sleep(LOOK_S)
        log.print_more()


def _alone(word: str) -> int:
    """Return the trial that one word alone means.

    Raises:
        SweepError: It is no number.
    """
    if not word.isdecimal():
        raise SweepError(f"which trial of {clean(word)}? Its number is missing: `sweep logs {clean(word)} 0`")
    return int(word)


def _is_live(sweep_dir: "SweepDir", reader: "LedgerReader", number: int) -> bool:
    """Whether more may come: the trial has not ended, and somebody controls its sweep."""
    from orchestrator.ledger.lock import holder
    from orchestrator.ledger.records import TrialState

    found = reader.trial(number)
    waits = found is not None and found.state in {TrialState.PENDING, TrialState.RUNNING}
    return waits and holder(sweep_dir.lock_path) is not None
