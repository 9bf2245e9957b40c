"""The sweeps of a runs directory, one line each; read anew only where something was written since."""

import time
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import SweepError
from orchestrator.layout import SweepDir
from orchestrator.ledger.connection import stamp, written
from orchestrator.ledger.lock import holder
from orchestrator.ledger.paths import all_sweeps
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import TrialState
from orchestrator.printable import clean
from orchestrator.reporting.filter import numbers, passing, texts
from orchestrator.reporting.labels import read_labels
from orchestrator.reporting.wording import duration, number
from orchestrator.spec import load_recorded

DAMAGED = "damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What is known of a sweep at a glance.

    Attributes:
        state: Where it stands; ``damaged`` where its ledger tells nothing, and `about` says why.
        total: How many trials it will have; None for no end.
        is_live: Whether somebody controls it.
    """

    sweep_dir: SweepDir
    name: str
    state: str
    created: float
    is_live: bool = False
    counts: tuple[tuple[TrialState, int], ...] = ()
    total: int | None = None
    best: float | None = None
    about: str = ""

    @property
    def n_trials(self) -> int:
        """How many trials it has."""
        return sum(n for _, n in self.counts)

    @property
    def trials(self) -> str:
        """How many trials it has, and will have."""
        return f"{self.n_trials}" + (f"/{self.total}" if self.total is not None else "")


class Listing:
    """A runs directory. Its methods may be called from any thread, by one at a time."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self._known: dict[Path, tuple[object, Line]] = {}

    def look(self) -> list[Line]:
        """Return a line per sweep, the newest first."""
        found = {}
        for sweep_dir in all_sweeps(self.runs):
            who = holder(sweep_dir.lock_path)
            now = (who, written(sweep_dir.ledger_path), stamp(sweep_dir.labels_path))
            known = self._known.get(sweep_dir.path)
            found[sweep_dir.path] = known if known is not None and known[0] == now else (now, _line(sweep_dir, who))
        self._known = found
        return [line for _, line in found.values()]


def passing_lines(lines: list[Line], where: str) -> list[Line]:
    """Return the lines that pass a filter: its columns are those of `sweep ls --where`.

    Raises:
        SweepError: It compares a column that there is not.
    """
    columns = [
        texts("id", [line.sweep_dir.sweep_id for line in lines]),
        texts("name", [line.name for line in lines]),
        texts("state", [line.state for line in lines]),
        texts("description", [line.about for line in lines]),
        numbers("trials", [line.n_trials for line in lines]),
        numbers("best", [line.best for line in lines]),
    ]
    return [lines[i] for i in passing(where, columns, len(lines))]


def cells_of(line: Line, now: float) -> list[tuple[str, str]]:
    """Return what a row of the list shows, and in which colours."""
    colour = {"failed": "failed", DAMAGED: "failed", "interrupted": "stopped", "finished": "good"}.get(
        line.state, "accent"
    )
    return [
        (line.sweep_dir.sweep_id, ""),
        (("▶ " if line.is_live else "  ") + line.state, colour if line.is_live or colour == "failed" else "muted"),
        (line.trials, ""),
        (number(line.best), "good"),
        (f"{duration(max(0.0, now - line.created))} ago", "muted"),
        (line.name, ""),
        (line.about, "muted"),
    ]


def _line(sweep_dir: SweepDir, who: str | None) -> Line:
    """A sweep's line; one that cannot be read does not hide the others."""
    try:
        with LedgerReader(sweep_dir.ledger_path, whole=False) as reader:
            record, outlook = reader.sweep(), reader.outlook()
            spec = load_recorded(record.spec_text)
            top, labels = reader.best(1), read_labels(sweep_dir).sweep
            about = [" ".join(f"#{tag}" for tag in labels.tags), labels.note or spec.description or record.reason or ""]
            return Line(
                sweep_dir=sweep_dir,
                name=clean(record.name),
                state=DAMAGED if reader.damage else str(record.standing(who)),
                created=record.created,
                is_live=who is not None and not record.is_over,
                counts=tuple(reader.counts().items()),
                total=spec.run_cap if outlook is None else outlook.total,
                best=top[0].value if top else None,
                about=clean(": ".join(part for part in about if part)),
            )
    except SweepError as error:
        return Line(
            sweep_dir=sweep_dir,
            name=clean(sweep_dir.name),
            state=DAMAGED,
            created=_born(sweep_dir),
            about=clean(str(error).splitlines()[0]),
        )


def _born(sweep_dir: SweepDir) -> float:
    try:
        return sweep_dir.path.stat().st_mtime
    except OSError:
        return time.time()
