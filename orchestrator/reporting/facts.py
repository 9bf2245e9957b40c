"""Everything a sweep's ledger and directory say at one moment: what `show`, `compare` and the report are computed from."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orchestrator.diagnosis.cases import flags_of
from orchestrator.diagnosis.model import Flag
from orchestrator.layout import SweepDir
from orchestrator.ledger.lock import holder
from orchestrator.ledger.reader import CurvePoint, LedgerReader
from orchestrator.ledger.records import AttemptRecord, TrialRecord, TrialState
from orchestrator.reporting.environment import recorded
from orchestrator.reporting.labels import read_labels
from orchestrator.reporting.results import Results, read_results
from orchestrator.spec import load_recorded
from orchestrator.trial.contract.conflicts import conflicts
from orchestrator.trial.contract.resource_use import Use, last_look

if TYPE_CHECKING:
    from orchestrator.space import SearchSpace

CURVE_POINTS = 48
"""Points that are kept of a trial's curve: what a plot can show."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A sweep as it stands.

    Attributes:
        attempts: Every attempt, by trial and attempt.
        curves: The first objective's values by trial, thinned.
        holder: The process that controls the sweep now; None when nobody does.
        environment: Where it was started; empty when that was not recorded.
        now: Unix time in seconds at which this was read.
        counts: How many trials are in each state; states without trials are missing.
        whole: Whether all trials were read, not only the leaders.
    """

    results: Results
    attempts: Sequence[AttemptRecord]
    curves: Mapping[int, Sequence[CurvePoint]]
    holder: str | None
    environment: Mapping[str, Any]
    now: float
    counts: Mapping[TrialState, int]
    whole: bool = True

    @cached_property
    def space(self) -> "SearchSpace":
        """The spec's search space."""
        from orchestrator.space import SearchSpace

        return SearchSpace.of(self.results.spec.parameters)

    @cached_property
    def flags(self) -> Mapping[int, Sequence[Flag]]:
        """What is wrong with the trials that were read, by number; trials without flags are missing.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        with LedgerReader(self.results.sweep_dir.ledger_path, whole=False) as reader:
            return flags_of(reader, self.results.spec, among=None if self.whole else self.results.trials)

    @cached_property
    def uses(self) -> Mapping[int, Use]:
        """What each trial that was read used of its machine so far, by number; those that nobody looked at are missing."""
        return self._uses_of(self.results.trials)

    @cached_property
    def gpu_uses(self) -> Mapping[int, Use]:
        """The same of those alone that have GPUs: no file is read in a sweep without any."""
        return self._uses_of([trial for trial in self.results.trials if trial.gpu_ids])

    def use_of(self, number: int) -> Use | None:
        """Return the same of one trial, whose file is read once; None where nobody looked."""
        if number not in self._seen:
            look = last_look(self.results.sweep_dir.trial(number))
            self._seen[number] = None if look is None else look.so_far
        return self._seen[number]

    def _uses_of(self, trials: Sequence[TrialRecord]) -> Mapping[int, Use]:
        return {trial.number: use for trial in trials if (use := self.use_of(trial.number)) is not None}

    @cached_property
    def _seen(self) -> dict[int, Use | None]:
        return {}

    @cached_property
    def conflicts(self) -> Sequence[tuple[str, Sequence[int]]]:
        """Paths that running trials wrote at the same time, and which did."""
        return conflicts(self.results.sweep_dir)

    @cached_property
    def _latest(self) -> Mapping[int, AttemptRecord]:
        return {attempt.trial: attempt for attempt in self.attempts}

    def took_s(self, trial: TrialRecord) -> float | None:
        """Return the seconds from the start of a trial's latest process to its end, or to now; None before there is one."""
        if trial.state is not TrialState.RUNNING:
            return trial.took_s
        attempt = self._latest.get(trial.number)
        return None if attempt is None or attempt.started is None else max(0.0, self.now - attempt.started)

    @property
    def state(self) -> str:
        """Where the sweep stands."""
        return str(self.results.record.standing(self.holder))


def read_facts(sweep_dir: SweepDir) -> Facts:
    """Return a sweep's facts as they are now.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    who = holder(sweep_dir.lock_path)
    with LedgerReader(sweep_dir.ledger_path) as reader:
        results, attempts = read_results(sweep_dir, reader), reader.all_attempts()
        curves, counts = reader.curves(CURVE_POINTS), _counts(reader)
        return Facts(
            results=replace(results, damage=tuple(reader.damage)),
            attempts=attempts,
            curves=curves,
            holder=who,
            environment=recorded(sweep_dir),
            now=time.time(),
            counts=counts,
        )


def read_leaders(sweep_dir: SweepDir, k: int) -> Facts:
    """Return the facts about a sweep's `k` best trials alone, or about its front: quickly, however many there are.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    who = holder(sweep_dir.lock_path)
    with LedgerReader(sweep_dir.ledger_path, whole=False) as reader:
        record = reader.sweep()
        spec = load_recorded(record.spec_text)
        leaders = reader.front() if spec.metrics else reader.best(k)
        return Facts(
            results=Results(
                sweep_dir=sweep_dir, record=record, spec=spec, trials=tuple(leaders), damage=tuple(reader.damage)
            ),
            attempts=(),
            curves={},
            holder=who,
            environment={},
            now=time.time(),
            counts=_counts(reader),
            whole=False,
        )


def read_trials(sweep_dir: SweepDir, numbers: Sequence[int]) -> Facts:
    """Return the facts about some of a sweep's trials alone; those that it does not have are left out.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    who = holder(sweep_dir.lock_path)
    with LedgerReader(sweep_dir.ledger_path, whole=False) as reader:
        record = reader.sweep()
        found = [trial for number in numbers if (trial := reader.trial(number)) is not None]
        return Facts(
            results=Results(
                sweep_dir=sweep_dir,
                record=record,
                spec=load_recorded(record.spec_text),
                trials=tuple(found),
                damage=tuple(reader.damage),
                labels=read_labels(sweep_dir),
            ),
            attempts=[attempt for number in numbers for attempt in reader.attempts(number)],
            curves={},
            holder=who,
            environment={},
            now=time.time(),
            counts=_counts(reader),
            whole=False,
        )


def _counts(reader: LedgerReader) -> dict[TrialState, int]:
    found = reader.counts()
    return {state: found[state] for state in TrialState if state in found}
