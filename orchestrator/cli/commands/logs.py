"""`sweep logs`: what a trial printed; `-f` follows it until the trial ends."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.elsewhere import AtOption
from orchestrator.cli.growing_log import Log
from orchestrator.cli.naming import no_trial, trial_named
from orchestrator.cli.options import RunsDirOption, SweepArgument, TrialArgument
from orchestrator.errors import SweepError

if TYPE_CHECKING:
    from orchestrator.layout import SweepDir
    from orchestrator.ledger.reader import LedgerReader

LOOK_S = 0.1


def logs(
    sweep: SweepArgument = "last",
    trial: TrialArgument = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the trial ends.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Do not say whose log it is.")] = False,
    runs_dir: RunsDirOption = None,
    _at: AtOption = None,
) -> None:
    """Print what a trial printed: the one that is named, else the only one that runs, else the best.

    A terminal gets its colours and progress bars, but nothing that could drive it.
    """
    from orchestrator.ledger.reader import LedgerReader

    sweep_dir, number = trial_named(sweep, trial, runs_dir)
    with LedgerReader(sweep_dir.ledger_path) as reader:
        if number is None:
            number, why = _most_wanted(sweep_dir, reader)
            if not quiet:
                typer.echo(f"trial {number} of {sweep_dir.sweep_id}, {why}:", err=True)
        elif reader.trial(number) is None:
            raise no_trial(sweep_dir.sweep_id, number, [found.number for found in reader.trials()])
        log = Log(sweep_dir.trial(number).log_path, inside=sweep_dir.path)
        while follow and _is_live(sweep_dir, reader, number):
            log.print_more()
            time.sleep(LOOK_S)
        log.print_more()


def _most_wanted(sweep_dir: "SweepDir", reader: "LedgerReader") -> tuple[int, str]:
    """Return the trial that is meant when none is named, and why that one.

    Raises:
        SweepError: None stands out.
    """
    from orchestrator.ledger.lock import holder
    from orchestrator.ledger.ranking import ranked
    from orchestrator.ledger.records import TrialState

    is_controlled = holder(sweep_dir.lock_path) is not None
    trials = reader.trials()
    running = [trial for trial in trials if is_controlled and trial.state is TrialState.RUNNING]
    for found, why in ((running, "the only one that runs"), (ranked(trials)[:1], "the best"), (trials, "the only one")):
        if len(found) == 1:
            return found[0].number, why
    if not trials:
        raise SweepError(f"sweep {sweep_dir.sweep_id} has no trial yet")
    which = f"its trials are {trials[0].number} to {trials[-1].number}"
    raise SweepError(
        f"which trial of {sweep_dir.sweep_id}? None is the best yet; {which}.\n"
        f"  Name one: sweep logs {sweep_dir.sweep_id} {trials[-1].number}"
    )


def _is_live(sweep_dir: "SweepDir", reader: "LedgerReader", number: int) -> bool:
    """Whether more may come: the trial has not ended, and somebody controls its sweep."""
    from orchestrator.ledger.lock import holder
    from orchestrator.ledger.records import TrialState

    found = reader.trial(number)
    waits = found is not None and found.state in {TrialState.PENDING, TrialState.RUNNING}
    return waits and holder(sweep_dir.lock_path) is not None
