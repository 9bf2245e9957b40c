"""From what a ledger holds to cases: one trial, or every trial of a sweep beside its peers."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

from orchestrator.diagnosis.examine import examine
from orchestrator.diagnosis.model import Case, Flag, Series
from orchestrator.layout import SweepDir
from orchestrator.ledger.curves import Objective, objectives_of
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import TrialRecord, TrialState
from orchestrator.ledger.rows import MetricRow
from orchestrator.spec.model import SweepSpec
from orchestrator.trial.contract.events import Cause
from orchestrator.trial.contract.resource_use import Use, last_look

MIN_PEERS = 4
"""With fewer trials that ended well, nobody can say what was possible."""

WELL = frozenset({TrialState.FINISHED, TrialState.STOPPED})


def flags_of(
    reader: LedgerReader, spec: SweepSpec, *, among: Sequence[TrialRecord] | None = None
) -> dict[int, tuple[Flag, ...]]:
    """Return the flags of every trial that has any, by number; of some trials only if `among` says which."""
    objectives = objectives_of(spec)
    trials = reader.trials() if among is None else among
    peers = peer_score(trials) if among is None else _median(reader.scores(WELL))
    found = {}
    for trial in trials:
        if trial.attempt >= 0:
            use = use_of(reader.path, trial)
            flags = examine(case_of(trial, reader.metric_rows(trial.number), objectives, peers, use))
            if flags:
                found[trial.number] = flags
    return found


def use_of(ledger: Path, trial: TrialRecord) -> Use | None:
    """Return what the last attempt of a trial with GPUs used of its machine, from its directory beside the ledger."""
    look = last_look(SweepDir(ledger.parent).trial(trial.number)) if trial.gpu_ids else None
    return look.so_far if look is not None and look.attempt == trial.attempt else None


def case_of(
    trial: TrialRecord,
    rows: Iterable[MetricRow],
    objectives: Sequence[Objective],
    peer: float | None,
    use: Use | None = None,
) -> Case:
    """Return a trial as a diagnosis sees it, from its rows in the ledger's table of metrics and what it used."""
    running = trial.state is TrialState.RUNNING
    is_timed = running or trial.cause is Cause.TIMED_OUT  # its silence is told from its own beginning
    return Case(
        series=_series([row for row in rows if row.attempt == trial.attempt] if is_timed else rows),
        objective=objectives[0].name if objectives else None,
        sign=objectives[0].sign if objectives else 1.0,
        peer_score=peer,
        cause=None if running or trial.cause is None else trial.cause.value,
        error=trial.error,
        now=time.time() if running or trial.ended is None else trial.ended,
        begun=trial.started,
        use=use,
    )


def peer_score(trials: Iterable[TrialRecord]) -> float | None:
    """Return the median score of the trials that ended well; None while there are few."""
    return _median([t.score for t in trials if t.score is not None and t.state in WELL])


def _median(scores: Sequence[float]) -> float | None:
    return median(scores) if len(scores) >= MIN_PEERS else None


def _series(rows: Iterable[MetricRow]) -> Mapping[str, Series]:
    by_name: dict[str, list[MetricRow]] = {}
    for row in rows:
        by_name.setdefault(row.name, []).append(row)
    return {
        name: Series(
            name=name,
            values=[row.value for row in found],
            reports=[row.report + 1 for row in found],
            times=[row.time for row in found],
        )
        for name, found in by_name.items()
    }
