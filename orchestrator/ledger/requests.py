"""What other terminals ask of a running sweep: written by any process, taken by its controller."""

import time
from enum import StrEnum
from pathlib import Path

from orchestrator.ledger.connection import connect, explained


class Action(StrEnum):
    """What may be asked, as `wandb sweep` names it."""

    STOP = "stop"  # no new trials; running ones finish
    CANCEL = "cancel"  # end running trials now
    PAUSE = "pause"  # hold: running ones finish, none are launched
    UNPAUSE = "unpause"


def ask(ledger_path: Path, action: Action) -> None:
    """Write a request into a sweep's ledger; its controller takes it within a second.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    connection = connect(ledger_path)
    try:
        with explained(ledger_path):
            connection.execute("INSERT INTO requests (time, action) VALUES (?, ?)", (time.time(), action))
    finally:
        connection.close()
