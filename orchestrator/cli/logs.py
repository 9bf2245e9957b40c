"""`sweep logs`: what a trial printed; `-f` follows it until the trial ends."""

import codecs
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator import confined
from orchestrator.cli import completion
from orchestrator.cli.options import RunsDirOption, SweepArgument
from orchestrator.cli.terminal import write_log
from orchestrator.cli.text import clean
from orchestrator.errors import SweepError

if TYPE_CHECKING:
    from orchestrator.ledger.paths import SweepDir
    from orchestrator.ledger.reader import LedgerReader

LOOK_S = 0.1
PIECE = 1 << 20
"""Bytes that are read at once: a log may be longer than memory."""


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
        log = Log(sweep_dir.trial(trial) / "output.log", inside=sweep_dir.path)
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


class Log:
    """A log that grows, printed piece by piece: as it is to a file or a pipe, without what could drive it to a terminal."""

    def __init__(self, path: Path, *, inside: Path) -> None:
        self._path = path
        self._inside = inside
        self._position = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._last = "\n"

    def print_more(self) -> None:
        """Print what has come since the last time.

        Raises:
            SweepError: The log is no file, or cannot be read.
        """
        try:
            with confined.open_file(self._path, self._inside) as file:
                file.seek(self._position)
                while data := file.read(PIECE):
                    self._position += len(data)
                    self._print(self._decoder.decode(data))
        except FileNotFoundError:
            return
        except OSError as error:
            raise SweepError(f"{self._path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Print the rest, and end its last line."""
        self.print_more()
        self._print(self._decoder.decode(b"", final=True))
        if self._last != "\n":
            self._print("\n")

    def _print(self, text: str) -> None:
        if not text:
            return
        write_log(text)
        sys.stdout.flush()
        self._last = text[-1]
