"""`sweep logs`: what a trial printed; `-f` follows it until the trial ends."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.control import RunsDirOption, SweepArgument
from orchestrator.errors import SweepError

LOOK_S = 0.1


def logs(
    sweep: SweepArgument,
    trial: Annotated[int, typer.Argument(help="The trial's number.", show_default=False)],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the trial ends.")] = False,
    runs_dir: RunsDirOption = None,
) -> None:
    """Print what a trial printed."""
    from orchestrator.ledger.paths import find_sweep
    from orchestrator.ledger.paths import runs_dir as runs_dir_of
    from orchestrator.ledger.reader import LedgerReader
    from orchestrator.ledger.records import TrialState

    sweep_dir = find_sweep(runs_dir_of(runs_dir), sweep)
    path = sweep_dir.trial(trial) / "output.log"
    with LedgerReader(sweep_dir.ledger_path) as reader:
        if reader.trial(trial) is None:
            n = sum(reader.counts().values())
            raise SweepError(f"sweep {sweep_dir.sweep_id} has no trial {trial}; its trials are 0 to {n - 1}")
        position = 0
        while True:
            found = reader.trial(trial)
            live = found is not None and found.state in {TrialState.PENDING, TrialState.RUNNING}
            position = _print_from(path, position)
            if not follow or not live:
                return
            time.sleep(LOOK_S)


def _print_from(path: Path, position: int) -> int:
    """Print a file from a position on; return where it ends now."""
    try:
        with path.open("rb") as file:
            file.seek(position)
            data = file.read()
    except FileNotFoundError:
        return position
    text = data.decode("utf-8", "replace")
    sys.stdout.write(text if not sys.stdout.isatty() else harmless(text))
    sys.stdout.flush()
    return position + len(data)


def harmless(text: str) -> str:
    """A log as a terminal may show it: colours and progress bars stay, other control sequences go."""
    import re

    text = re.sub(r"\x1b(?!\[[0-9;]*m)", "?", text)
    return "".join(c if c.isprintable() or c in "\n\r\t\x1b" else "?" for c in text)
