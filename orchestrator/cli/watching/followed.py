"""One sweep as it is in its ledger, read again and again: what the screen shows, and nothing that it could change."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from orchestrator.cli.watching.trial_table import Said, TrialTable
from orchestrator.errors import LedgerError
from orchestrator.layout import SweepDir
from orchestrator.ledger.connection import is_on_network
from orchestrator.ledger.lock import holder
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import SweepRecord, SweepState, TrialRecord, TrialState
from orchestrator.reporting.labels import SweepLabels, read_labels
from orchestrator.reporting.use_text import in_columns
from orchestrator.spec import load_recorded
from orchestrator.spec.model import SweepSpec
from orchestrator.trial.contract.resource_use import last_look
from orchestrator.watch.follower import Follower
from orchestrator.watch.progress import Progress, RunningTrial, SweepEvent

USE_EVERY_S = 5.0
"""How often it is read what a running trial uses."""

USES_S = 0.05
"""How long one look may read what trials use; the next one goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A sweep at one moment.

    Attributes:
        who: Its controller; None for nobody.
        table: All trials; the next picture has the same table, grown.
        events: What happened since the picture before.
        has_moved: Whether a trial of the table is not as it was in the picture before.
    """

    record: SweepRecord
    spec: SweepSpec
    who: str | None
    progress: Progress
    table: TrialTable
    labels: SweepLabels
    events: tuple[SweepEvent, ...]
    has_moved: bool

    @property
    def state(self) -> SweepState:
        """Where the sweep stands."""
        return self.record.standing(self.who)

    @property
    def running(self) -> Mapping[int, RunningTrial]:
        """What runs, by number."""
        return {row.number: row for row in self.progress.running}


class Followed:
    """A sweep that is followed. Its methods may be called from any thread; one waits for the other.

    Args:
        sweep_dir: Where it lies.
        clock: Unix time in seconds.

    Raises:
        LedgerError: Its ledger cannot be read.
    """

    def __init__(self, sweep_dir: SweepDir, *, clock: Callable[[], float] = time.time) -> None:
        self.sweep_dir = sweep_dir
        self._clock = clock
        self._on_network = is_on_network(sweep_dir.lock_path)
        self._alone = threading.Lock()
        self._open()

    def _open(self) -> None:
        """Begin with the ledger that is there."""
        self._reader = LedgerReader(self.sweep_dir.ledger_path, whole=False)
        self._follower = Follower(self.sweep_dir, self._reader, clock=self._clock)
        self._version = -1
        self._record: SweepRecord | None = None
        self._spec: SweepSpec | None = None
        self._table: TrialTable | None = None
        self._known: dict[int, TrialRecord] = {}
        self._shown: dict[int, Said] = {}
        self._uses: dict[int, tuple[float | None, ...]] = {}
        self._use_of: dict[int, tuple[TrialRecord, float]] = {}
        self._labels = SweepLabels()
        self._labels_stamp: tuple[int, int, int] | None = None

    def close(self) -> None:
        """Let go of the ledger, once a look at it is over."""
        with self._alone:
            self._reader.close()

    def look(self) -> Picture:
        """Read what is new.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        with self._alone:
            return self._look()

    def _look(self) -> Picture:
        if self._reader.was_replaced():
            if not self.sweep_dir.ledger_path.exists():
                raise LedgerError(f"the sweep was moved or removed: {self.sweep_dir.ledger_path} is gone")
            outdated = self._reader
            self._open()
            outdated.close()
        who = holder(self.sweep_dir.lock_path, on_network=self._on_network)  # first: what it did is in the ledger then
        version = self._reader.version()
        events: list[SweepEvent] = []
        if version != self._version:
            events = self._follower.look()
            self._version = version
            self._take_record(self._reader.sweep())
        assert self._record is not None
        assert self._spec is not None
        assert self._table is not None
        progress = self._follower.progress()
        if who is None:
            progress = replace(progress, elapsed_s=self._record.active_s, eta_s=None, eta_range_s=None, running=())
        has_moved = self._update(progress)
        return Picture(
            record=self._record,
            spec=self._spec,
            who=who,
            progress=progress,
            table=self._table,
            labels=self._labels,
            events=tuple(events),
            has_moved=has_moved,
        )

    def _take_record(self, record: SweepRecord) -> None:
        if self._record is None or record.spec_text != self._record.spec_text:
            spec = load_recorded(record.spec_text)
            if self._spec is None or (spec.parameters, spec.objectives) != (
                self._spec.parameters,
                self._spec.objectives,
            ):
                self._table, self._known, self._shown = TrialTable(spec), {}, {}
            self._spec = spec
        self._record = record

    def _update(self, progress: Progress) -> bool:
        """Put into the table what differs from what it shows; return whether anything did."""
        assert self._table is not None
        running = {row.number: row for row in progress.running}
        changed = self._read_labels() | self._read_uses(running)
        moved = [
            trial
            for number, trial in self._follower.trials.items()
            if self._known.get(number) is not trial or number in running or number in changed
        ]
        has_moved = False
        for trial in sorted(moved, key=lambda each: each.number) if moved else ():
            said = self._said(trial, running.get(trial.number))
            if self._known.get(trial.number) is trial and self._shown.get(trial.number) == said:
                continue
            self._table.put(trial, said)
            self._known[trial.number], self._shown[trial.number] = trial, said
            has_moved = True
        return has_moved

    def _said(self, trial: TrialRecord, row: RunningTrial | None) -> Said:
        parts = [trial.error or trial.reason or "", self._labels.of(trial.number).words]
        if row is not None:
            parts = [f"ending: {row.ending}" if row.ending else "", *(flag.issue for flag in row.flags), parts[1]]
        took_s = trial.took_s if trial.state is not TrialState.RUNNING else None
        if row is not None and row.elapsed_s is not None:
            took_s = float(int(row.elapsed_s))  # no more often anew than it is shown
        words = " · ".join(part for part in parts if part)
        return Said(took_s=took_s, words=words, use=self._uses.get(trial.number))

    def _read_uses(self, running: Mapping[int, RunningTrial]) -> set[int]:
        """Return the trials of which it is another use than at the last look: of those that run, or have ended since."""
        now, changed = time.monotonic(), set[int]()
        for number, trial in self._follower.trials.items():
            read, read_at = self._use_of.get(number, (None, -math.inf))
            if now - read_at < USE_EVERY_S if number in running else read is trial:
                continue
            look = last_look(self.sweep_dir.trial(number))
            self._use_of[number] = trial, now
            if look is not None and self._uses.get(number) != (use := in_columns(look.so_far)):
                self._uses[number] = use
                changed.add(number)
            if time.monotonic() - now > USES_S:
                break
        return changed

    def _read_labels(self) -> set[int]:
        """Return the trials that people have said something else of since the last look."""
        try:
            found = self.sweep_dir.labels_path.stat()
        except OSError:
            stamp = None
        else:
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp == self._labels_stamp:
            return set()
        before, self._labels, self._labels_stamp = self._labels, read_labels(self.sweep_dir), stamp
        numbers = before.trials.keys() | self._labels.trials.keys()
        return {number for number in numbers if before.of(number) != self._labels.of(number)}
