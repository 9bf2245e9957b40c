"""Every trial of a sweep as the ledger has it, with what is counted of them and what the search may know."""

from collections.abc import Iterator, Mapping

from orchestrator.control.knowledge import Knowledge
from orchestrator.ledger.records import TrialRecord
from orchestrator.ledger.store import Ledger
from orchestrator.watch.scoreboard import Scoreboard


class Trials(Mapping[int, TrialRecord]):
    """By number.

    Args:
        ledger: What is recorded.
        knowledge: What the search may know: it sees every change of state.
        board: What is counted: the same.
    """

    def __init__(self, ledger: Ledger, knowledge: Knowledge, board: Scoreboard) -> None:
        self._ledger = ledger
        self._knowledge = knowledge
        self._board = board
        self._records: dict[int, TrialRecord] = {}

    def __getitem__(self, number: int) -> TrialRecord:
        return self._records[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def add(self, trial: TrialRecord) -> None:
        """Take up a trial that was not there before."""
        self._records[trial.number] = trial
        self._knowledge.see(trial)
        self._board.add(trial)

    def move(self, number: int) -> TrialRecord:
        """Take over a trial's new state from the ledger."""
        before, after = self._records[number], self._ledger.trial(number)
        self._records[number] = after
        self._knowledge.see(after)
        self._board.move(before, after)
        return after
