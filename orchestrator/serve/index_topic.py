"""Every sweep of a runs directory in a line each, as the first page follows them."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import LedgerError, SweepError
from orchestrator.layout import SweepDir
from orchestrator.ledger.connection import stamp, written
from orchestrator.ledger.lock import holder
from orchestrator.ledger.paths import all_sweeps
from orchestrator.ledger.reader import LedgerReader
from orchestrator.printable import clean
from orchestrator.reporting.labels import read_labels
from orchestrator.reporting.results import finite
from orchestrator.serve.topic import Topic
from orchestrator.spec import SweepSpec, load_recorded

MOST_POINTS = 60
"""Points of a sparkline."""

Stamp = tuple[object, ...]


@dataclass(slots=True)
class _Known:
    """What was read of a sweep, and of which files."""

    stamp: Stamp
    line: dict[str, Any]
    spec_text: str = ""
    spec: SweepSpec | None = None


class IndexTopic(Topic):
    """The sweeps of a runs directory, the newest first."""

    def __init__(self, runs: Path) -> None:
        super().__init__()
        self._runs = runs
        self._known: dict[Path, _Known] = {}
        self._lines: list[dict[str, Any]] = []

    def _load(self) -> None:
        self._lines = self._read()

    def _look(self) -> Mapping[str, Any] | None:
        before, self._lines = self._lines, self._read()
        return None if self._lines == before else {}

    def _state(self) -> Mapping[str, Any]:
        return {"runs": clean(str(self._runs.resolve())), "sweeps": self._lines}

    def _read(self) -> list[dict[str, Any]]:
        found = all_sweeps(self._runs)
        for gone in self._known.keys() - {sweep_dir.path for sweep_dir in found}:
            del self._known[gone]
        return [self._line(sweep_dir) for sweep_dir in found]

    def _line(self, sweep_dir: SweepDir) -> dict[str, Any]:
        """A sweep's line, read anew only where one of its files has changed."""
        who = holder(sweep_dir.lock_path)
        now = _stamp(sweep_dir, who)
        known = self._known.get(sweep_dir.path)
        if known is None or known.stamp != now:
            known = self._known[sweep_dir.path] = _read(sweep_dir, who, now, known)
        return known.line


def _stamp(sweep_dir: SweepDir, who: str | None) -> Stamp:
    """What differs once something that a line says has changed."""
    return who is not None, written(sweep_dir.ledger_path), stamp(sweep_dir.labels_path)


def _read(sweep_dir: SweepDir, who: str | None, stamp: Stamp, before: _Known | None) -> _Known:
    try:
        with LedgerReader(sweep_dir.ledger_path, whole=False) as reader, reader.snapshot():
            return _read_line(sweep_dir, who, stamp, before, reader)
    except LedgerError as error:  # one broken sweep does not hide the others
        return _Known(stamp, _broken(sweep_dir, str(error)))
    except SweepError as error:  # its spec
        return _Known(stamp, _broken(sweep_dir, str(error)))


def _read_line(
    sweep_dir: SweepDir, who: str | None, stamp: Stamp, before: _Known | None, reader: LedgerReader
) -> _Known:
    record, counts, outlook = reader.sweep(), reader.counts(), reader.outlook()
    is_same = before is not None and before.spec is not None and before.spec_text == record.spec_text
    spec = before.spec if before is not None and is_same else load_recorded(record.spec_text)
    assert spec is not None
    top, labels = reader.best(1), read_labels(sweep_dir).sweep
    metric = next(iter(spec.objectives), None)
    line = {
        "id": record.sweep_id,
        "name": clean(record.name),
        "state": "damaged" if reader.damage else str(record.standing(who)),
        "reason": clean(record.reason or ""),
        "created": record.created,
        "counts": {str(state): n for state, n in counts.items() if n},
        "total": spec.run_cap if outlook is None else outlook.total,
        "metric": clean(metric.name) if metric else "",
        "sign": metric.goal.sign if metric else 1,
        "best": finite(top[0].value) if top else None,
        "best_trial": top[0].number if top else None,
        "spark": spark(reader.ended_scores(), sign=metric.goal.sign if metric else 1),
        "tags": list(labels.tags),
        "about": clean(labels.note or spec.description or ""),
        "damage": clean(reader.damage[0]) if reader.damage else "",
    }
    return _Known(stamp, line, record.spec_text, spec)


def spark(scores: list[float], *, sign: float) -> list[float]:
    """Return the best value so far after each trial that ended with one, thinned evenly; scores are lower where better."""
    best: list[float] = []
    for score in scores:
        best.append(min(score, best[-1]) if best else score)
    step = max(1.0, len(best) / MOST_POINTS)
    chosen = [best[min(len(best) - 1, int(k * step))] for k in range(min(len(best), MOST_POINTS))]
    return [float(f"{sign * each:.5g}") for each in [*chosen[:-1], *best[-1:]]]


def _broken(sweep_dir: SweepDir, why: str) -> dict[str, Any]:
    """What is known of a sweep whose ledger tells nothing."""
    created = 0.0
    with suppress(OSError):
        created = sweep_dir.path.stat().st_mtime
    nothing = {"reason": "", "metric": "", "about": "", "best": None, "best_trial": None, "total": None}
    return {
        **nothing,
        "id": clean(sweep_dir.sweep_id),
        "name": clean(sweep_dir.name),
        "state": "damaged",
        "created": created,
        "counts": {},
        "sign": 1,
        "spark": [],
        "tags": [],
        "damage": clean(why.splitlines()[0] if why else ""),
    }
