"""Trials of any sweeps side by side: what differs, and every metric with a line per trial."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.errors import SweepError
from orchestrator.layout import SweepDir
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import TrialRecord
from orchestrator.printable import clean
from orchestrator.reporting.compare import compare_trials
from orchestrator.reporting.facts import Facts, read_trials
from orchestrator.reporting.wording import in_cell
from orchestrator.serve.metrics import charts, lines_of
from orchestrator.serve.topic import Topic

MOST_TRIALS = 12
"""Trials that can be told apart side by side."""

LONGEST_VALUE = 200


class CompareTopic(Topic):
    """Some trials; `trials` are sweeps with the number of a trial."""

    def __init__(self, trials: Sequence[tuple[SweepDir, int]]) -> None:
        super().__init__()
        self._trials = trials
        self._readers: dict[SweepDir, LedgerReader] = {}
        self._versions: Mapping[SweepDir, int] = {}

    def close(self) -> None:
        """Let go of the ledgers."""
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()

    def _load(self) -> None:
        if len(self._trials) > MOST_TRIALS:
            raise SweepError(f"{len(self._trials)} trials are too many to compare; at most {MOST_TRIALS}")
        for sweep_dir, _ in self._trials:
            if sweep_dir not in self._readers:
                self._readers[sweep_dir] = LedgerReader(sweep_dir.ledger_path, whole=False)
        self._versions = self._current()

    def _look(self) -> Mapping[str, Any] | None:
        if any(reader.was_replaced() for reader in self._readers.values()):
            self.close()
            self._load()
            return {}
        before, self._versions = self._versions, self._current()
        return None if before == self._versions else {}

    def _current(self) -> dict[SweepDir, int]:
        return {sweep_dir: reader.version() for sweep_dir, reader in self._readers.items()}

    def _state(self) -> Mapping[str, Any]:
        numbers: dict[SweepDir, list[int]] = {}
        for sweep_dir, each in self._trials:
            numbers.setdefault(sweep_dir, []).append(each)
        facts = {sweep_dir: read_trials(sweep_dir, found) for sweep_dir, found in numbers.items()}
        pairs = [(facts[sweep_dir], _trial(facts[sweep_dir], each)) for sweep_dir, each in self._trials]
        lines = [lines_of(self._readers[sweep_dir], each) for sweep_dir, each in self._trials]
        objectives = [clean(metric.name) for found, _ in pairs for metric in found.results.spec.objectives]
        return {
            "trials": [
                {
                    "sweep": sweep_dir.sweep_id,
                    "name": clean(found.results.record.name),
                    "trial": trial.number,
                    "state": str(trial.state),
                }
                for (sweep_dir, _), (found, trial) in zip(self._trials, pairs, strict=True)
            ],
            "differences": [
                {
                    "group": each.group,
                    "name": clean(each.name),
                    "values": [in_cell(value, LONGEST_VALUE) for value in each.values],
                }
                for each in (compare_trials(pairs) if pairs else ())
            ],
            "charts": charts(lines, objectives),
        }


def _trial(facts: Facts, wanted: int) -> TrialRecord:
    found = facts.results.by_number.get(wanted)
    if found is None:
        raise SweepError(f"sweep {facts.results.record.sweep_id} has no trial {wanted}")
    return found
