"""The root of every error the product raises on purpose, with the whole tree drawn.

SweepError
├── SpecError              the sweep spec cannot be run; carries every finding (spec/)
├── SearchSpaceError       a config or method does not fit the search space (space/)
├── MissingExtraError      a library is needed that only an extra installs (extras)
├── ProgramError           a program cannot be located, imported or started (trial/)
├── LedgerError            the ledger cannot be opened, read or written (ledger/)
│   ├── SweepLockedError   another controller holds the sweep
│   ├── SweepGoneError     the sweep's directory was deleted or moved while it ran
│   └── DamagedLedgerError what the ledger holds cannot be what was written; `sweep repair` rebuilds it
├── UnknownSweepError      no sweep, or more than one, answers to a name (ledger/)
├── StorageError           the second copy of a sweep cannot be reached, or does not take what it is sent (storage/)
├── ClusterError           Ray cannot be reached or nothing can be placed (execution/)
└── SweepFailedError       no trial of a sweep that was run from Python succeeded (api/)

Each class lives here so that the command line can map it to an exit code without importing the layer
that raises it.
"""

from __future__ import annotations

from enum import IntEnum

from orchestrator.printable import clean_lines


class ExitCode(IntEnum):
    """Exit codes of the ``sweep`` command."""

    DONE = 0
    NO_TRIAL_SUCCEEDED = 1
    USAGE = 2
    CLUSTER_UNAVAILABLE = 3
    BUDGET_STOPPED = 4
    INTERRUPTED = 5
    LOCKED = 6


class SweepError(Exception):
    """Root of the tree: a mistake or condition the user can act on. Never shown as a traceback.

    Its text quotes names and values from anywhere, and is shown by whoever catches it: nothing in it can drive a terminal.

    Attributes:
        exit_code: What the ``sweep`` command exits with when this error ends it.
    """

    exit_code: ExitCode = ExitCode.USAGE

    def __str__(self) -> str:
        return clean_lines(super().__str__())


class SearchSpaceError(SweepError):
    """A config, value or search method does not fit the search space.

    Attributes:
        where: The spec's key that is to blame, e.g. ``scheduler.source``; None when no one key is.
    """

    def __init__(self, message: str, *, where: str | None = None) -> None:
        super().__init__(message)
        self.where = where


class MissingExtraError(SweepError, ImportError):
    """A library is needed that only an extra of this package installs; the message says which."""


class ProgramError(SweepError):
    """A program cannot be located, imported or started."""


class LedgerError(SweepError):
    """A ledger cannot be opened, read or written."""


class SweepLockedError(LedgerError):
    """Another controller holds the sweep; the message names its host and pid."""

    exit_code = ExitCode.LOCKED


class SweepGoneError(LedgerError):
    """The directory of a sweep was deleted or moved while the sweep ran."""

    exit_code = ExitCode.INTERRUPTED


class DamagedLedgerError(LedgerError):
    """What a ledger holds cannot be what was written into it; the message says what, and names `sweep repair`."""


class UnknownSweepError(SweepError):
    """No sweep, or more than one sweep, answers to a name."""


class ClusterError(SweepError):
    """Ray cannot be reached, or a trial's resources fit no node."""

    exit_code = ExitCode.CLUSTER_UNAVAILABLE


class StorageError(SweepError):
    """The place of a sweep's second copy cannot be reached, or does not do what it is asked."""

    exit_code = ExitCode.CLUSTER_UNAVAILABLE


class SweepFailedError(SweepError):
    """A sweep that was run from Python ended without one trial that succeeded; the message says why."""

    exit_code = ExitCode.NO_TRIAL_SUCCEEDED
